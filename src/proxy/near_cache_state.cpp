#include "pannier/proxy/near_cache_state.hpp"

#include "pannier/proxy/context.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::proxy {
namespace {

double seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

metrics::ClassUse use_of(const Shared& shared, cache::ClassIndex id) {
  const cache::ClassUse kept = shared.near_cache.use_of(id);
  metrics::ClassUse out{kept.bytes, kept.entries, kept.evictions, kept.expirations};
  if (shared.shadow) {  // a class that observes has all of its use there
    const cache::ClassUse would = shared.shadow->use_of(id);
    out.bytes += would.bytes;
    out.entries += would.entries;
    out.evictions += would.evictions;
    out.expirations += would.expirations;
  }
  return out;
}

}  // namespace

metrics::NearCacheState near_cache_state(const Shared& shared,
                                         std::size_t classes,
                                         base::TimePoint now) {
  metrics::NearCacheState out;
  out.budget_bytes = shared.near_cache.budget();
  out.used_bytes = shared.near_cache.used_bytes();
  out.entries = shared.near_cache.entries();
  out.bypass_seconds = seconds(bypass_left(shared, now));
  for (std::size_t id = 0; id < std::min(classes, cache::kMaxClasses); ++id) {
    out.classes.push_back(use_of(shared, static_cast<cache::ClassIndex>(id)));
  }
  for (const upstream::TrackingState& state : shared.tracking_states.get()) {
    out.nodes.push_back(coherence_of(state, now));
  }
  return out;
}

std::vector<metrics::ClassFacts> class_facts(const policy::Rules& rules) {
  std::vector<metrics::ClassFacts> out;
  for (const config::PolicyClass& each : rules.policy.classes) {
    const bool ruled =
        each.ttl || each.store == config::Store::Never || each.scripts == config::Scripts::Deny;
    const bool away = each.on_error != config::OnError::Fail ||
                      (each.cache && each.cache->stale_if_error.count() > 0) ||
                      (each.miss && each.miss->concurrent > 0);
    out.push_back({each.name, each.cache.has_value(), ruled, away});
  }
  return out;
}

metrics::NodeCoherence coherence_of(const upstream::TrackingState& state, base::TimePoint now) {
  metrics::NodeCoherence out;
  out.rung = upstream::to_string(state.rung);
  out.reason = state.reason;
  out.keys = state.keys;
  out.flushes = state.flushes;
  out.losses = state.losses;
  if (state.canary_seen != base::TimePoint{}) {
    out.canary_age_seconds = std::max(0.0, seconds(now - state.canary_seen));
  }
  if (state.canary_lag.count() > 0) {
    out.canary_lag_seconds = seconds(state.canary_lag);
  }
  return out;
}

base::Duration bypass_left(const Shared& shared, base::TimePoint now) {
  const base::TimePoint until{base::Duration(shared.bypass_until.load(std::memory_order_relaxed))};
  return std::max(base::Duration{}, until - now);
}

}  // namespace pannier::proxy
