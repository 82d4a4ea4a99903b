#pragma once

#include "pannier/base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

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

// What a worker waits on: one level-triggered epoll set, so that one system call serves a whole
// turn, and what other threads post. Used on its worker's thread only, but for `post` and `wake`. A
// Pollable must be removed before it dies; events of the running turn that belong to it are then
// dropped.
//
// Not an io_context: with one around the set, each turn costs two system calls more and a wake-up
// through two sets (tests/bench/README.md).
class Poller {
 public:
  // Throws std::system_error when the kernel gives no epoll set.
  explicit Poller(TurnHooks& hooks);
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

  // Sleeps until a socket is ready, something was posted, `wake` was called or `until` has come
  // (empty: however long that takes), then makes one turn. Returns how many were ready.
  std::size_t run_turn(std::optional<base::TimePoint> until);

  // Runs `action` within the next turn, behind what was posted before. From any thread.
  void post(std::function<void()> action);
  // Ends a sleep. From any thread.
  void wake();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::net
