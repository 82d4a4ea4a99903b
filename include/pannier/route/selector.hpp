#pragma once

#include "pannier/config/config.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

namespace pannier::route {

// Why a node was chosen; shown by PANNIER EXPLAIN, never a metric label with unbounded values.
enum class RouteReason : std::uint8_t {
  Write,           // writes go to the primary
  NotReplicaSafe,  // the command may not run on a replica
  ReadsPrimary,    // `reads: primary`, or a strong listener
  RecentWrite,     // read-your-writes keeps this key on the primary
  SessionWrite,    // a write of this session is in flight
  SameZoneReplica,
  SameZonePrimary,
  AnyReplica,  // no ready replica in the zone
  NearestNode,
  PrimaryFallback,  // no replica is ready
  SpareReplica,     // nor is the primary: one whose breaker is open
  PrimaryAway,      // a replica serves what is the primary's: `on_error: stale`
  NoNode            // nothing can serve it
};

[[nodiscard]] const char* to_string(RouteReason reason);

struct Route {
  NodeId node = kNoNode;
  RouteReason reason = RouteReason::NoNode;
};

namespace detail {

// Equal candidates in a ring that starts at the session's own place, so that a session stays on its
// node and only a key that this node may not serve yet moves on.
struct Pick {
  NodeId node = kNoNode;
  bool skipped = false;  // read-your-writes forbade at least one
};

template <typename IsCandidate, typename IsRecent>
[[nodiscard]] Pick pick_of(const Topology& topology,
                           std::uint32_t salt,
                           const IsCandidate& is_candidate,
                           IsRecent& is_recent) {
  std::uint32_t count = 0;
  for (const Node& node : topology.nodes) {
    count += is_candidate(node) ? 1U : 0U;
  }
  if (count == 0) {
    return {};
  }
  const std::uint32_t own = salt % count;
  Pick before_own;  // what the ring reaches after its end
  bool skipped = false;
  std::uint32_t place = 0;
  for (const Node& node : topology.nodes) {
    if (!is_candidate(node)) {
      continue;
    }
    const bool after_own = place++ >= own;
    if (!after_own && before_own.node != kNoNode) {
      continue;
    }
    if (node.id != topology.primary && is_recent(node)) {
      skipped = true;
    } else if (after_own) {
      return {node.id, skipped};
    } else {
      before_own.node = node.id;
    }
  }
  before_own.skipped = skipped;
  return before_own;
}

[[nodiscard]] inline bool is_ready_replica(const Topology& topology, const Node& node) {
  return node.ready && node.role == Role::Replica && node.id != topology.primary;
}

[[nodiscard]] inline bool is_spare_replica(const Topology& topology, const Node& node) {
  return node.spare && node.role == Role::Replica && node.id != topology.primary;
}

// Two nodes this close are equally near: noise must not move all sessions from one to the other.
[[nodiscard]] constexpr std::uint32_t equally_near(std::uint32_t rtt_us) {
  return rtt_us + rtt_us / 4 + 100;
}

// One choice: remembers whether a candidate was passed over for read-your-writes, because that is
// then the reason why the primary serves.
template <typename IsRecent>
class Choice {
 public:
  Choice(const Topology& topology, std::uint32_t salt, IsRecent& is_recent, NodeId avoided)
      : topology_(topology),
        salt_(salt),
        is_recent_(is_recent),
        avoided_(avoided) {}

  [[nodiscard]] Route primary(RouteReason reason) const {
    if (!topology_.has_primary()) {
      return {};
    }
    return {topology_.primary, skipped_ ? RouteReason::RecentWrite : reason};
  }

  [[nodiscard]] Route any_replica() {
    const NodeId node = try_among([this](const Node& n) { return is_ready_replica(topology_, n); });
    return node != kNoNode ? Route{node, RouteReason::AnyReplica} : last_resort();
  }

  [[nodiscard]] Route same_zone() {
    if (topology_.own_zone.empty()) {
      return any_replica();
    }
    const NodeId node = try_among([this](const Node& n) {
      return n.zone == topology_.own_zone && is_ready_replica(topology_, n);
    });
    if (node != kNoNode) {
      return {node, RouteReason::SameZoneReplica};
    }
    if (topology_.has_primary()) {
      const Node& candidate = topology_.nodes[topology_.primary];
      if (candidate.ready && candidate.zone == topology_.own_zone && candidate.id != avoided_) {
        return primary(RouteReason::SameZonePrimary);
      }
    }
    return any_replica();
  }

  [[nodiscard]] Route nearest() {
    constexpr auto kFar = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t lowest = kFar;
    for (const Node& node : topology_.nodes) {
      const bool counts = node.ready && node.id != avoided_;
      lowest = counts && node.rtt_us < lowest ? node.rtt_us : lowest;
    }
    if (lowest == kFar) {
      return last_resort();
    }
    const std::uint32_t limit = equally_near(lowest);
    const NodeId node = try_among([limit](const Node& n) { return n.ready && n.rtt_us <= limit; });
    return node != kNoNode ? Route{node, RouteReason::NearestNode} : last_resort();
  }

 private:
  // No ready replica may serve.
  [[nodiscard]] Route last_resort() {
    const bool primary_serves = topology_.has_primary() && topology_.primary != avoided_ &&
                                topology_.nodes[topology_.primary].ready;
    if (!primary_serves) {
      const NodeId node =
          try_among([this](const Node& n) { return is_spare_replica(topology_, n); });
      if (node != kNoNode) {
        return {node, RouteReason::SpareReplica};
      }
    }
    return primary(RouteReason::PrimaryFallback);
  }

  template <typename IsCandidate>
  NodeId try_among(const IsCandidate& is_candidate) {
    const auto is_allowed = [&](const Node& n) {
      return n.id != avoided_ && is_candidate(n);
    };
    const Pick pick = pick_of(topology_, salt_, is_allowed, is_recent_);
    skipped_ = skipped_ || pick.skipped;
    return pick.node;
  }

  const Topology& topology_;
  std::uint32_t salt_;
  IsRecent& is_recent_;
  NodeId avoided_;
  bool skipped_ = false;
};

}  // namespace detail

// Behaviour 3.4: picks the node of a read that may run on replicas. Pure and cheap (no allocation).
// `salt` spreads sessions over equal candidates and keeps one session on one of them. `is_recent`
// says per candidate whether read-your-writes forbids it: called as is_recent(node) -> bool, never
// for the primary. `reads: primary` and a missing candidate give the primary (or NoNode): the last
// known one, even while it does not answer, because its lane is the place to say so. `avoided` has
// just failed the same read: it is chosen only where no other node is left. So is a spare node.
template <typename IsRecent>
[[nodiscard]] Route select_read(const Topology& topology,
                                config::Reads reads,
                                std::uint32_t salt,
                                IsRecent&& is_recent,
                                NodeId avoided = kNoNode) {
  detail::Choice<std::remove_reference_t<IsRecent>> choice(topology, salt, is_recent, avoided);
  switch (reads) {
    case config::Reads::Replica:
      return choice.any_replica();
    case config::Reads::SameZone:
      return choice.same_zone();
    case config::Reads::Nearest:
      return choice.nearest();
    case config::Reads::Primary:
      break;
  }
  return choice.primary(RouteReason::ReadsPrimary);
}

}  // namespace pannier::route
