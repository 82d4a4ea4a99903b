#pragma once

#include "pannier/limit/gcra.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

// The state of the limits that this process keeps by itself. Times are microseconds.
namespace pannier::limit {

// What a limit counts, and whose.
struct Definition {
  std::string_view name;
  std::uint64_t count = 1;
  std::int64_t period = 1;  // in which `count` come anew
  std::uint64_t burst = 0;
  bool has_subjects = false;  // else all requests count together
};

// A limit that `Limiters::prepare` knows.
class Limit {
 public:
  // Of the name and what is counted: the same in every process, and after a reload if nothing of it
  // was changed.
  [[nodiscard]] std::uint64_t identity() const { return identity_; }

  // A hash of the limit and one of its subjects.
  [[nodiscard]] std::uint64_t bucket(std::uint64_t subject) const;

  // The most that can be had at once.
  [[nodiscard]] std::int64_t most() const { return rate_.limit(); }

 private:
  friend class Limiters;
  static constexpr std::uint32_t kInTable = 0xFFFFFFFF;

  Limit(const Rate& rate, std::int64_t unit, std::uint64_t identity)
      : rate_(rate),
        unit_(unit),
        identity_(identity) {}

  Rate rate_;
  std::int64_t unit_;  // per microsecond, of the rate's time
  std::uint64_t identity_;
  std::uint32_t place_ = kInTable;
};

struct Taken {
  bool limited = false;
  std::int64_t retry_after = 0;  // -1: so many can never be had
};

// Exact over all threads: no window admits more than `burst` + 1 and what comes anew in it. Of
// fixed size: limits without subjects have a place of their own, the rest share a table of sets in
// which what has come back to its full burst is free. When a set is full of others, the one nearest
// to its full burst goes, and begins anew: it is admitted too much then, never too little.
// Thread-safe; a lock per set, none for limits without subjects.
class Limiters {
 public:
  static constexpr std::size_t kEntries = 128 * 1024;

  // Takes memory only for what is used of the table.
  Limiters();
  ~Limiters();
  Limiters(const Limiters&) = delete;
  Limiters& operator=(const Limiters&) = delete;

  // Not for the hot path. A limit that was prepared before goes on with its state.
  [[nodiscard]] Limit prepare(const Definition& definition);

  // `subject`: a hash; without meaning for a limit without subjects. REQUIRES: now > 0
  [[nodiscard]] Taken take(const Limit& limit,
                           std::uint64_t subject,
                           std::int64_t quantity,
                           std::int64_t now);
  // What was taken at `taken_at` and not used. What has come anew since is not given again.
  void give_back(const Limit& limit,
                 std::uint64_t subject,
                 std::int64_t quantity,
                 std::int64_t taken_at,
                 std::int64_t now);

  // Subjects that are not back to their full burst. Walks over the table.
  [[nodiscard]] std::size_t entries(std::int64_t now) const;

  // Subjects that lost their state because there was no room.
  [[nodiscard]] std::uint64_t evictions() const {
    return evictions_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kSets = kEntries / kWays;
  static constexpr std::size_t kLocks = 64;
  static constexpr std::size_t kSingles = 1024;

  // A limit without subjects.
  struct Single {
    std::atomic<std::uint64_t> identity{0};  // 0: free
    std::atomic<std::int64_t> full_at{0};    // in its limit's unit
  };

  struct Entry {
    std::uint64_t key;     // 0: never used
    std::int64_t full_at;  // in its limit's unit, which the key tells
  };

  struct FreeMemory {
    void operator()(void* memory) const;
  };

  struct alignas(64) Lock {
    std::mutex mutex;
  };

  [[nodiscard]] std::uint32_t place_of(std::uint64_t identity);
  [[nodiscard]] Entry& find(std::uint64_t key, std::int64_t now);
  [[nodiscard]] std::mutex& lock_of(std::uint64_t key) const;

  std::array<Single, kSingles> singles_;
  std::mutex preparing_;
  std::unique_ptr<Entry[], FreeMemory> table_;
  mutable std::array<Lock, kLocks> locks_;
  std::atomic<bool> used_{false};
  std::atomic<std::uint64_t> evictions_{0};
};

}  // namespace pannier::limit
