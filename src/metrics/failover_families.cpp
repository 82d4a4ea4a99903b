#include "families.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace pannier::metrics {
namespace {

using enum FamilyType;

template <typename Add>
void per_breaker(const Snapshot& s, const Add& add) {
  const std::size_t count = std::min(s.nodes.size(), s.failover.breakers.size());
  for (std::size_t i = 0; i < count; ++i) {
    add(s.nodes[i].name, s.failover.breakers[i]);
  }
}

void state(const Snapshot& s, Samples& out) {
  per_breaker(s, [&](const std::string& node, const BreakerTotals& breaker) {
    out.add(breaker.state, {{"node", node}});
  });
}

void transitions(const Snapshot& s, Samples& out) {
  per_breaker(s, [&](const std::string& node, const BreakerTotals& breaker) {
    for (std::size_t i = 0; i < kBreakerStates.size(); ++i) {
      out.add(breaker.entered.at(i),
              {{"node", node}, {"state", std::string(kBreakerStates.at(i))}});
    }
  });
}

void failovers(const Snapshot& s, Samples& out) {
  out.add(s.failover.failovers);
}

void outages(const Snapshot& s, Samples& out) {
  out.add(s.failover.outages);
}

void last_seconds(const Snapshot& s, Samples& out) {
  out.add(s.failover.last_seconds);
}

constexpr Family kFamilies[] = {
    {"pannier_upstream_breaker_state",
     Gauge,
     "Whether requests are sent to the node: 0 closed (yes), 1 half-open (on trial), 2 open (no).",
     state},
    {"pannier_upstream_breaker_transitions_total",
     Counter,
     "How often the node's breaker entered each state.",
     transitions},
    {"pannier_failovers_total", Counter, "How often another node became the primary.", failovers},
    {"pannier_primary_outages_total",
     Counter,
     "How often the primary was away and came back as the primary.",
     outages},
    {"pannier_last_primary_outage_seconds",
     Gauge,
     "From the last answer of the old primary to the first of the present one, at the last "
     "failover "
     "or outage; 0: there was none.",
     last_seconds},
};

}  // namespace

std::span<const Family> failover_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
