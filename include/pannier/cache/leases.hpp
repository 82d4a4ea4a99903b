#pragma once

#include "pannier/base/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace pannier::cache {

// Somebody on a worker: what the token means is the worker's own.
struct Party {
  std::uint32_t worker = 0;
  std::uint64_t token = 0;

  [[nodiscard]] bool operator==(const Party&) const = default;
};

struct LeaseRules {
  base::Duration lease{};  // how long the holder may take
  bool operator==(const LeaseRules&) const = default;
};

enum class LeaseAnswer : std::uint8_t {
  Fill,   // nil now: this party holds the lease and goes to its database
  Wait,   // another one does: wait to be woken
  NoWait  // nil now: the key or its class stays unfilled, waiting would help nobody
};

// The right to fill a missing key: of N clients that miss it one gets nil, the others wait
// (behaviour 5.5). Shared by all workers, thread-safe, one lock: it is taken only when upstream had
// nothing, and for writes only while any lease is out. Pure: time comes in, who is to be woken goes
// out. Bounded: over kMaxLeases everybody gets NoWait.
class Leases {
 public:
  static constexpr std::size_t kMaxLeases = 4096;
  static constexpr std::size_t kMaxWaiters = 65536;  // of all keys
  static constexpr int kUnfilledInARow = 3;
  static constexpr double kUnfilledShare = 0.2;  // of a class, in kWindow
  static constexpr base::Duration kWindow = std::chrono::seconds(10);
  static constexpr base::Duration kNoWaitFor = std::chrono::seconds(30);

  Leases();
  ~Leases();
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // Upstream has no `key` in `db`. `holder` names the session that asks (one session never waits
  // for itself), `waiter` the read that would wait.
  [[nodiscard]] LeaseAnswer on_nil(std::uint8_t db,
                                   std::string_view key,
                                   std::uint64_t hash,
                                   std::uint16_t key_class,
                                   Party holder,
                                   Party waiter,
                                   const LeaseRules& rules,
                                   base::TimePoint now);

  // Cheap, without the lock: writes need not look when nothing is leased.
  [[nodiscard]] bool any() const;

  // A write to the key was answered, or someone else changed it: the lease ends, its waiters (out)
  // ask upstream again.
  void on_changed(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken);
  // Everything may have changed.
  void on_all_changed(base::TimePoint now, std::vector<Party>& woken);
  // Upstream does have the key: filled. Its waiters (out) ask again.
  void on_value(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken);
  // The session is gone: its leases end unfilled; of each key's waiters the first (out) is to ask
  // again and so becomes the next holder.
  void on_gone(Party holder, base::TimePoint now, std::vector<Party>& woken);
  // This read waits no longer (answered, timed out, its session gone).
  void forget(std::uint64_t hash, Party waiter, base::TimePoint now);
  // Ends what has run out; the same of its waiters as on_gone. Called now and then.
  void expire(base::TimePoint now, std::vector<Party>& woken);

  [[nodiscard]] std::size_t leases() const;
  [[nodiscard]] std::size_t waiters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::cache
