#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pannier::metrics {

// Whether requests are sent to a node, in the order of route::BreakerState.
inline constexpr std::array<std::string_view, 3> kBreakerStates{"closed", "half_open", "open"};

struct BreakerTotals {
  std::size_t state = 0;                                       // place in kBreakerStates
  std::array<std::uint64_t, kBreakerStates.size()> entered{};  // how often each was entered
};

// What the control thread knows of failures.
struct FailoverState {
  std::vector<BreakerTotals> breakers;  // by node id
  std::uint64_t failovers = 0;          // another node became the primary
  std::uint64_t outages = 0;            // the primary was away and came back as such
  double last_seconds = 0;              // how long the last of either took
};

}  // namespace pannier::metrics
