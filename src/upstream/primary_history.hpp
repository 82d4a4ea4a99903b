#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/route/topology.hpp"

#include <optional>

namespace pannier::upstream {

// The end of a time without a primary.
struct PrimaryReturn {
  route::NodeId from = route::kNoNode;
  route::NodeId to = route::kNoNode;  // the same: no failover, it came back
  base::TimePoint lost{};             // the last good answer of the old one
  base::TimePoint back{};             // the first good answer of the new one
};

// Tells when an outage of the primary has ended. Pure. Owned by the ProbeLoop.
class PrimaryHistory {
 public:
  // After each probe. `seen`: when `primary` answered last, as the primary.
  std::optional<PrimaryReturn> note(route::NodeId primary, bool answers, base::TimePoint seen) {
    if (!answers) {
      is_away_ = known_ != route::kNoNode;
      return std::nullopt;
    }
    const PrimaryReturn out{known_, primary, seen_, seen};
    const bool is_news = known_ != route::kNoNode && (known_ != primary || is_away_);
    known_ = primary;
    seen_ = seen;
    is_away_ = false;
    return is_news ? std::optional(out) : std::nullopt;
  }

  [[nodiscard]] bool is_away() const { return is_away_; }

 private:
  route::NodeId known_ = route::kNoNode;  // who answered last as the primary
  base::TimePoint seen_{};
  bool is_away_ = false;
};

}  // namespace pannier::upstream
