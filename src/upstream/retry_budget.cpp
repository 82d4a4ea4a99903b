#include "pannier/upstream/retry_budget.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::upstream {

bool RetryBudget::take(std::uint64_t requests, base::TimePoint now) {
  if (percent_ == 0) {
    return false;
  }
  const std::chrono::duration<double> passed = now - filled_at_;
  const double earned = static_cast<double>(requests - requests_) * percent_ / 100.0;
  tokens_ = std::min(kMost, tokens_ + earned + passed.count() * kPerSecond);
  requests_ = requests;
  filled_at_ = now;
  if (tokens_ < 1) {
    return false;
  }
  tokens_ -= 1;
  return true;
}

}  // namespace pannier::upstream
