#include "pannier/upstream/pinned_pool.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::upstream {
namespace {

constexpr auto kIdle = std::chrono::seconds(60);

}  // namespace

PinnedPool::PinnedPool(Runtime& runtime, ConnectionEvents& events)
    : runtime_(runtime),
      events_(events),
      max_(std::max(1U, runtime.config.upstream.pinned.max / runtime.config.workers)),
      reserved_(runtime.config.upstream.pinned.reserved_for_multi / runtime.config.workers) {}

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
    if (open({topology_->primary, 0, resp::Version::Resp2}, true) == nullptr) {
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
  for (Entry& entry : entries_) {
    if (entry.idle && entry.connection->spec() == spec) {
      entry.idle = false;
      count(spec.node, true, -1);
      count(spec.node, false, 1);
      connection = entry.connection.get();
      return Taken::Yes;
    }
  }
  const std::size_t limit = for_multi ? max_ : max_ - std::min(reserved_, max_ - 1);
  if (used() >= limit || (entries_.size() >= max_ && !evict_idle())) {
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
  entries_.push_back({std::move(connection), idle, topology_->nodes[spec.node].address});
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

// A node that stops in the middle of a reply will not end it. (One that has not begun is the
// deadlines' business; a blocked command may take for ever.)
void PinnedPool::close_hung() {
  std::vector<Connection*> hung;
  for (const Entry& entry : entries_) {
    const Connection& connection = *entry.connection;
    if (connection.pipeline().streaming() && !connection.paused() &&
        runtime_.now - connection.last_heard() > runtime_.config.upstream.timeouts.slow) {
      hung.push_back(entry.connection.get());
    }
  }
  for (Connection* connection : hung) {
    connection->lose("no more of a reply for timeouts.slow");
  }
}

void PinnedPool::housekeep() {
  close_hung();
  std::vector<Connection*> old;
  std::size_t kept = 0;
  for (const Entry& entry : entries_) {
    const bool on_primary = topology_ && entry.connection->node() == topology_->primary;
    if (entry.idle && on_primary && kept < runtime_.config.upstream.pinned.min) {
      ++kept;
    } else if (entry.idle && runtime_.now - entry.connection->last_used() > kIdle) {
      old.push_back(entry.connection.get());
    }
  }
  for (Connection* connection : old) {
    connection->close("idle");
  }
  keep_warm();
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
