#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/config/config.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/route/topology.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace pannier::upstream {

// How fast this process may open connections to a node that was in trouble within kTrouble: a
// connection to it was lost or failed. What was lost is not to be opened again by hundreds of
// connects in one moment, to a node that has just started. One bucket of tokens per node: kBurst at
// once, then so many a second that `pinned.max` of them can be open within `pinned.wait`, and never
// less than kLeast. The last kForLanes tokens are for lanes: many requests wait for one of these. A
// node that is well is not spared: clients that come and go are not to wait. Thread-safe, without a
// lock.
class ConnectBudget {
 public:
  static constexpr int kBurst = 64;
  static constexpr int kForLanes = 16;
  static constexpr int kLeast = 50;  // a second
  static constexpr auto kTrouble = std::chrono::seconds(10);

  enum class For : std::uint8_t {
    Lane,
    Pinned
  };

  explicit ConnectBudget(const config::Config& config);

  void note_trouble(route::NodeId node, base::TimePoint now);

  // Zero: a connection may be opened. Otherwise: how long until there may be a token for it.
  [[nodiscard]] base::Duration take(route::NodeId node, For use, base::TimePoint now);

 private:
  base::Duration interval_;  // between two tokens
  // Per node: the moment at which its bucket is full again.
  std::array<std::atomic<base::Duration::rep>, metrics::kMaxNodes> full_at_{};
  std::array<std::atomic<base::Duration::rep>, metrics::kMaxNodes> trouble_until_{};
};

}  // namespace pannier::upstream
