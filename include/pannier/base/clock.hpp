#pragma once

#include <chrono>

namespace pannier::base {

// Deadlines and measured times: steady, never the wall clock. Pure objects take `now` as an
// argument; only drivers read the clock, once per turn.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

}  // namespace pannier::base
