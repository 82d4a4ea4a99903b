#include "views.hpp"

#include "pannier/proxy/cache_actions.hpp"

namespace pannier::app {

metrics::NodeState node_state(const route::Node& node) {
  metrics::NodeState out;
  out.name = node.name;
  out.zone = node.zone;
  out.role = route::to_string(node.role);
  out.up = node.reachable;
  out.ready = node.ready;
  if (node.role == route::Role::Replica) {
    out.lag_bytes = node.lag_bytes;
  }
  if (node.rtt_us != 0) {
    out.rtt_seconds = static_cast<double>(node.rtt_us) / 1e6;
  }
  out.last_error = node.last_error;
  return out;
}

metrics::MemoryState memory_state(const base::MemoryBudget& memory) {
  metrics::MemoryState out;
  out.level = static_cast<std::uint64_t>(memory.level());
  out.estimated_bytes = memory.estimate();
  for (std::size_t i = 0; i < base::kMemoryOwners; ++i) {
    const auto owner = static_cast<base::MemoryOwner>(i);
    out.owners.emplace_back(base::to_string(owner), memory.held_by(owner));
  }
  return out;
}

std::string listener_note(const config::Listener& listener) {
  if (listener.strong) {
    return "strong reads";
  }
  return listener.reads ? std::string("reads: ") + config::to_string(*listener.reads) : "";
}

std::vector<admin::HotKeyView> view_of(const std::vector<cache::HotKeys::Entry>& keys,
                                       bool show_keys) {
  std::vector<admin::HotKeyView> out;
  out.reserve(keys.size());
  for (const cache::HotKeys::Entry& each : keys) {
    out.push_back({show_keys ? each.key : proxy::hidden_key(each.key),
                   each.per_second,
                   each.count,
                   each.error,
                   each.bytes});
  }
  return out;
}

}  // namespace pannier::app
