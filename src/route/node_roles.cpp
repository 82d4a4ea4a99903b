#include "pannier/route/node_roles.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pannier::route {
namespace {

constexpr std::size_t kMaxCheckpoints = 32;

// The lowest of the last rounds: what is above it is a busy machine, not a longer way.
std::uint32_t lowest(const std::array<std::uint32_t, NodeRoles::kRounds>& rounds) {
  std::uint32_t out = 0;
  for (const std::uint32_t rtt : rounds) {
    out = rtt != 0 && (out == 0 || rtt < out) ? rtt : out;
  }
  return out;
}

// Published round trips move only when they moved for good: `reads: nearest` must not hop between
// two nodes because of noise.
std::uint32_t with_hysteresis(std::uint32_t published, std::uint32_t measured) {
  const std::uint32_t band = published / 4 + 100;
  const std::uint32_t apart = measured > published ? measured - published : published - measured;
  return published == 0 || apart > band ? measured : published;
}

bool differs(const Node& a, const Node& b) {
  const auto key = [](const Node& n) {
    return std::tie(n.zone,
                    n.role,
                    n.breaker,
                    n.reachable,
                    n.ready,
                    n.spare,
                    n.caught_up_epoch,
                    n.rtt_us,
                    n.run_id,
                    n.last_error);
  };
  return key(a) != key(b) || !(a.address == b.address);
}

bool differs(const Topology& a, const Topology& b) {
  return a.nodes.size() != b.nodes.size() || a.primary != b.primary || a.own_zone != b.own_zone ||
         a.server_version != b.server_version ||
         !std::equal(
             a.nodes.begin(), a.nodes.end(), b.nodes.begin(), [](const Node& x, const Node& y) {
               return !differs(x, y);
             });
}

}  // namespace

NodeRoles::NodeRoles(const config::Config& config)
    : single_(config.upstream.kind == config::UpstreamKind::Single),
      grace_(3 * config.upstream.probe),
      seen_(config.upstream.nodes.size()) {
  for (const auto& configured : config.upstream.nodes) {
    Node node;
    node.id = static_cast<NodeId>(next_.nodes.size());
    node.name = configured.address.to_string();
    node.zone = configured.zone;
    next_.nodes.push_back(std::move(node));
  }
  if (single_ && !next_.nodes.empty()) {
    next_.primary = 0;
  }
}

void NodeRoles::answered(NodeId id,
                         const ProbeAnswer& answer,
                         std::uint64_t closed_epoch,
                         base::TimePoint now) {
  Node& node = next_.nodes[id];
  Seen& seen = seen_[id];
  const bool restarted = !answer.run_id.empty() && answer.run_id != node.run_id;
  if (restarted) {
    seen.last_good.reset();  // its data may be older than what it had before
    node.run_id = answer.run_id;
  }
  seen.tried = true;
  seen.answer = answer;
  seen.rtt_us[seen.rounds++ % seen.rtt_us.size()] = std::max(1U, answer.rtt_us);
  node.rtt_us = with_hysteresis(node.rtt_us, lowest(seen.rtt_us));
  node.role = answer.role;
  node.reachable = true;
  node.offset =
      (answer.role == Role::Replica ? answer.applied_offset : answer.written_offset).value_or(0);
  if (node.zone.empty()) {
    node.zone = answer.zone;
  }
  if (!answer.version.empty()) {
    next_.server_version = answer.version;
  }
  const bool was_primary = id == next_.primary;
  choose_primary(now);
  if (id == next_.primary) {
    note_primary(was_primary ? closed_epoch : 0, now);
  } else if (node.role == Role::Replica) {
    note_replica(node, now);
  }
  judge(now);
}

void NodeRoles::failed(NodeId id, std::string error, base::TimePoint now) {
  Node& node = next_.nodes[id];
  seen_[id].tried = true;
  node.reachable = false;
  node.last_error = std::move(error);
  choose_primary(now);
  judge(now);
}

void NodeRoles::resolved(NodeId id, const base::SocketAddress& address) {
  next_.nodes[id].address = address;
}

