#include "pannier/upstream/lane_set.hpp"

#include "pannier/base/log.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kFirstBackoff = milliseconds(50);
constexpr auto kMaxBackoff = seconds(2);
constexpr auto kIdle = seconds(60);
constexpr auto kFresh = milliseconds(100);
constexpr auto kMaxAge = minutes(60);  // give or take 10 %: 7/10, and 4/10 jittered to 2/10..4/10

// For the error text of a request that is refused at once.
std::string why_open(const route::Node& node) {
  return node.last_error.empty() ? "its breaker is open" : node.last_error;
}

}  // namespace

LaneSet::LaneSet(Runtime& runtime, ConnectionEvents& events)
    : runtime_(runtime),
      events_(events),
      random_(std::random_device{}()) {}

LaneSet::~LaneSet() = default;

base::Duration LaneSet::jittered(base::Duration around) {
  return base::Duration(
      static_cast<base::Duration::rep>(static_cast<double>(around.count()) *
                                       std::uniform_real_distribution<double>(0.5, 1.0)(random_)));
}

void LaneSet::set_topology(route::TopologyPtr topology) {
  topology_ = std::move(topology);
  nodes_.resize(topology_->nodes.size());
  for (const route::Node& node : topology_->nodes) {
    NodeState& state = nodes_[node.id];
    if (!(state.address == node.address)) {
      state.address = node.address;
      state.failures = 0;
      state.retry_at = {};
      retire_all(node.id);
    }
    switch (state.outage.update(node, runtime_.now)) {
      case Outage::News::Began:
        watch_silent(node.id);
        break;
      case Outage::News::Ended:
        start_afresh(node.id);
        break;
      case Outage::News::None:
        break;
    }
    if (node.reachable) {
      keep_warm(node.id);
    }
  }
}

// The node answers again: what was tried in vain says nothing any more. A connect that was begun
// while it was away may hang in the kernel's own back-off, and so may a lane with unanswered bytes:
// new requests must not wait behind either.
void LaneSet::start_afresh(route::NodeId node) {
  nodes_[node].failures = 0;
  nodes_[node].retry_at = {};
  std::vector<Connection*> begun;
  std::vector<Connection*> stuck;
  for (const Lane& lane : lanes_) {
    Connection& connection = *lane.connection;
    if (connection.node() != node || lane.connection->is_retired()) {
      continue;
    }
    const SlotIndex head = connection.pipeline().head();
    if (!connection.is_open() && connection.begun_at() + kFresh < runtime_.now) {
      begun.push_back(&connection);
    } else if (connection.is_open() && head != kNoSlot &&
               runtime_.slots[head].start + kFresh < runtime_.now &&
               connection.last_heard() + kFresh < runtime_.now) {
      stuck.push_back(&connection);
    }
  }
  for (Connection* connection : stuck) {
    retire(*connection);
  }
  for (Connection* connection : begun) {
    retire(*connection);  // so that this is no failure
    connection->close("the node answers again: a new connection is quicker");
  }
}

bool LaneSet::is_open(route::NodeId node) const {
  return topology_->nodes[node].is_refused();
}

void LaneSet::retire_all(route::NodeId node) {
  for (const Lane& lane : lanes_) {
    if (lane.connection->node() == node) {
      retire(*lane.connection);
    }
  }
}

// Behind a lane that is lost or missing: the ones that are to be open before anybody asks.
void LaneSet::keep_warm(route::NodeId node) {
  const route::Node& there_now = topology_->nodes[node];
  if (there_now.address.length == 0 || is_open(node) ||
      (!there_now.reachable && nodes_[node].failures > 0)) {
    return;  // nobody is at its place, or not now: set_topology will say when
  }
  for (std::uint32_t number = 0; number < runtime_.config.upstream.lanes.min; ++number) {
    const ConnectionSpec spec{node, 0, resp::Version::Resp2};
    const bool there = std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
      return lane.number == number && !lane.connection->is_retired() &&
             lane.connection->spec() == spec;
    });
    if (!there && (runtime_.now < nodes_[node].retry_at || open(spec, number) == nullptr)) {
      schedule_warm(node);
    }
  }
}

void LaneSet::schedule_warm(route::NodeId node) {
  if (closing_ || nodes_[node].warm_scheduled) {
    return;
  }
  nodes_[node].warm_scheduled = true;
  runtime_.timers.add(std::max(nodes_[node].retry_at, runtime_.now), [this, node] {
    nodes_[node].warm_scheduled = false;
    keep_warm(node);
  });
}

