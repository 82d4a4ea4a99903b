#include "pannier/net/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace pannier::net {
namespace {

constexpr int kEventsPerTurn = 256;

// Pollables have a vtable, so the lowest bit of their addresses is free.
constexpr std::uintptr_t kUrgentBit = 1;

void* tag_of(Pollable* pollable, Urgency urgency) {
  char* const address = reinterpret_cast<char*>(pollable);
  return urgency == Urgency::Urgent ? address + kUrgentBit : address;
}

bool is_urgent(const void* tag) {
  return (reinterpret_cast<std::uintptr_t>(tag) & kUrgentBit) != 0;
}

Pollable* pollable_of(void* tag) {
  char* const address = static_cast<char*>(tag);
  return reinterpret_cast<Pollable*>(is_urgent(tag) ? address - kUrgentBit : address);
}

// A descriptor of its owner.
class Descriptor {
 public:
  Descriptor(int descriptor, const char* what) : value_(descriptor) {
    if (descriptor < 0) {
      throw std::system_error(errno, std::system_category(), what);
    }
  }

  ~Descriptor() { ::close(value_); }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

// For epoll_wait, rounded up: a turn that comes early would find nothing due and sleep again.
int milliseconds_until(std::optional<base::TimePoint> until) {
  if (!until) {
    return -1;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - base::Clock::now());
  return static_cast<int>(
      std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

}  // namespace

struct Poller::Impl final : Pollable {
  explicit Impl(TurnHooks& turn_hooks) : hooks(turn_hooks) {
    control(EPOLL_CTL_ADD, bell.get(), this, EPOLLIN);
  }

  void control(int operation, int descriptor, void* tag, std::uint32_t interest) {
    any_urgent = any_urgent || is_urgent(tag);
    epoll_event event{};
    event.events = interest;
    event.data.ptr = tag;
    if (::epoll_ctl(set.get(), operation, descriptor, &event) != 0) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
  }

  std::size_t run_turn(std::optional<base::TimePoint> until) {
    const int ready =
        std::max(::epoll_wait(set.get(), events.data(), kEventsPerTurn, milliseconds_until(until)),
                 0);  // a signal is no event
    hooks.begin_turn();
    count = ready;
    if (any_urgent) {
      urgent_first();
    }
    for (next = 0; next < count;) {
      const epoll_event& event = events.at(static_cast<std::size_t>(next++));
      if (Pollable* pollable = pollable_of(event.data.ptr)) {
        pollable->on_events(event.events);
      }
    }
    count = 0;
    hooks.end_turn();
    return static_cast<std::size_t>(ready);
  }

  void urgent_first() {
    epoll_event* front = events.data();
    const epoll_event* const end = front + count;
    for (epoll_event* event = front; event != end; ++event) {
      if (is_urgent(event->data.ptr)) {
        std::rotate(front, event, event + 1);  // the others keep their order
        ++front;
      }
    }
  }

  void forget(const Pollable* pollable) {
    for (int i = next; i < count; ++i) {
      epoll_event& event = events.at(static_cast<std::size_t>(i));
      if (pollable_of(event.data.ptr) == pollable) {
        event.data.ptr = nullptr;
      }
    }
  }

  void ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell.get(), &one, sizeof(one)));  // full: it rings already
  }

  void post(std::function<void()> action) {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(action));
    if (posted.size() == 1) {
      ring();
    }
  }

  // Somebody has rung.
  void on_events(std::uint32_t /*events*/) override {
    std::uint64_t rings = 0;
    static_cast<void>(!::read(bell.get(), &rings, sizeof(rings)));
    std::vector<std::function<void()>> actions;
    {
      const std::lock_guard lock(mutex);
      actions.swap(posted);
    }
    for (const auto& action : actions) {
      action();
    }
  }

  TurnHooks& hooks;
  Descriptor set{::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"};
  Descriptor bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // under `mutex`
  std::array<epoll_event, kEventsPerTurn> events{};
  int count = 0;
  int next = 0;
  bool any_urgent = false;  // there is or was one
};

Poller::Poller(TurnHooks& hooks) : impl_(std::make_unique<Impl>(hooks)) {}

Poller::~Poller() = default;

void Poller::add(int descriptor, Pollable* pollable, std::uint32_t events, Urgency urgency) {
  impl_->control(EPOLL_CTL_ADD, descriptor, tag_of(pollable, urgency), events);
}

void Poller::modify(int descriptor, Pollable* pollable, std::uint32_t events, Urgency urgency) {
  impl_->control(EPOLL_CTL_MOD, descriptor, tag_of(pollable, urgency), events);
}

void Poller::remove(int descriptor, Pollable* pollable) {
  impl_->control(EPOLL_CTL_DEL, descriptor, nullptr, 0);
  impl_->forget(pollable);
}

std::size_t Poller::run_turn(std::optional<base::TimePoint> until) {
  return impl_->run_turn(until);
}

void Poller::post(std::function<void()> action) {
  impl_->post(std::move(action));
}

void Poller::wake() {
  impl_->ring();
}

}  // namespace pannier::net
