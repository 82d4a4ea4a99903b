#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/metrics/snapshot.hpp"
#include "pannier/policy/rules.hpp"
#include "pannier/proxy/tracking_states.hpp"

#include <cstddef>
#include <vector>

namespace pannier::proxy {

struct Shared;

// What scrapes, the admin port and INFO show of the near cache. Any thread; not for the hot path:
// the locks of all stripes are taken, one after the other. `classes`: how many the policy has.
[[nodiscard]] metrics::NearCacheState near_cache_state(const Shared& shared,
                                                       std::size_t classes,
                                                       base::TimePoint now);
[[nodiscard]] std::vector<metrics::ClassFacts> class_facts(const policy::Rules& rules);

[[nodiscard]] metrics::NodeCoherence coherence_of(const upstream::TrackingState& state,
                                                  base::TimePoint now);
// Zero: the near cache is used.
[[nodiscard]] base::Duration bypass_left(const Shared& shared, base::TimePoint now);

}  // namespace pannier::proxy
