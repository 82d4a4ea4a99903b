#include "pannier/base/memory_budget.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::base {
namespace {

constexpr auto kWhenLow = std::chrono::milliseconds(50);  // between two readings
constexpr auto kWhenHigh = std::chrono::milliseconds(20);

// Of the cgroup's limit. Others may live in the group too, so its being full alone closes nobody.
constexpr std::size_t kGroupTight = 90;
constexpr std::size_t kGroupFull = 97;

}  // namespace

std::string_view to_string(MemoryOwner owner) {
  constexpr std::array<std::string_view, kMemoryOwners> kNames{"near_cache",
                                                               "shadow_cache",
                                                               "output",
                                                               "held",
                                                               "upstream",
                                                               "slots",
                                                               "flights",
                                                               "connections"};
  return kNames.at(static_cast<std::size_t>(owner));
}

std::string_view to_string(MemoryLevel level) {
  constexpr std::array<std::string_view, 3> kNames{"normal", "tight", "full"};
  return kNames.at(static_cast<std::size_t>(level));
}

MemoryBudget::MemoryBudget(std::size_t budget,
                           std::size_t workers,
                           std::function<MemoryReading()> read)
    : budget_(budget == 0 ? SIZE_MAX : budget),
      workers_(std::max<std::size_t>(workers, 1)),
      read_(std::move(read)),
      held_(std::make_unique<Worker[]>(workers_)) {}

MemoryBudget::Allowance MemoryBudget::report(std::size_t worker,
                                             const MemoryHeld& held,
                                             TimePoint now) {
  Worker& mine = held_[worker];
  std::size_t total = 0;
  for (std::size_t i = 0; i < kMemoryOwners; ++i) {
    mine.held[i].store(held[i], std::memory_order_relaxed);
    total += held[i];
  }
  mine.total.store(total, std::memory_order_relaxed);
  Allowance out;
  out.has_read = read_if_due(now);
  const std::size_t now_taken = estimate();
  out.level = level_of(now_taken);
  out.before = out.level;
  if (level() != out.level) {
    out.before = level_.exchange(out.level, std::memory_order_relaxed);
  }
  if (out.level != MemoryLevel::Full) {
    mine.largest.store(0, std::memory_order_relaxed);
  }
  const auto room = [&](std::size_t percent) {
    const std::size_t line = part(percent);
    return line > now_taken ? (line - now_taken) / workers_ : 0;
  };
  out.tight_from = total + room(kTightFrom);
  out.full_from = total + room(kFullFrom);
  return out;
}

bool MemoryBudget::read_if_due(TimePoint now) {
  auto due = next_reading_.load(std::memory_order_relaxed);
  const auto ticks = now.time_since_epoch().count();
  const bool high = resident() > budget_ / 2;
  const Duration pause = high ? Duration(kWhenHigh) : Duration(kWhenLow);
  if (ticks < due || !next_reading_.compare_exchange_strong(
                         due, ticks + pause.count(), std::memory_order_relaxed)) {
    return false;
  }
  read_again();
  return true;
}

void MemoryBudget::read_again() {
  const std::lock_guard lock(reading_);
  const MemoryReading reading = read_();
  held_when_read_.store(held(), std::memory_order_relaxed);
  resident_.store(reading.resident, std::memory_order_relaxed);
  auto group = MemoryLevel::Normal;
  if (reading.group_limit > 0 && reading.group > reading.group_limit / 100 * kGroupTight) {
    const bool ours =
        reading.group > reading.group_limit / 100 * kGroupFull && reading.resident > budget_ / 2;
    group = ours ? MemoryLevel::Full : MemoryLevel::Tight;
  }
  group_level_.store(group, std::memory_order_relaxed);
}

void MemoryBudget::set_shared(MemoryOwner owner, std::size_t bytes) {
  shared_[static_cast<std::size_t>(owner)].store(bytes, std::memory_order_relaxed);
}

std::size_t MemoryBudget::held() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < workers_; ++i) {
    sum += held_[i].total.load(std::memory_order_relaxed);
  }
  return sum;
}

std::size_t MemoryBudget::held_by(MemoryOwner owner) const {
  const auto place = static_cast<std::size_t>(owner);
  std::size_t sum = shared_[place].load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < workers_; ++i) {
    sum += held_[i].held[place].load(std::memory_order_relaxed);
  }
  return sum;
}

std::size_t MemoryBudget::estimate() const {
  const std::size_t now = held();
  const std::size_t then = held_when_read_.load(std::memory_order_relaxed);
  const std::size_t resident = resident_.load(std::memory_order_relaxed);
  if (now >= then) {
    return resident + (now - then);
  }
  return resident - std::min(resident, then - now);
}

MemoryLevel MemoryBudget::level_of(std::size_t estimate) const {
  const MemoryLevel before = level();
  const auto group = group_level_.load(std::memory_order_relaxed);
  const bool was_full = before == MemoryLevel::Full;
  const bool was_tight = before != MemoryLevel::Normal;
  auto own = MemoryLevel::Normal;
  if (estimate > part(was_full ? kFullUntil : kFullFrom)) {
    own = MemoryLevel::Full;
  } else if (estimate > part(was_tight ? kTightUntil : kTightFrom)) {
    own = MemoryLevel::Tight;
  }
  return std::max(own, group);
}

void MemoryBudget::set_largest(std::size_t worker, std::size_t bytes) {
  held_[worker].largest.store(bytes, std::memory_order_relaxed);
}

std::size_t MemoryBudget::largest_of_others(std::size_t worker) const {
  std::size_t most = 0;
  for (std::size_t i = 0; i < workers_; ++i) {
    if (i != worker) {
      most = std::max(most, held_[i].largest.load(std::memory_order_relaxed));
    }
  }
  return most;
}

std::size_t MemoryBudget::excess_over(MemoryLevel level) const {
  const std::size_t line = part(level == MemoryLevel::Full ? kFullUntil : kTightUntil);
  const std::size_t now = estimate();
  return now > line ? now - line : 0;
}

}  // namespace pannier::base
