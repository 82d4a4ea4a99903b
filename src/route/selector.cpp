#include "pannier/route/selector.hpp"

namespace pannier::route {

const char* to_string(RouteReason reason) {
  switch (reason) {
    case RouteReason::Write:
      return "write";
    case RouteReason::NotReplicaSafe:
      return "not_replica_safe";
    case RouteReason::ReadsPrimary:
      return "reads_primary";
    case RouteReason::RecentWrite:
      return "recent_write";
    case RouteReason::SessionWrite:
      return "session_write";
    case RouteReason::SameZoneReplica:
      return "same_zone_replica";
    case RouteReason::SameZonePrimary:
      return "same_zone_primary";
    case RouteReason::AnyReplica:
      return "any_replica";
    case RouteReason::NearestNode:
      return "nearest_node";
    case RouteReason::PrimaryFallback:
      return "primary_fallback";
    case RouteReason::SpareReplica:
      return "spare_replica";
    case RouteReason::PrimaryAway:
      return "primary_away";
    case RouteReason::NoNode:
      break;
  }
  return "no_node";
}

}  // namespace pannier::route
