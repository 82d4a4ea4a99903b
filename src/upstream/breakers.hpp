#pragma once

#include "pannier/metrics/failover_state.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/route/node_roles.hpp"

#include "breaker.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pannier::upstream {

// What workers report of nodes, until the control thread takes it. Thread-safe.
class FailureReports {
 public:
  static constexpr std::size_t kKinds = 4;  // of route::Failure

  // True when the caller has to have the reports taken: nobody was told to yet.
  [[nodiscard]] bool add(route::NodeId node, route::Failure failure, std::uint32_t count);
  // Calls `take(node, failure, count)` for what came since.
  void take(const std::function<void(route::NodeId, route::Failure, std::uint32_t)>& take);

 private:
  std::array<std::array<std::atomic<std::uint32_t>, kKinds>, metrics::kMaxNodes> counts_{};
  std::atomic<bool> is_told_{false};
};

// The breakers of all nodes: puts their states into the roles, logs each change once, counts them.
// Control thread only.
class Breakers {
 public:
  // `replies`: how many replies a node gave so far, over all workers; null: not known.
  using Replies = std::function<std::uint64_t(route::NodeId)>;

  explicit Breakers(route::NodeRoles& roles) : roles_(roles) {}

  void set_replies(Replies replies) { replies_ = std::move(replies); }

  // `error` is empty when the node answered.
  void probed(route::NodeId node,
              const std::string& error,
              base::TimePoint began,
              base::TimePoint now);
  void failed(route::NodeId node, route::Failure failure, std::uint32_t count, base::TimePoint now);
  // Another server may take the node's place.
  void forget(route::NodeId node, base::TimePoint now);

  [[nodiscard]] std::vector<metrics::BreakerTotals> totals() const { return totals_; }

 private:
  [[nodiscard]] Breaker& breaker_of(route::NodeId node, base::TimePoint now);
  [[nodiscard]] bool is_spared(route::NodeId node) const;
  void take_change(route::NodeId node, base::TimePoint now);

  route::NodeRoles& roles_;
  Replies replies_;
  std::vector<Breaker> breakers_;  // by node id
  std::vector<metrics::BreakerTotals> totals_;
};

}  // namespace pannier::upstream
