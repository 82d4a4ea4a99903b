#pragma once

#include "pannier/base/clock.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>

namespace pannier::base {

// Who holds memory. "Other" is what is left of the resident memory: code, stacks, tables, what the
// allocator has not given back.
enum class MemoryOwner : std::uint8_t {
  NearCache,
  ShadowCache,
  Output,       // replies that are queued for clients
  Held,         // unparsed input of sessions, and replies that wait for earlier ones
  Upstream,     // requests that are not answered, parts of replies
  Slots,        // one per request in flight
  Flights,      // replies that are collected to be kept
  Connections,  // what an idle client takes
  kCount
};

inline constexpr auto kMemoryOwners = static_cast<std::size_t>(MemoryOwner::kCount);

enum class MemoryLevel : std::uint8_t {
  Normal,
  Tight,  // the near cache shrinks, clients may have less under way
  Full    // new work is refused, who holds the most is closed
};

[[nodiscard]] std::string_view to_string(MemoryOwner owner);  // "near_cache"
[[nodiscard]] std::string_view to_string(MemoryLevel level);  // "tight"

using MemoryHeld = std::array<std::size_t, kMemoryOwners>;  // bytes, by owner

// What the system says, in bytes. 0: not known.
struct MemoryReading {
  std::size_t resident = 0;  // of the process
  std::size_t group = 0;     // in use in its cgroup, but for what can be reclaimed at once
  std::size_t group_limit = 0;
};

// The one budget of the process. Its truth is the resident memory, which is read every now and then
// while there is traffic; between two readings what the workers say that they hold is added to it.
// Each worker reports once per turn and is told how much it may come to hold before the next level
// begins. Thread-safe; nothing here is called per request.
class MemoryBudget {
 public:
  // Of the budget; a level ends lower than it begins.
  static constexpr std::size_t kTightFrom = 80;  // percent
  static constexpr std::size_t kTightUntil = 72;
  static constexpr std::size_t kFullFrom = 93;
  static constexpr std::size_t kFullUntil = 85;

  // `budget` 0: none.
  MemoryBudget(std::size_t budget, std::size_t workers, std::function<MemoryReading()> read);

  struct Allowance {
    MemoryLevel level = MemoryLevel::Normal;
    MemoryLevel before = MemoryLevel::Normal;  // where it differs, this call has changed it
    std::size_t tight_from = 0;                // bytes of the worker's own
    std::size_t full_from = 0;
    bool has_read = false;  // this call has read the system's figures: see to the near cache
  };

  // At the end of a turn. `held`: of this worker; what is shared is reported by `set_shared`.
  Allowance report(std::size_t worker, const MemoryHeld& held, TimePoint now);
  void set_shared(MemoryOwner owner, std::size_t bytes);
  // Reads again: something was given back.
  void read_again();

  [[nodiscard]] MemoryLevel level() const { return level_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::size_t budget() const { return budget_; }

  [[nodiscard]] std::size_t resident() const { return resident_.load(std::memory_order_relaxed); }

  // What it takes by now: the last reading and what has come or gone since.
  [[nodiscard]] std::size_t estimate() const;
  // Summed over the workers.
  [[nodiscard]] std::size_t held_by(MemoryOwner owner) const;
  // Of the workers, without what is shared.
  [[nodiscard]] std::size_t held() const;

  // `bytes` more would begin that level.
  [[nodiscard]] bool would_be_tight(std::size_t bytes) const {
    return estimate() + bytes > part(kTightUntil);
  }

  // What a worker's largest client holds, while memory is used up.
  void set_largest(std::size_t worker, std::size_t bytes);
  [[nodiscard]] std::size_t largest_of_others(std::size_t worker) const;
  // How much of the estimate must go before the level falls under `level`; 0: it is.
  [[nodiscard]] std::size_t excess_over(MemoryLevel level) const;

 private:
  struct alignas(64) Worker {
    std::array<std::atomic<std::size_t>, kMemoryOwners> held{};
    std::atomic<std::size_t> total{0};
    std::atomic<std::size_t> largest{0};
  };

  [[nodiscard]] std::size_t part(std::size_t percent) const { return budget_ / 100 * percent; }

  [[nodiscard]] MemoryLevel level_of(std::size_t estimate) const;
  [[nodiscard]] bool read_if_due(TimePoint now);

  const std::size_t budget_;
  const std::size_t workers_;
  std::mutex reading_;
  const std::function<MemoryReading()> read_;
  std::unique_ptr<Worker[]> held_;
  std::array<std::atomic<std::size_t>, kMemoryOwners> shared_{};
  std::atomic<TimePoint::rep> next_reading_{0};
  std::atomic<std::size_t> resident_{0};
  std::atomic<std::size_t> held_when_read_{0};
  std::atomic<MemoryLevel> group_level_{MemoryLevel::Normal};
  std::atomic<MemoryLevel> level_{MemoryLevel::Normal};
};

// Of this process: /proc/self/statm, and of its cgroup, either version.
[[nodiscard]] std::function<MemoryReading()> system_memory_reader(std::size_t group_limit);

}  // namespace pannier::base
