#pragma once

#include <cstdint>

#include "pannier/config/config.hpp"
#include "pannier/route/topology.hpp"

namespace pannier::route {

// Why a node was chosen; shown by PANNIER EXPLAIN, never a metric label with unbounded values.
enum class RouteReason : std::uint8_t {
  Write,             // writes go to the primary
  NotReplicaSafe,    // the command may not run on a replica
  ReadsPrimary,      // `reads: primary`, or a strong listener
  RecentWrite,       // read-your-writes keeps this key on the primary
  SessionWrite,      // a write of this session is in flight
  SameZoneReplica,
  SameZonePrimary,
  AnyReplica,        // no ready replica in the zone
  NearestNode,
  PrimaryFallback,   // no replica is ready
  NoNode             // nothing can serve it
};

[[nodiscard]] const char* to_string(RouteReason reason);

struct Route {
  NodeId node = kNoNode;
  RouteReason reason = RouteReason::NoNode;
};

// Behaviour 3.4: picks the node of a read that may run on replicas. Pure and cheap (no allocation).
// `salt` spreads sessions over equal candidates and keeps one session on one of them. `is_recent`
// says per candidate whether read-your-writes forbids it: called as is_recent(node) -> bool.
// `reads: primary` and a missing candidate give the primary (or NoNode).
template <typename IsRecent>
[[nodiscard]] Route select_read(const Topology& topology,
                                config::Reads reads,
                                std::uint32_t salt,
                                IsRecent&& is_recent);

}  // namespace pannier::route