Connection* LaneSet::pick(const ConnectionSpec& spec, std::uint32_t salt, bool heavy) {
  if (is_open(spec.node)) {
    why_not_ = why_open(topology_->nodes[spec.node]);
    return nullptr;
  }
  const config::LanePool& pool = runtime_.config.upstream.lanes;
  const std::uint32_t number = heavy && pool.max > pool.min ? pool.min : salt % pool.min;
  for (Lane& lane : lanes_) {
    if (lane.number == number && !lane.connection->is_retired() &&
        lane.connection->spec() == spec) {
      return lane.connection.get();
    }
  }
  const NodeState& state = nodes_[spec.node];
  if (runtime_.now < state.retry_at) {
    why_not_ = state.last_error;
    return nullptr;
  }
  return open(spec, number);
}

Connection* LaneSet::open(const ConnectionSpec& spec, std::uint32_t number) {
  if (closing_) {
    why_not_ = "Pannier is shutting down";
    return nullptr;
  }
  if (runtime_.connect_budget != nullptr) {
    const auto wait =
        runtime_.connect_budget->take(spec.node, ConnectBudget::For::Lane, runtime_.now);
    if (wait > base::Duration::zero()) {
      runtime_.metrics.nodes.at(spec.node).connects_delayed.add();
      why_not_ = "too many connections to it were opened at once; the next one waits a moment";
      nodes_[spec.node].retry_at = runtime_.now + wait + jittered(wait);
      nodes_[spec.node].last_error = why_not_;
      return nullptr;
    }
  }
  auto connection = std::make_unique<Connection>(runtime_, events_, spec);
  if (!connection->open(topology_->nodes[spec.node])) {
    why_not_ = connection->close_reason();
    count_failure(spec.node, why_not_);
    return nullptr;
  }
  runtime_.metrics.nodes.at(spec.node).lanes.add();
  lanes_.push_back(
      {std::move(connection), number, runtime_.now + kMaxAge * 7 / 10 + jittered(kMaxAge * 2 / 5)});
  return lanes_.back().connection.get();
}

void LaneSet::count_failure(route::NodeId node, const std::string& error) {
  NodeState& state = nodes_[node];
  if (state.failures == 0) {
    base::log_warn("upstream",
                   "node {} cannot be used: {}; requests for it are refused until it answers",
                   topology_->nodes[node].name,
                   error);
  }
  const auto backoff =
      std::min<base::Duration>(kFirstBackoff * (1U << std::min(state.failures, 6U)), kMaxBackoff);
  ++state.failures;
  state.last_error = error;
  state.retry_at = runtime_.now + jittered(backoff);
}

void LaneSet::opened(Connection& lane) {
  NodeState& state = nodes_[lane.node()];
  if (state.failures > 0) {
    base::log_info("upstream", "node {} is back", lane.node_name());
  }
  state.failures = 0;
  state.retry_at = {};
}

void LaneSet::closed(Connection& lane) {
  const auto found = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& candidate) {
    return candidate.connection.get() == &lane;
  });
  if (found == lanes_.end()) {
    return;
  }
  const bool warm = is_warm(*found) && !found->connection->is_retired();
  const bool was_open = lane.opened_at() != base::TimePoint{};
  if (!was_open && lane.refusal().find("DB index") != std::string::npos) {
    refused_ = lane.spec();
    refusal_ = lane.refusal();
    refused_at_ = runtime_.now;
  } else if (!was_open && !found->connection->is_retired() && !closing_) {
    count_failure(lane.node(), lane.close_reason());
  } else if (was_open && !found->connection->is_retired() && !closing_) {
    base::log_warn("upstream", "lost a lane to {}: {}", lane.node_name(), lane.close_reason());
  }
  runtime_.metrics.nodes.at(lane.node()).lanes.sub();
  dead_.push_back(std::move(found->connection));
  lanes_.erase(found);
  if (warm) {
    schedule_warm(lane.node());
  }
}

std::string_view LaneSet::away(route::NodeId node) const {
  if (is_open(node)) {
    return "its breaker is open";
  }
  return runtime_.now < nodes_[node].retry_at ? std::string_view(nodes_[node].last_error)
                                              : std::string_view{};
}

std::string_view LaneSet::refusal(route::NodeId node, std::uint32_t db) const {
  const bool same = refused_.node == node && refused_.db == db;
  return same && runtime_.now - refused_at_ < seconds(1) ? std::string_view(refusal_)
                                                         : std::string_view{};
}

bool LaneSet::is_warm(const Lane& lane) const {
  return lane.connection->spec().db == 0 &&
         lane.connection->spec().version == resp::Version::Resp2 &&
         lane.number < runtime_.config.upstream.lanes.min;
}

