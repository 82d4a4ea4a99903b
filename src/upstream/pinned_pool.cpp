#include "pannier/upstream/pinned_pool.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::upstream {
namespace {

constexpr auto kIdle = std::chrono::seconds(60);
constexpr auto kMaxAge = std::chrono::minutes(60);  // give or take 10 %
constexpr std::size_t kWokenAtOnce = 8;             // who waits for a token

}  // namespace

PinnedPool::PinnedPool(Runtime& runtime, ConnectionEvents& events)
    : runtime_(runtime),
      events_(events),
      max_(std::max(1U, runtime.config.upstream.pinned.max / runtime.config.workers)),
      reserved_(runtime.config.upstream.pinned.reserved_for_multi / runtime.config.workers),
      random_(std::random_device{}()) {}

PinnedPool::~PinnedPool() = default;

std::size_t PinnedPool::idle_count() const {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.idle; }));
}

std::size_t PinnedPool::held_bytes() const {
  std::size_t sum = 0;
  for (const Entry& entry : entries_) {
    sum += entry.connection->held_bytes();
  }
  return sum;
}

void PinnedPool::count(route::NodeId node, bool idle, int change) {
  const auto state = idle ? metrics::PinnedState::Idle : metrics::PinnedState::Used;
  runtime_.metrics.nodes.at(node).pinned.at(static_cast<std::size_t>(state)).add(change);
}

void PinnedPool::set_topology(route::TopologyPtr topology) {
  topology_ = std::move(topology);
  outages_.resize(topology_->nodes.size());
  for (const route::Node& node : topology_->nodes) {
    if (outages_[node.id].update(node, runtime_.now) == Outage::News::Began) {
      watch_silent(node.id);
    }
  }
  close_elsewhere();
  keep_warm();
}

bool PinnedPool::is_elsewhere(const Entry& entry) const {
  const base::SocketAddress& now = topology_->nodes[entry.connection->node()].address;
  return !(now == entry.address);
}

void PinnedPool::close_elsewhere() {
  std::vector<Connection*> idle;
  for (const Entry& entry : entries_) {
    if (entry.idle && is_elsewhere(entry)) {
      idle.push_back(entry.connection.get());
    }
  }
  for (Connection* connection : idle) {
    connection->close("the node's address changed");
  }
}

void PinnedPool::keep_warm() {
  if (closing_ || !topology_ || !topology_->has_primary() ||
      !topology_->nodes[topology_->primary].reachable) {
    return;
  }
  const auto there = static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [this](const Entry& entry) {
        return entry.idle && entry.connection->node() == topology_->primary;
      }));
  for (std::size_t i = there; i < runtime_.config.upstream.pinned.min && entries_.size() < max_;
       ++i) {
    if (!has_token(topology_->primary) ||
        open({topology_->primary, 0, resp::Version::Resp2}, true) == nullptr) {
      return;
    }
  }
}

PinnedPool::Entry* PinnedPool::find(const Connection& connection) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.connection.get() == &connection;
  });
  return found == entries_.end() ? nullptr : &*found;
}

PinnedPool::Taken PinnedPool::take(const ConnectionSpec& spec,
                                   bool for_multi,
                                   Connection*& connection) {
  const route::Node& node = topology_->nodes[spec.node];
  if (node.breaker == route::BreakerState::Open) {
    why_not_ = node.last_error.empty() ? "its breaker is open" : node.last_error;
    return Taken::Failed;
  }
  for (Entry& entry : entries_) {
    if (entry.idle && entry.connection->spec() == spec && !entry.connection->pinged_at()) {
      entry.idle = false;
      count(spec.node, true, -1);
      count(spec.node, false, 1);
      connection = entry.connection.get();
      return Taken::Yes;
    }
  }
  const std::size_t limit = for_multi ? max_ : max_ - std::min(reserved_, max_ - 1);
  if (used() >= limit) {
    return Taken::Full;
  }
  if (!has_token(spec.node) || (entries_.size() >= max_ && !evict_idle())) {
    return Taken::Full;
  }
  connection = open(spec, false);
  return connection == nullptr ? Taken::Failed : Taken::Yes;
}

Connection* PinnedPool::open(const ConnectionSpec& spec, bool idle) {
  if (closing_) {
    why_not_ = "Pannier is shutting down";
    return nullptr;
  }
  auto connection = std::make_unique<Connection>(runtime_, events_, spec);
  if (!connection->open(topology_->nodes[spec.node])) {
    why_not_ = connection->close_reason();
    return nullptr;
  }
  count(spec.node, idle, 1);
  std::uniform_int_distribution<int> percent(90, 110);
  entries_.push_back({std::move(connection),
                      idle,
                      topology_->nodes[spec.node].address,
                      runtime_.now + kMaxAge * percent(random_) / 100});
  return entries_.back().connection.get();
}

