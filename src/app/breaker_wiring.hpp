#pragma once

#include "pannier/metrics/registry.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/upstream/prober.hpp"

namespace pannier::app {

// Lets the breakers hear of failures and replies from the workers, and the metrics of the breakers.
// To be called before the prober and the workers start; all three outlive them.
void wire_breakers(upstream::Prober& prober, proxy::Shared& shared, metrics::Registry& registry);

}  // namespace pannier::app
