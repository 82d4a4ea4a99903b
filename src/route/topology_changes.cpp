#include "pannier/route/node_roles.hpp"

namespace pannier::route {
namespace {

using base::LogLevel;

std::string name_of(const Topology& topology, NodeId id) {
  return id < topology.nodes.size() ? topology.nodes[id].name : "none";
}

// What Pannier does about a node that it cannot use.
const char* consequence(const Topology& topology, NodeId id) {
  return id == topology.primary
             ? "; requests for the primary fail until it answers or another node takes its role"
             : "; it gets no reads until then";
}

void describe_primary(const Topology& before,
                      const Topology& after,
                      std::vector<ChangeLine>& lines) {
  if (before.generation != 0 && before.primary != after.primary) {
    lines.push_back({LogLevel::Warn,
                     before.has_primary()
                         ? "primary changed from " + name_of(before, before.primary) + " to " +
                               name_of(after, after.primary)
                         : "primary is " + name_of(after, after.primary)});
  } else if (before.generation == 0 && after.has_primary()) {
    if (!after.nodes[after.primary].reachable) {
      return;  // its own line says so
    }
    lines.push_back({LogLevel::Info, "primary is " + name_of(after, after.primary)});
  } else if (before.generation == 0) {
    lines.push_back({LogLevel::Warn, "no node says that it is the primary: writes fail"});
  }
}

void describe_node(const Node& was,
                   const Node& now,
                   const Topology& after,
                   std::vector<ChangeLine>& lines) {
  const bool is_primary = now.id == after.primary;
  if (!now.reachable) {
    if (was.reachable || was.last_error != now.last_error) {
      lines.push_back({LogLevel::Warn,
                       now.name + (was.reachable ? " is lost: " : " does not answer: ") +
                           now.last_error + consequence(after, now.id)});
    }
    return;
  }
  if (!was.reachable || was.role != now.role) {
    lines.push_back({LogLevel::Info,
                     now.name + (was.reachable ? " is now " : " answers as ") +
                         to_string(now.role) + " at " + now.address.to_string()});
  } else if (!(was.address == now.address)) {
    lines.push_back({LogLevel::Info, now.name + " moved to " + now.address.to_string()});
  }
  if (is_primary && now.role == Role::Replica) {
    if (was.role != now.role) {
      lines.push_back({LogLevel::Warn,
                       now.name + " is a replica, but there is no other primary: it serves, and "
                                  "refuses writes itself"});
    }
  } else if (!now.ready && now.last_error != was.last_error) {
    lines.push_back({LogLevel::Warn, now.name + " " + now.last_error + ": not used"});
  } else if (now.ready && !was.ready && now.role == Role::Replica) {
    lines.push_back({LogLevel::Info, "replica " + now.name + " is ready"});
  }
}

}  // namespace

std::vector<ChangeLine> describe_changes(const Topology& before, const Topology& after) {
  std::vector<ChangeLine> lines;
  describe_primary(before, after, lines);
  for (const Node& now : after.nodes) {
    const Node unknown;
    const Node& was = now.id < before.nodes.size() ? before.nodes[now.id] : unknown;
    describe_node(was, now, after, lines);
  }
  return lines;
}

}  // namespace pannier::route
