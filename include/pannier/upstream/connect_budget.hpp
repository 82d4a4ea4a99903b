#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/config/config.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/route/topology.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace pannier::upstream {

// How fast this process may open connections to one node, so that a lost node, or a fleet's
// restart, is not met by hundreds of connects in one moment. One bucket of tokens per node: kBurst
// at once, then so many a second that `pinned.max` of them can be open within `pinned.wait`, and
// never less than kLeast. The last kForLanes tokens are for lanes: many requests wait for one of
// these. Thread-safe, without a lock.
class ConnectBudget {
 public:
  static constexpr int kBurst = 64;
  static constexpr int kForLanes = 16;
  static constexpr int kLeast = 50;  // a second

  enum class For : std::uint8_t {
    Lane,
    Pinned
  };

  explicit ConnectBudget(const config::Config& config);

  // Zero: a token was taken. Otherwise none was: how long until there may be one.
  [[nodiscard]] base::Duration take(route::NodeId node, For use, base::TimePoint now);

 private:
  base::Duration interval_;  // between two tokens
  // Per node: the moment at which its bucket is full again.
  std::array<std::atomic<base::Duration::rep>, metrics::kMaxNodes> full_at_{};
};

}  // namespace pannier::upstream