std::size_t LaneSet::held_up() const {
  return static_cast<std::size_t>(std::count_if(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.connection->is_retired() && lane.connection->paused();
  }));
}

std::size_t LaneSet::held_bytes() const {
  std::size_t sum = 0;
  for (const Lane& lane : lanes_) {
    sum += lane.connection->held_bytes();
  }
  return sum;
}

bool LaneSet::owns(const Connection& connection) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& candidate) {
    return candidate.connection.get() == &connection;
  });
}

void LaneSet::retire(Connection& lane) {
  for (Lane& candidate : lanes_) {
    if (candidate.connection.get() == &lane && !lane.is_retired()) {
      lane.retire();
      runtime_.metrics.nodes.at(lane.node()).lanes_retired.add();
      if (is_warm(candidate)) {
        schedule_warm(lane.node());
      }
      runtime_.timers.add(runtime_.now, [this] { housekeep(); });
      return;
    }
  }
}

void LaneSet::answered(Connection& lane) {
  if (lane.is_retired()) {
    lane.close("retired");
  }
}

// Those who wait on it are told, and the next request opens a new one.
void LaneSet::close_hung() {
  std::vector<std::pair<Connection*, std::string_view>> hung;
  for (const Lane& lane : lanes_) {
    const Outage& outage = nodes_[lane.connection->node()].outage;
    const auto why = why_hung(*lane.connection, outage, Sharing::Shared, runtime_);
    if (!why.empty()) {
      hung.emplace_back(lane.connection.get(), why);
    }
  }
  for (const auto& [connection, why] : hung) {
    connection->lose_silent(std::string(why));
  }
}

void LaneSet::close_unanswered() {
  std::vector<Connection*> dead;
  for (const Lane& lane : lanes_) {
    if (ping_failed(*lane.connection, runtime_)) {
      dead.push_back(lane.connection.get());
    }
  }
  for (Connection* connection : dead) {
    connection->lose_silent(std::string(kPingFailed));
  }
}

// While a node does not answer the prober its lanes are looked at more often than by housekeeping.
void LaneSet::watch_silent(route::NodeId node) {
  if (closing_ || std::exchange(nodes_[node].outage.is_watched, true)) {
    return;
  }
  runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.write, [this, node] {
    nodes_[node].outage.is_watched = false;
    if (nodes_[node].outage.since) {
      close_hung();
      watch_silent(node);
    }
  });
}

void LaneSet::note_oldest() {
  for (const Lane& lane : lanes_) {
    runtime_.metrics.nodes[lane.connection->node()].oldest.set(0);
  }
  for (const Lane& lane : lanes_) {
    const SlotIndex head = lane.connection->pipeline().head();
    metrics::Gauge& oldest = runtime_.metrics.nodes[lane.connection->node()].oldest;
    if (head != kNoSlot) {
      const std::int64_t began = runtime_.slots[head].start.time_since_epoch().count();
      oldest.set(oldest.value() == 0 ? began : std::min(oldest.value(), began));
    }
  }
}

void LaneSet::suspect(route::NodeId node) {
  if (closing_ || std::exchange(nodes_[node].outage.is_suspected, true)) {
    return;
  }
  runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.write, [this, node] {
    nodes_[node].outage.is_suspected = false;
    close_hung();
  });
}

void LaneSet::housekeep() {
  close_hung();
  std::vector<Connection*> idle;
  for (Lane& lane : lanes_) {
    const bool quiet = lane.connection->is_idle();
    const bool unused = runtime_.now - lane.connection->last_used() > kIdle && !is_warm(lane);
    if (quiet && (lane.connection->is_retired() || unused || runtime_.now > lane.retire_at)) {
      lane.connection->retire();
      idle.push_back(lane.connection.get());
    } else if (runtime_.now > lane.retire_at) {
      lane.connection->retire();
    }
  }
  for (Connection* connection : idle) {
    const route::NodeId node = connection->node();
    connection->close("idle");
    if (!closing_) {
      schedule_warm(node);
    }
  }
  bool pinged = false;
  for (const Lane& lane : lanes_) {
    pinged = ping_if_idle(*lane.connection, runtime_.now) || pinged;
  }
  if (pinged) {
    runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.write,
                        [this] { close_unanswered(); });
  }
}

void LaneSet::sweep() {
  dead_.clear();
}

void LaneSet::close_all(const std::string& reason) {
  closing_ = true;
  while (!lanes_.empty()) {
    lanes_.back().connection->close(reason);
  }
}

}  // namespace pannier::upstream