void NodeRoles::set_breaker(NodeId id, BreakerState state, base::TimePoint now) {
  next_.nodes[id].breaker = state;
  judge(now);
}

void NodeRoles::add(std::string name) {
  Node node;
  node.id = static_cast<NodeId>(next_.nodes.size());
  node.name = std::move(name);
  next_.nodes.push_back(std::move(node));
  seen_.emplace_back();
}

void NodeRoles::forget(NodeId id, std::string reason) {
  Node empty;
  empty.id = id;
  empty.name = next_.nodes[id].name;
  empty.last_error = std::move(reason);
  next_.nodes[id] = std::move(empty);
  seen_[id] = {};
  seen_[id].tried = true;
}

void NodeRoles::set_own_zone(std::string zone) {
  next_.own_zone = std::move(zone);
}

bool NodeRoles::is_settled() const {
  return primary_answers() ||
         std::all_of(seen_.begin(), seen_.end(), [](const Seen& seen) { return seen.tried; });
}

TopologyPtr NodeRoles::take_changed() {
  if (published_ && !differs(*published_, next_)) {
    return nullptr;
  }
  ++next_.generation;
  published_ = std::make_shared<const Topology>(next_);
  return published_;
}

bool NodeRoles::primary_answers() const {
  return next_.has_primary() && next_.nodes[next_.primary].reachable &&
         (single_ || next_.nodes[next_.primary].role == Role::Primary);
}

bool NodeRoles::claims(const Node& node) const {
  return node.reachable && node.role == Role::Primary;
}

std::uint32_t NodeRoles::followers(const Node& node) const {
  const std::string& history = seen_[node.id].answer.replication_id;
  std::uint32_t count = 0;
  for (const Node& other : next_.nodes) {
    const ProbeAnswer& answer = seen_[other.id].answer;
    count += other.reachable && other.role == Role::Replica && answer.link_up && !history.empty() &&
                     answer.replication_id == history
                 ? 1U
                 : 0U;
  }
  return count;
}

bool NodeRoles::is_better(const Node& node, const Node& than) const {
  if (!node.run_id.empty() && node.run_id == than.run_id) {
    return node.id < than.id;
  }
  const auto rank = [this](const Node& n) {
    return std::make_tuple(
        followers(n), seen_[n.id].answer.connected_replicas, n.id == next_.primary, n.offset);
  };
  return rank(node) > rank(than);
}

void NodeRoles::choose_primary(base::TimePoint now) {
  if (single_) {
    return;
  }
  const Node* best = nullptr;
  for (const Node& node : next_.nodes) {
    if (claims(node) && (best == nullptr || is_better(node, *best))) {
      best = &node;
    }
  }
  if (best != nullptr && best->id != next_.primary) {
    next_.primary = best->id;
    note_primary(0, now);
  }
}

// A new primary, or the old one with another history (it was restarted, or demoted and promoted
// again): no offset noted so far says anything about it.
void NodeRoles::note_primary(std::uint64_t closed_epoch, base::TimePoint now) {
  const Node& node = next_.nodes[next_.primary];
  const ProbeAnswer& answer = seen_[node.id].answer;
  const bool same =
      history_of_ == node.id && history_ == answer.replication_id && history_run_ == node.run_id;
  if (!same) {
    history_of_ = node.id;
    history_ = answer.replication_id;
    history_run_ = node.run_id;
    checkpoints_.clear();
  }
  primary_offset_ = answer.role == Role::Primary ? answer.written_offset : std::nullopt;
  if (primary_answers()) {
    primary_seen_ = now;
  }
  if (!same) {
    for (Node& other : next_.nodes) {
      if (other.id != node.id && other.reachable && other.role == Role::Replica) {
        note_replica(other, now);
      }
    }
    return;  // the epoch was closed for whoever was primary before
  }
  if (closed_epoch == 0 || !primary_offset_) {
    return;
  }
  if (checkpoints_.empty() || checkpoints_.back().epoch < closed_epoch) {
    checkpoints_.push_back({closed_epoch, *primary_offset_});
  }
  if (checkpoints_.size() > kMaxCheckpoints) {
    checkpoints_.pop_front();
  }
}

