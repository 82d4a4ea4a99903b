#pragma once

#include "pannier/base/byte_queue.hpp"
#include "pannier/base/memory_budget.hpp"
#include "pannier/upstream/slot.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pannier::upstream {

// What one worker holds of the process's memory, kept as it changes, and what it may come to hold
// until its next report to the budget. On its worker's thread.
class WorkerMemory {
 public:
  WorkerMemory(const base::BlockPool& blocks, const SlotSlab& slots)
      : blocks_(&blocks),
        slots_(&slots) {}

  // In bytes. Whoever holds it adds it here and takes it away again.
  std::size_t sessions = 0;     // unparsed input, replies that wait for earlier ones
  std::size_t upstream = 0;     // parts of replies, requests that wait for a handshake
  std::size_t flights = 0;      // replies that are collected
  std::size_t connections = 0;  // what idle clients take

  [[nodiscard]] std::size_t held() const {
    return blocks_->used_bytes() + slots_->bytes() + sessions + upstream + flights + connections;
  }

  // At the end of a turn.
  void allow(const base::MemoryBudget::Allowance& allowance) {
    level_ = allowance.level;
    tight_from_ = allowance.tight_from;
    full_from_ = allowance.full_from;
  }

  // Where much may have come within the turn: the level rises at once, and falls at the turn's end.
  void look() {
    const std::size_t now = held();
    if (now > tight_from_) {
      level_ =
          std::max(level_, now > full_from_ ? base::MemoryLevel::Full : base::MemoryLevel::Tight);
    }
  }

  [[nodiscard]] bool is_normal() const { return level_ == base::MemoryLevel::Normal; }

  [[nodiscard]] bool is_full() const { return level_ == base::MemoryLevel::Full; }

  [[nodiscard]] base::MemoryLevel level() const { return level_; }

  // One of three values by the level.
  [[nodiscard]] std::size_t choose(std::size_t normal, std::size_t tight, std::size_t full) const {
    return is_normal() ? normal : is_full() ? full : tight;
  }

 private:
  const base::BlockPool* blocks_;
  const SlotSlab* slots_;
  base::MemoryLevel level_ = base::MemoryLevel::Normal;
  std::size_t tight_from_ = SIZE_MAX;
  std::size_t full_from_ = SIZE_MAX;
};

}  // namespace pannier::upstream
