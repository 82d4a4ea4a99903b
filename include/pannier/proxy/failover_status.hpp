#pragma once

#include "pannier/metrics/failover_state.hpp"

#include <mutex>
#include <utility>

namespace pannier::proxy {

// What the control thread last knew of breakers and failovers, for everybody to read. Thread-safe;
// part of Shared. Rarely used: by people.
class FailoverStatus {
 public:
  void set(metrics::FailoverState state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }

  [[nodiscard]] metrics::FailoverState get() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  mutable std::mutex mutex_;
  metrics::FailoverState state_;
};

}  // namespace pannier::proxy