// Lag is taken against the primary's last offset when the replica answers, never the other way
// round: an old answer of the replica would look like lag under a heavy stream of writes.
void NodeRoles::note_replica(Node& node, base::TimePoint now) {
  Seen& seen = seen_[node.id];
  const ProbeAnswer& answer = seen.answer;
  seen.in_step = shares_history(answer) && primary_offset_;
  seen.too_far = false;
  if (seen.in_step) {
    const std::uint64_t written = *primary_offset_;
    const std::uint64_t applied = *answer.applied_offset;
    node.lag_bytes = written > applied ? written - applied : 0;
    seen.too_far = node.lag_bytes > kMaxLag;
  }
  if (seen.in_step && answer.link_up && !seen.too_far && !answer.loading) {
    seen.last_good = now;
  }
}

void NodeRoles::judge(base::TimePoint now) {
  for (Node& node : next_.nodes) {
    node.ready = node.spare = false;
    node.caught_up_epoch = 0;
    if (!node.reachable) {
      continue;
    }
    node.last_error.clear();
    if (seen_[node.id].answer.loading) {
      node.last_error = "is loading its data";
    } else if (node.id == next_.primary) {
      node.ready = true;
    } else if (const Node* twin = twin_of(node); twin != nullptr) {
      node.last_error = "is the same server as " + twin->name;
    } else if (node.role == Role::Replica) {
      judge_replica(node, now);
    } else {
      node.last_error = node.role == Role::Primary ? "claims to be primary, as another node does"
                                                   : "does not tell its role";
    }
    if (node.breaker == BreakerState::Open) {
      node.spare = node.ready && node.id != next_.primary;
      node.ready = false;
      node.last_error = "its breaker is open";
    }
  }
}

// The same server under a name that comes before: the primary's, or an earlier one.
const Node* NodeRoles::twin_of(const Node& node) const {
  if (node.run_id.empty()) {
    return nullptr;
  }
  const auto is_twin = [&](const Node& other) {
    return other.id != node.id && other.reachable && other.run_id == node.run_id &&
           (other.id < node.id || other.id == next_.primary);
  };
  const auto found = std::find_if(next_.nodes.begin(), next_.nodes.end(), is_twin);
  return found == next_.nodes.end() ? nullptr : &*found;
}

void NodeRoles::judge_replica(Node& node, base::TimePoint now) {
  const Seen& seen = seen_[node.id];
  const ProbeAnswer& answer = seen.answer;
  if (shares_history(answer)) {
    node.caught_up_epoch = caught_up(*answer.applied_offset);
  }
  const bool good = seen.in_step && answer.link_up && !seen.too_far;
  const base::TimePoint until = primary_answers() ? now : primary_seen_;
  const bool in_grace =
      !seen.too_far && seen.last_good.has_value() && until - *seen.last_good <= grace_;
  node.ready = good || in_grace;
  if (node.ready) {
    return;
  }
  if (seen.too_far) {
    node.last_error = "is too far behind the primary";
  } else if (!answer.link_up) {
    node.last_error = "has no link to its primary " + answer.following;
  } else {
    node.last_error = "follows " + answer.following + ", with unknown lag behind our primary";
  }
}

// Only within the primary's present history does an offset say what was applied.
bool NodeRoles::shares_history(const ProbeAnswer& answer) const {
  return next_.has_primary() && history_of_ == next_.primary && answer.replication_id == history_ &&
         answer.applied_offset.has_value();
}

std::uint64_t NodeRoles::caught_up(std::uint64_t applied) const {
  std::uint64_t epoch = 0;
  for (const Checkpoint& checkpoint : checkpoints_) {
    epoch = checkpoint.offset <= applied ? checkpoint.epoch : epoch;
  }
  return epoch;
}

}  // namespace pannier::route
