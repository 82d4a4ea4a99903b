#pragma once

#include "pannier/config/config.hpp"
#include "pannier/config/policy.hpp"

#include <string>
#include <vector>

namespace pannier::config {

// What `pannier check` and the start print, a line each: listeners, nodes and zones, workers and
// memory with their sources, the worst case of upstream connections, timeouts, and the permissions
// that Pannier's own commands need upstream. No secrets.
[[nodiscard]] std::vector<std::string> describe(const Config& config);

// The same of a policy: its mode, a line for each class as it counts, the permissions for caching.
[[nodiscard]] std::vector<std::string> describe(const Policy& policy);

}  // namespace pannier::config