bool PinnedPool::evict_idle() {
  for (Entry& entry : entries_) {
    if (entry.idle) {
      entry.connection->close("room for another database or RESP version");
      return true;
    }
  }
  return false;
}

void PinnedPool::give_back(Connection& connection) {
  Entry* entry = find(connection);
  if (entry == nullptr || entry->idle) {
    return;
  }
  if (is_elsewhere(*entry)) {
    connection.close("the node's address changed");
    return;
  }
  if (runtime_.now > entry->retire_at) {
    connection.close("it is an hour old");
    return;
  }
  entry->idle = true;
  count(connection.node(), false, -1);
  count(connection.node(), true, 1);
}

void PinnedPool::discard(Connection& connection) {
  connection.close("no longer needed");
}

bool PinnedPool::closed(Connection& connection) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.connection.get() == &connection;
  });
  if (found == entries_.end()) {
    return false;
  }
  count(connection.node(), found->idle, -1);
  dead_.push_back(std::move(found->connection));
  entries_.erase(found);
  return true;
}

void PinnedPool::close_hung() {
  std::vector<std::pair<Connection*, std::string_view>> hung;
  for (const Entry& entry : entries_) {
    Connection& connection = *entry.connection;
    const auto why =
        entry.idle
            ? std::string_view()
            : why_hung(connection, outages_.at(connection.node()), Sharing::Exclusive, runtime_);
    if (!why.empty()) {
      hung.emplace_back(&connection, why);
    }
  }
  for (const auto& [connection, why] : hung) {
    connection->lose_silent(std::string(why));
  }
}

void PinnedPool::close_unanswered() {
  std::vector<Connection*> dead;
  for (const Entry& entry : entries_) {
    if (ping_failed(*entry.connection, runtime_)) {
      dead.push_back(entry.connection.get());
    }
  }
  for (Connection* connection : dead) {
    connection->lose_silent(std::string(kPingFailed));
  }
}

void PinnedPool::watch_silent(route::NodeId node) {
  if (closing_ || std::exchange(outages_[node].is_watched, true)) {
    return;
  }
  runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.write, [this, node] {
    outages_[node].is_watched = false;
    if (outages_[node].since) {
      close_hung();
      watch_silent(node);
    }
  });
}

// Who finds no token waits in the worker's line; as tokens come he is woken.
bool PinnedPool::has_token(route::NodeId node) {
  if (runtime_.connect_budget == nullptr) {
    return true;
  }
  const auto wait = runtime_.connect_budget->take(node, ConnectBudget::For::Pinned, runtime_.now);
  if (wait == base::Duration::zero()) {
    return true;
  }
  runtime_.metrics.nodes.at(node).connects_delayed.add();
  wake_later(wait);
  return false;
}

void PinnedPool::wake_later(base::Duration wait) {
  if (closing_ || std::exchange(wake_scheduled_, true)) {
    return;
  }
  std::uniform_int_distribution<int> jitter_ms(0, 10);
  runtime_.timers.add(runtime_.now + wait + std::chrono::milliseconds(jitter_ms(random_)), [this] {
    wake_scheduled_ = false;
    if (runtime_.wake_pinned && runtime_.wake_pinned(kWokenAtOnce) && entries_.size() < max_) {
      wake_later(std::chrono::milliseconds(10));
    }
  });
}

void PinnedPool::housekeep() {
  close_hung();
  std::vector<Connection*> old;
  std::size_t kept = 0;
  for (const Entry& entry : entries_) {
    const bool on_primary = topology_ && entry.connection->node() == topology_->primary;
    if (entry.idle && runtime_.now > entry.retire_at) {
      old.push_back(entry.connection.get());
    } else if (entry.idle && on_primary && kept < runtime_.config.upstream.pinned.min) {
      ++kept;
    } else if (entry.idle && runtime_.now - entry.connection->last_used() > kIdle) {
      old.push_back(entry.connection.get());
    }
  }
  for (Connection* connection : old) {
    connection->close("idle");
  }
  keep_warm();
  bool pinged = false;
  for (const Entry& entry : entries_) {
    pinged = (entry.idle && ping_if_idle(*entry.connection, runtime_.now)) || pinged;
  }
  if (pinged) {
    runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.write,
                        [this] { close_unanswered(); });
  }
}

void PinnedPool::sweep() {
  dead_.clear();
}

void PinnedPool::close_all(const std::string& reason) {
  closing_ = true;
  while (!entries_.empty()) {
    entries_.back().connection->close(reason);
  }
}

}  // namespace pannier::upstream
