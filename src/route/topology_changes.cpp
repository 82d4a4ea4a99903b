#include "pannier/route/node_roles.hpp"

#include <cstdint>
#include <string_view>

namespace pannier::route {
namespace {

using base::LogLevel;

std::string name_of(const Topology& topology, NodeId id) {
  return id < topology.nodes.size() ? topology.nodes[id].name : "none";
}

std::string place_of(const Node& node) {
  return node.name + " at " + node.address.to_string();
}

// What Pannier does about a node that it cannot use.
const char* consequence(const Topology& topology, NodeId id) {
  return id == topology.primary
             ? "; what needs the primary fails until it answers or another node takes its role"
             : "; it gets no requests until it answers";
}

// A node that is away fails in changing ways (closed, refused, timed out): one line is enough. A
// name that does not resolve and a wrong password are other matters, for somebody to mend.
enum class Trouble : std::uint8_t {
  Connection,
  Name,
  Password,
  Refusal
};

Trouble trouble_of(std::string_view error) {
  if (error.starts_with("its name")) {
    return Trouble::Name;
  }
  if (error.starts_with("authentication")) {
    return Trouble::Password;
  }
  return error.starts_with("answers") ? Trouble::Refusal : Trouble::Connection;
}

void describe_primary(const Topology& before,
                      const Topology& after,
                      std::vector<ChangeLine>& lines) {
  if (before.primary == after.primary) {
    if (before.generation == 0) {
      lines.push_back({LogLevel::Warn, "no node says that it is the primary: writes fail"});
    }
    return;
  }
  const Node& primary = after.nodes[after.primary];
  if (before.has_primary()) {
    lines.push_back(
        {LogLevel::Warn,
         "primary changed from " + name_of(before, before.primary) + " to " + place_of(primary)});
  } else if (primary.reachable) {
    lines.push_back({LogLevel::Info, "primary is " + place_of(primary)});
  }
}

void describe_lost(const Node& was,
                   const Node& now,
                   const Topology& after,
                   std::vector<ChangeLine>& lines) {
  const bool told = !was.reachable && !was.last_error.empty() &&
                    trouble_of(was.last_error) == trouble_of(now.last_error);
  if (!told && !now.last_error.empty()) {
    lines.push_back({LogLevel::Warn,
                     now.name + (was.reachable ? " is lost: " : " does not answer: ") +
                         now.last_error + consequence(after, now.id)});
  }
}

void describe_node(const Node& was,
                   const Node& now,
                   const Topology& after,
                   std::vector<ChangeLine>& lines) {
  const bool is_primary = now.id == after.primary;
  const bool is_new = !was.reachable || was.role != now.role;
  const std::string unready = now.ready ? "" : ", not used: " + now.last_error;
  if (is_primary && now.role == Role::Replica && is_new) {
    lines.push_back({LogLevel::Warn,
                     place_of(now) + " is a replica, but no other primary is known: it gets the "
                                     "writes, and refuses them itself"});
  } else if (is_new) {
    lines.push_back({LogLevel::Info,
                     place_of(now) + (was.reachable ? " is now " : " answers as ") +
                         to_string(now.role) + unready});
  } else if (!(was.address == now.address)) {
    lines.push_back({LogLevel::Info, now.name + " moved to " + now.address.to_string()});
  } else if (now.breaker == BreakerState::Open || was.breaker == BreakerState::Open) {
    return;  // the breaker tells of itself
  } else if (!now.ready && now.last_error != was.last_error) {
    lines.push_back({LogLevel::Warn, now.name + " " + now.last_error + ": not used"});
  } else if (now.ready && !was.ready) {
    lines.push_back({LogLevel::Info, now.name + " is ready"});
  }
}

}  // namespace

std::vector<ChangeLine> describe_changes(const Topology& before, const Topology& after) {
  std::vector<ChangeLine> lines;
  describe_primary(before, after, lines);
  for (const Node& now : after.nodes) {
    const Node unknown;
    const Node& was = now.id < before.nodes.size() ? before.nodes[now.id] : unknown;
    const bool told = now.id == after.primary && before.primary != after.primary && now.ready &&
                      now.role == Role::Primary;  // its line says as much
    if (!now.reachable) {
      describe_lost(was, now, after, lines);
    } else if (!told) {
      describe_node(was, now, after, lines);
    }
  }
  return lines;
}

}  // namespace pannier::route
