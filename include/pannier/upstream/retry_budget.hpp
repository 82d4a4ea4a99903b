#pragma once

#include "pannier/base/clock.hpp"

#include <cstdint>

namespace pannier::upstream {

// How many further tries a node's trouble may cause: a share of its traffic, so that tries do not
// bury a node that is already in trouble. A bucket of tokens: filled by `percent` of the requests
// that were sent and by a few per second for those with little traffic, and full at the beginning,
// so that what is in flight when a node dies may all go elsewhere. Pure; per worker and node.
class RetryBudget {
 public:
  static constexpr double kMost = 1024;     // tokens
  static constexpr double kPerSecond = 10;  // tokens

  // 0: no further tries at all.
  explicit RetryBudget(std::uint32_t percent) : percent_(percent) {}

  // Takes a token. `requests`: how many were sent to the node in all so far.
  [[nodiscard]] bool take(std::uint64_t requests, base::TimePoint now);

 private:
  std::uint32_t percent_;
  double tokens_ = kMost;
  std::uint64_t requests_ = 0;
  base::TimePoint filled_at_{};
};

}  // namespace pannier::upstream
