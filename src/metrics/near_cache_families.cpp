#include "families.hpp"

#include <cstddef>

namespace pannier::metrics {
namespace {

using enum FamilyType;

template <auto Member>
void whole(const Snapshot& s, Samples& out) {
  out.add(s.near_cache.*Member);
}

template <auto Member>
void per_class(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.classes) {
    out.add(each.*Member, {{"class", each.name}});
  }
}

template <auto Member>
void per_class_use(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.classes) {
    out.add(each.use.*Member, {{"class", each.name}});
  }
}

void stale_hits(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.classes) {
    out.add(each.stale_hits, {{"class", each.name}, {"kind", "revalidate"}});
    out.add(each.error_hits, {{"class", each.name}, {"kind", "error"}});
  }
}

template <typename Enumeration, auto Member>
void per_class_and(std::string_view label, const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.classes) {
    const auto& counts = each.*Member;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      out.add(counts[i],
              {{"class", each.name}, {label, std::string(label_of(static_cast<Enumeration>(i)))}});
    }
  }
}

void misses(const Snapshot& s, Samples& out) {
  per_class_and<Miss, &ClassTotals::misses>("reason", s, out);
}

void lease_ends(const Snapshot& s, Samples& out) {
  per_class_and<LeaseEnd, &ClassTotals::lease_ends>("outcome", s, out);
}

void bypassed(const Snapshot& s, Samples& out) {
  out.add(s.near_cache.bypass_seconds > 0);
}

void invalidated_keys(const Snapshot& s, Samples& out) {
  out.add(s.totals.invalidated_keys);
}

void invalidation_lag(const Snapshot& s, Samples& out) {
  out.add_histogram(s.totals.invalidation_lag, {});
}

void observed_stale_age(const Snapshot& s, Samples& out) {
  out.add_histogram(s.totals.observed_stale_age, {});
}

// The coherence of a node that the topology names too.
template <typename Show>
void each_node(const Snapshot& s, const Show& show) {
  for (std::size_t i = 0; i < s.nodes.size() && i < s.near_cache.nodes.size(); ++i) {
    show(s.nodes[i].name, s.near_cache.nodes[i]);
  }
}

void rungs(const Snapshot& s, Samples& out) {
  each_node(s, [&out](const std::string& name, const NodeCoherence& node) {
    for (const std::string_view rung : kRungs) {
      out.add(node.rung == rung, {{"node", name}, {"rung", std::string(rung)}});
    }
  });
}

template <auto Member>
void per_node(const Snapshot& s, Samples& out) {
  each_node(s, [&out](const std::string& name, const NodeCoherence& node) {
    out.add(node.*Member, {{"node", name}});
  });
}

void canary_age(const Snapshot& s, Samples& out) {
  each_node(s, [&out](const std::string& name, const NodeCoherence& node) {
    if (node.canary_age_seconds) {
      out.add(*node.canary_age_seconds, {{"node", name}});
    }
  });
}

