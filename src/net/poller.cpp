#include "pannier/net/poller.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

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

int make_epoll() {
  const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) {
    throw std::system_error(errno, std::system_category(), "epoll_create1");
  }
  return descriptor;
}

}  // namespace

struct Poller::Impl {
  Impl(boost::asio::io_context& io, TurnHooks& turn_hooks)
      : set(io, make_epoll()),
        hooks(turn_hooks) {}

  void control(int operation, int descriptor, void* tag, std::uint32_t interest) {
    any_urgent = any_urgent || is_urgent(tag);
    epoll_event event{};
    event.events = interest;
    event.data.ptr = tag;
    if (::epoll_ctl(set.native_handle(), operation, descriptor, &event) != 0) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
  }

  void wait() {
    set.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this](const boost::system::error_code& error) {
                     if (!error) {
                       run_turn();
                       wait();
                     }
                   });
  }

  void run_turn() {
    hooks.begin_turn();
    count = ::epoll_wait(set.native_handle(), events.data(), kEventsPerTurn, 0);
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
  }

  void urgent_first() {
    epoll_event* front = events.data();
    const epoll_event* const end = front + std::max(count, 0);
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

  boost::asio::posix::stream_descriptor set;
  TurnHooks& hooks;
  std::array<epoll_event, kEventsPerTurn> events{};
  int count = 0;
  int next = 0;
  bool any_urgent = false;  // there is or was one
};

Poller::Poller(boost::asio::io_context& io, TurnHooks& hooks)
    : impl_(std::make_unique<Impl>(io, hooks)) {}

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

void Poller::start() {
  impl_->wait();
}

}  // namespace pannier::net
