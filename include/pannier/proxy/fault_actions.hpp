#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/metrics/snapshot.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

// What operators do about rehearsals of failure, from the admin port.
namespace pannier::proxy {

struct Context;
struct Shared;

// Begins one (see parse_fault). On worker 0, since its timers end it. What it said: the rule in
// words with its id, or what is wrong with the form.
struct FaultBegun {
  bool good = false;
  std::string text;
};

[[nodiscard]] FaultBegun begin_fault(Context& context, std::string_view form);
// Ends all, and says how many there were. Also on worker 0, so that the last word counts.
std::size_t clear_faults(Context& context);

// Those that are on. Any thread.
[[nodiscard]] std::vector<metrics::FaultState> fault_states(const Shared& shared,
                                                            base::TimePoint now);
// Lines of STATS.
[[nodiscard]] std::string fault_lines(const std::vector<metrics::FaultState>& faults);

}  // namespace pannier::proxy
