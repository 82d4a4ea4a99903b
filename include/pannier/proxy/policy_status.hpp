#pragma once

#include "pannier/metrics/snapshot.hpp"

#include <mutex>
#include <utility>

namespace pannier::proxy {

// What the control thread last knew of the policy's file, for everybody to read. Thread-safe; part
// of Shared. Rarely used: by people.
class PolicyStatus {
 public:
  void set(metrics::PolicyState state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }

  [[nodiscard]] metrics::PolicyState get() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  mutable std::mutex mutex_;
  metrics::PolicyState state_;
};

}  // namespace pannier::proxy
