#pragma once

#include "pannier/metrics/worker_metrics.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::metrics {

// Which of WorkerMetrics::limits, or of `denials`, belongs to which rule: by its name, for as long
// as the process lives, so that counters survive a change of the policy. Thread-safe.
class RuleNames {
 public:
  // A new name gets the next place; past kMaxRules they share the last one.
  [[nodiscard]] std::uint16_t place_of(std::string_view name);
  // By place.
  [[nodiscard]] std::vector<std::string> all() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> names_;
};

}  // namespace pannier::metrics
