#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/cache/leases.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace pannier::cache {

// How many clients may be at their database for keys of a class at a time (`miss.concurrent`).
struct MissLimit {
  std::uint32_t concurrent = 0;  // 0: any number
  base::Duration lease{};        // a nil that nobody filled within it counts no longer
};

// Counts the nils that are out: from when one is given until its key is written through this
// process, or its time is over. So a cold start, or upstream that went away, does not send all
// clients to the database at once. Shared by all workers, thread-safe, one lock: it is taken only
// for nils of classes with a limit, and for writes only while any such nil is out. Pure: time comes
// in, who is to be woken goes out. Bounded: by the limits, and by kMaxWaiters.
class MissCap {
 public:
  static constexpr std::size_t kMaxWaiters = 65536;  // of a class

  // A nil for the key is about to be given. True: it is counted.
  [[nodiscard]] bool take(std::uint16_t key_class,
                          std::uint64_t hash,
                          const MissLimit& limit,
                          base::TimePoint now);
  // One that was counted is not given after all.
  void give_back(std::uint16_t key_class, std::uint64_t hash, std::vector<Party>& woken);

  // This read waits for room; false: too many do. REQUIRES: `take` was false just now.
  [[nodiscard]] bool wait(std::uint16_t key_class, Party waiter);
  // It waits no longer.
  void forget(std::uint16_t key_class, Party waiter);

  // When `expire` is to be called, so that those who wait hear of room; empty: nobody waits, or
  // somebody was told already.
  [[nodiscard]] std::optional<base::TimePoint> next_expiry();
  // Nils whose time is over count no longer; who may try again comes out.
  void expire(base::TimePoint now, std::vector<Party>& woken);

  // Cheap, without the lock: writes need not look when no nil is out.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }

  // A write to the key was answered; or to any key.
  void on_changed(std::uint64_t hash, std::vector<Party>& woken);
  void on_all_changed(std::vector<Party>& woken);

  [[nodiscard]] std::size_t out(std::uint16_t key_class) const;

 private:
  struct Class {
    std::multimap<base::TimePoint, std::uint64_t> nils;  // by their end: hashes of the keys
    std::list<Party> waiters;
  };

  using Nil = std::multimap<base::TimePoint, std::uint64_t>::iterator;

  struct Place {
    std::uint16_t key_class = 0;
    Nil nil;
  };

  void drop_expired(Class& each, base::TimePoint now);
  void drop(std::unordered_multimap<std::uint64_t, Place>::iterator place,
            std::vector<Party>& woken);
  static void wake(Class& each, std::size_t room, std::vector<Party>& woken);
  void note_any();

  mutable std::mutex mutex_;
  std::atomic<bool> any_{false};
  std::unordered_map<std::uint16_t, Class> classes_;
  std::unordered_multimap<std::uint64_t, Place> by_hash_;
  base::TimePoint told_{};  // what `next_expiry` said last; zero: it is due again
};

}  // namespace pannier::cache
