#pragma once

#include <cstdint>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace pannier::net {

// What the poller calls when a socket is ready. Level-triggered: called again while it is.
class Pollable {
 public:
  // `events` as epoll gives them (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR).
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~Pollable() = default;
};

// Which of those that are ready in one turn come first.
enum class Urgency : std::uint8_t {
  Normal,
  Urgent
};

// Called around everything that a worker does: one turn reads all that is ready, then flushes.
class TurnHooks {
 public:
  virtual void begin_turn() = 0;
  virtual void end_turn() = 0;

 protected:
  ~TurnHooks() = default;
};

// One level-triggered epoll set per worker that sits in the worker's io_context as one descriptor,
// so that hot sockets cost one system call for a whole turn and timers, posts and signals stay
// plain Asio. Used on its worker's thread only. A Pollable must be removed before it dies; events
// of the running turn that belong to it are then dropped.
class Poller {
 public:
  // Throws std::system_error when the kernel gives no epoll set.
  Poller(boost::asio::io_context& io, TurnHooks& hooks);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // `urgency` is told again with every change.
  void add(int descriptor,
           Pollable* pollable,
           std::uint32_t events,
           Urgency urgency = Urgency::Normal);
  void modify(int descriptor,
              Pollable* pollable,
              std::uint32_t events,
              Urgency urgency = Urgency::Normal);
  void remove(int descriptor, Pollable* pollable);

  // Starts waiting; goes on until the io_context stops.
  void start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::net
