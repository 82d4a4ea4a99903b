#pragma once

#include "pannier/admin/routes.hpp"
#include "pannier/base/memory_budget.hpp"
#include "pannier/cache/hot_keys.hpp"
#include "pannier/config/config.hpp"
#include "pannier/metrics/snapshot.hpp"
#include "pannier/route/topology.hpp"

#include <string>
#include <vector>

// What the ports show of nodes, listeners and keys. Pure.
namespace pannier::app {

[[nodiscard]] metrics::NodeState node_state(const route::Node& node);
[[nodiscard]] metrics::MemoryState memory_state(const base::MemoryBudget& memory);
[[nodiscard]] std::string listener_note(const config::Listener& listener);
// `show_keys`: by their names, else hashed.
[[nodiscard]] std::vector<admin::HotKeyView> view_of(const std::vector<cache::HotKeys::Entry>& keys,
                                                     bool show_keys);

}  // namespace pannier::app
