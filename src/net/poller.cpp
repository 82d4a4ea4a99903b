#include "pannier/net/poller.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace pannier::net {
namespace {

constexpr int kEventsPerTurn = 256;

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

  void control(int operation, int descriptor, Pollable* pollable, std::uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = pollable;
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
    for (next = 0; next < count;) {
      const epoll_event& event = events.at(static_cast<std::size_t>(next++));
      if (event.data.ptr != nullptr) {
        static_cast<Pollable*>(event.data.ptr)->on_events(event.events);
      }
    }
    count = 0;
    hooks.end_turn();
  }

  void forget(const Pollable* pollable) {
    for (int i = next; i < count; ++i) {
      epoll_event& event = events.at(static_cast<std::size_t>(i));
      if (event.data.ptr == pollable) {
        event.data.ptr = nullptr;
      }
    }
  }

  boost::asio::posix::stream_descriptor set;
  TurnHooks& hooks;
  std::array<epoll_event, kEventsPerTurn> events{};
  int count = 0;
  int next = 0;
};

Poller::Poller(boost::asio::io_context& io, TurnHooks& hooks)
    : impl_(std::make_unique<Impl>(io, hooks)) {}

Poller::~Poller() = default;

void Poller::add(int descriptor, Pollable* pollable, std::uint32_t events) {
  impl_->control(EPOLL_CTL_ADD, descriptor, pollable, events);
}

void Poller::modify(int descriptor, Pollable* pollable, std::uint32_t events) {
  impl_->control(EPOLL_CTL_MOD, descriptor, pollable, events);
}

void Poller::remove(int descriptor, Pollable* pollable) {
  impl_->control(EPOLL_CTL_DEL, descriptor, pollable, 0);
  impl_->forget(pollable);
}

void Poller::start() {
  impl_->wait();
}

}  // namespace pannier::net
