#include "pannier/metrics/rule_names.hpp"

#include <algorithm>

namespace pannier::metrics {

std::uint16_t RuleNames::place_of(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find(names_.begin(), names_.end(), name);
  auto place = static_cast<std::size_t>(found - names_.begin());
  if (found == names_.end()) {
    if (names_.size() + 1 < kMaxRules) {
      names_.emplace_back(name);
    } else {
      names_.resize(kMaxRules, "other");
      place = kMaxRules - 1;
    }
  }
  return static_cast<std::uint16_t>(place);
}

std::vector<std::string> RuleNames::all() const {
  const std::lock_guard lock(mutex_);
  return names_;
}

}  // namespace pannier::metrics