constexpr Family kFamilies[] = {
    {"pannier_near_cache_budget_bytes",
     Gauge,
     "What the near cache may take, with its index and queues.",
     whole<&NearCacheState::budget_bytes>},
    {"pannier_near_cache_used_bytes",
     Gauge,
     "What the near cache takes.",
     whole<&NearCacheState::used_bytes>},
    {"pannier_near_cache_entries", Gauge, "Replies kept.", whole<&NearCacheState::entries>},
    {"pannier_near_cache_bypassed",
     Gauge,
     "1 while PANNIER BYPASS keeps the near cache, flights and leases off.",
     bypassed},

    {"pannier_near_cache_class_bytes",
     Gauge,
     "What the kept replies of the class take.",
     per_class_use<&ClassUse::bytes>},
    {"pannier_near_cache_class_entries",
     Gauge,
     "Kept replies of the class.",
     per_class_use<&ClassUse::entries>},
    {"pannier_near_cache_evictions_total",
     Counter,
     "Kept replies removed because room was needed.",
     per_class_use<&ClassUse::evictions>},
    {"pannier_near_cache_expirations_total",
     Counter,
     "Kept replies removed because their time was over.",
     per_class_use<&ClassUse::expirations>},

    {"pannier_near_cache_hits_total",
     Counter,
     "Reads answered from memory with a fresh value.",
     per_class<&ClassTotals::hits>},
    {"pannier_near_cache_negative_hits_total",
     Counter,
     "Reads answered from memory: there is no such key.",
     per_class<&ClassTotals::negative_hits>},
    {"pannier_near_cache_stale_hits_total",
     Counter,
     "Reads answered from memory past their time: while it is refreshed, or while upstream is away "
     "(those are also counted as misses).",
     stale_hits},
    {"pannier_near_cache_misses_total",
     Counter,
     "Reads of the class that memory did not answer, by the reason.",
     misses},
    {"pannier_near_cache_joins_total",
     Counter,
     "Missed reads answered by the reply of another one that was under way.",
     per_class<&ClassTotals::joins>},
    {"pannier_near_cache_fills_total",
     Counter,
     "Replies of upstream that were kept.",
     per_class<&ClassTotals::fills>},
    {"pannier_near_cache_doomed_total",
     Counter,
     "Replies not kept: their key was invalidated or written to meanwhile, or coherence was lost.",
     per_class<&ClassTotals::doomed>},
    {"pannier_near_cache_too_large_total",
     Counter,
     "Replies not kept: over the class's max_value, or there was no room.",
     per_class<&ClassTotals::too_large>},
    {"pannier_near_cache_refreshes_total",
     Counter,
     "Reads of Pannier's own, so that kept replies stay fresh.",
     per_class<&ClassTotals::refreshes>},
    {"pannier_near_cache_invalidations_total",
     Counter,
     "Keys of the class that upstream said have changed.",
     per_class<&ClassTotals::invalidations>},

    {"pannier_lease_grants_total",
     Counter,
     "Clients that were given the right to fill a missing key.",
     per_class<&ClassTotals::lease_grants>},
    {"pannier_lease_waits_total",
     Counter,
     "Reads of a missing key that waited for another client to fill it.",
     per_class<&ClassTotals::lease_waits>},
    {"pannier_lease_ends_total",
     Counter,
     "What became of the reads that waited, and of those that were not let wait.",
     lease_ends},

    {"pannier_shadow_hits_total",
     Counter,
     "Reads of a class in mode observe that memory would have answered.",
     per_class<&ClassTotals::shadow_hits>},
    {"pannier_shadow_misses_total",
     Counter,
     "Reads of a class in mode observe that memory would not have answered.",
     per_class<&ClassTotals::shadow_misses>},
    {"pannier_shadow_stale_total",
     Counter,
     "Shadow hits whose answer would have differed from upstream's.",
     per_class<&ClassTotals::shadow_stale>},
    {"pannier_near_cache_sampled_total",
     Counter,
     "Hits that were compared with the primary.",
     per_class<&ClassTotals::sampled>},
    {"pannier_near_cache_observed_stale_total",
     Counter,
     "Sampled hits that differed from the primary's value.",
     per_class<&ClassTotals::observed_stale>},
    {"pannier_near_cache_observed_stale_age_seconds",
     Histogram,
     "Age of the replies that sampling found to differ.",
     observed_stale_age},

    {"pannier_coherence_rung",
     Gauge,
     "1 at the way by which changes on the node are heard; none: not at all just now.",
     rungs},
    {"pannier_coherence_losses_total",
     Counter,
     "Times that changes on the node were not heard of any more.",
     per_node<&NodeCoherence::losses>},
    {"pannier_coherence_canary_age_seconds",
     Gauge,
     "Time since the node was last heard telling of the canary.",
     canary_age},
    {"pannier_coherence_invalidated_keys_total",
     Counter,
     "Keys that upstream said have changed, whatever their class.",
     invalidated_keys},
    {"pannier_coherence_invalidation_lag_seconds",
     Histogram,
     "From sending the canary to processing the news of it, through upstream.",
     invalidation_lag},
};

}  // namespace

std::span<const Family> near_cache_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
