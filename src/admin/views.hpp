#pragma once

#include "pannier/admin/routes.hpp"
#include "pannier/metrics/snapshot.hpp"

#include <string>
#include <vector>

// What the admin port shows. Pure; key names are in none of it but hot_keys_json, as they come.
namespace pannier::admin {

[[nodiscard]] std::string topology_json(const metrics::Snapshot& snapshot);
[[nodiscard]] std::string stats_json(const metrics::Snapshot& snapshot, Readiness readiness);
[[nodiscard]] std::string hot_keys_json(const std::vector<HotKeyView>& keys);
[[nodiscard]] std::string faults_json(const std::vector<metrics::FaultState>& faults);
// One page without scripts or anything to load.
[[nodiscard]] std::string status_page(const metrics::Snapshot& snapshot,
                                      const AdminSources& sources);

}  // namespace pannier::admin
