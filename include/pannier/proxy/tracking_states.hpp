#pragma once

#include "pannier/upstream/tracking.hpp"

#include <mutex>
#include <utility>
#include <vector>

namespace pannier::proxy {

// What worker 0's tracker last knew of each node, for everybody to read. Thread-safe; part of
// Shared. Rarely used: by people and by scrapes.
class TrackingStates {
 public:
  // By node id; empty: nothing is tracked.
  void set(std::vector<upstream::TrackingState> states) {
    const std::lock_guard lock(mutex_);
    states_ = std::move(states);
  }

  [[nodiscard]] std::vector<upstream::TrackingState> get() const {
    const std::lock_guard lock(mutex_);
    return states_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<upstream::TrackingState> states_;
};

}  // namespace pannier::proxy
