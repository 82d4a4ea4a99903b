#include "pannier/metrics/registry.hpp"

#include "exposition.hpp"
#include "families.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace pannier::metrics;
using namespace std::chrono_literals;

namespace {

template <typename Enumeration>
constexpr std::size_t at(Enumeration value) {
  return static_cast<std::size_t>(value);
}

// Two workers; class 1 is not cached; of the two nodes one is listened to.
struct Fixture {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  std::unique_ptr<WorkerMetrics> a = std::make_unique<WorkerMetrics>();
  std::unique_ptr<WorkerMetrics> b = std::make_unique<WorkerMetrics>();
  NearCacheState state;
  std::size_t asked_classes = 0;

  Fixture() {
    registry.add_worker(a.get());
    registry.add_worker(b.get());
    registry.set_classes({{"product", true}, {"cart", false}, {"price", true}});
    state.classes = {{400, 4, 2, 1}, {9, 9, 9, 9}, {200, 3, 0, 5}};
    registry.set_near_cache_source([this](std::size_t classes) {
      asked_classes = classes;
      return state;
    });
    NodeState one;
    one.name = "one:6379";
    NodeState two;
    two.name = "two:6379";
    registry.set_nodes({one, two}, 1);
  }

  [[nodiscard]] Exposition scrape() const { return Exposition::parse(registry.serialize()); }
};

}  // namespace

TEST_CASE("near_cache_families: counters are summed over the workers, by class") {
  Fixture f;
  f.a->classes[0].hits.add(3);
  f.b->classes[0].hits.add(4);
  f.b->classes[2].hits.add(50);
  f.a->classes[1].hits.add(99);  // not cached: not shown
  f.a->classes[2].negative_hits.add(2);
  f.a->classes[2].joins.add(6);
  f.a->classes[2].fills.add(7);
  f.a->classes[2].doomed.add(8);
  f.a->classes[2].too_large.add(9);
  f.a->classes[2].refreshes.add(10);
  f.a->classes[2].invalidations.add(11);
  f.b->classes[2].sampled.add(12);
  f.b->classes[2].observed_stale.add(13);
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  CHECK(f.asked_classes == 3);
  CHECK(text.families.at("pannier_near_cache_hits_total").samples.size() == 2);
  CHECK(text.value("pannier_near_cache_hits_total{class=\"product\"}") == 7);
  CHECK(text.value("pannier_near_cache_hits_total{class=\"price\"}") == 50);
  CHECK(text.value("pannier_near_cache_negative_hits_total{class=\"price\"}") == 2);
  CHECK(text.value("pannier_near_cache_joins_total{class=\"price\"}") == 6);
  CHECK(text.value("pannier_near_cache_fills_total{class=\"price\"}") == 7);
  CHECK(text.value("pannier_near_cache_doomed_total{class=\"price\"}") == 8);
  CHECK(text.value("pannier_near_cache_too_large_total{class=\"price\"}") == 9);
  CHECK(text.value("pannier_near_cache_refreshes_total{class=\"price\"}") == 10);
  CHECK(text.value("pannier_near_cache_invalidations_total{class=\"price\"}") == 11);
  CHECK(text.value("pannier_near_cache_sampled_total{class=\"price\"}") == 12);
  CHECK(text.value("pannier_near_cache_observed_stale_total{class=\"price\"}") == 13);
}

TEST_CASE("near_cache_families: stale hits, misses and lease ends say what they were") {
  Fixture f;
  f.a->classes[0].stale_hits.add(2);
  f.a->classes[0].error_hits.add(3);
  f.a->classes[0].misses[at(Miss::Unproven)].add(4);
  f.b->classes[0].misses[at(Miss::Unproven)].add(1);
  f.a->classes[0].misses[at(Miss::Uncachable)].add(6);
  f.a->classes[0].lease_grants.add(7);
  f.a->classes[0].lease_waits.add(8);
  f.a->classes[0].lease_ends[at(LeaseEnd::TimedOut)].add(9);
  f.a->classes[0].lease_ends[at(LeaseEnd::NoWait)].add(10);
  const auto text = f.scrape();
  const std::string product = "{class=\"product\",";
  CHECK(text.value("pannier_near_cache_stale_hits_total" + product + "kind=\"revalidate\"}") == 2);
  CHECK(text.value("pannier_near_cache_stale_hits_total" + product + "kind=\"error\"}") == 3);
  CHECK(text.value("pannier_near_cache_misses_total" + product + "reason=\"unproven\"}") == 5);
  CHECK(text.value("pannier_near_cache_misses_total" + product + "reason=\"uncachable\"}") == 6);
  CHECK(text.value("pannier_near_cache_misses_total" + product + "reason=\"absent\"}") == 0);
  CHECK(text.value("pannier_lease_grants_total{class=\"product\"}") == 7);
  CHECK(text.value("pannier_lease_waits_total{class=\"product\"}") == 8);
  CHECK(text.value("pannier_lease_ends_total" + product + "outcome=\"timed_out\"}") == 9);
  CHECK(text.value("pannier_lease_ends_total" + product + "outcome=\"no_wait\"}") == 10);
}

TEST_CASE("near_cache_families: what a class that observes would have done") {
  Fixture f;
  f.a->classes[2].shadow_hits.add(1);
  f.a->classes[2].shadow_misses.add(2);
  f.b->classes[2].shadow_stale.add(3);
  const auto text = f.scrape();
  CHECK(text.value("pannier_shadow_hits_total{class=\"price\"}") == 1);
  CHECK(text.value("pannier_shadow_misses_total{class=\"price\"}") == 2);
  CHECK(text.value("pannier_shadow_stale_total{class=\"price\"}") == 3);
}

TEST_CASE("near_cache_families: what the cache takes, whole and by class") {
  Fixture f;
  f.state.budget_bytes = 1000;
  f.state.used_bytes = 600;
  f.state.entries = 7;
  const auto text = f.scrape();
  CHECK(text.value("pannier_near_cache_budget_bytes") == 1000);
  CHECK(text.value("pannier_near_cache_used_bytes") == 600);
  CHECK(text.value("pannier_near_cache_entries") == 7);
  CHECK(text.value("pannier_near_cache_bypassed") == 0);
  CHECK(text.value("pannier_near_cache_class_bytes{class=\"product\"}") == 400);
  CHECK(text.value("pannier_near_cache_class_entries{class=\"price\"}") == 3);
  CHECK(text.value("pannier_near_cache_evictions_total{class=\"product\"}") == 2);
  CHECK(text.value("pannier_near_cache_expirations_total{class=\"price\"}") == 5);
  f.state.bypass_seconds = 12.5;
  CHECK(f.scrape().value("pannier_near_cache_bypassed") == 1);
}

TEST_CASE("near_cache_families: each node stands on one rung") {
  Fixture f;
  CHECK_FALSE(f.scrape().has("pannier_coherence_rung"));  // nothing is tracked
  f.state.nodes.resize(3);  // one more than the topology has: it is not there any more
  f.state.nodes[1] = {"redirect", "resp3: refused", 12, 1, 3, 0.25, 0.0004};
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  CHECK(text.families.at("pannier_coherence_rung").samples.size() == 2 * kRungs.size());
  const std::string rung = "pannier_coherence_rung{node=";
  CHECK(text.value(rung + "\"one:6379\",rung=\"none\"}") == 1);
  CHECK(text.value(rung + "\"one:6379\",rung=\"redirect\"}") == 0);
  CHECK(text.value(rung + "\"two:6379\",rung=\"redirect\"}") == 1);
  CHECK(text.value(rung + "\"two:6379\",rung=\"none\"}") == 0);
  CHECK(text.value("pannier_coherence_losses_total{node=\"two:6379\"}") == 3);
  // What was never heard of has no age.
  CHECK(text.families.at("pannier_coherence_canary_age_seconds").samples.size() == 1);
  CHECK(text.value("pannier_coherence_canary_age_seconds{node=\"two:6379\"}") == 0.25);
  CHECK(f.registry.serialize().find("resp3: refused") == std::string::npos);
}

TEST_CASE("near_cache_families: lag and age are histograms") {
  Fixture f;
  f.a->invalidation_lag.observe(400us);
  f.a->invalidation_lag.observe(3ms);
  f.b->observed_stale_age.observe(20ms);
  f.a->invalidated_keys.add(5);
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  const std::string lag = "pannier_coherence_invalidation_lag_seconds";
  CHECK(text.value(lag + "_bucket{le=\"0.0005\"}") == 1);
  CHECK(text.value(lag + "_count") == 2);
  CHECK(text.value(lag + "_sum") == Approx(0.0034));
  CHECK(text.value("pannier_near_cache_observed_stale_age_seconds_count") == 1);
  CHECK(text.value("pannier_coherence_invalidated_keys_total") == 5);
}

TEST_CASE("near_cache_families: another policy names its own classes") {
  Fixture f;
  f.a->classes[0].hits.add(3);
  f.registry.set_classes({{"catalogue", true}});
  const auto text = f.scrape();
  CHECK(f.asked_classes == 1);
  CHECK(text.families.at("pannier_near_cache_hits_total").samples.size() == 1);
  CHECK(text.value("pannier_near_cache_hits_total{class=\"catalogue\"}") == 3);
  f.registry.set_classes(std::vector<ClassFacts>(kMaxClasses + 1, {"x", true}));
  CHECK(f.registry.snapshot().totals.classes.size() == kMaxClasses);
}

TEST_CASE("near_cache_families: the ratio counts what was asked for while upstream was there") {
  ClassTotals totals;
  CHECK_FALSE(totals.hit_ratio());
  totals.hits = 5;
  totals.negative_hits = 2;
  totals.stale_hits = 1;
  totals.error_hits = 100;
  totals.misses[at(Miss::Absent)] = 1;
  totals.misses[at(Miss::Strong)] = 1;
  CHECK(totals.all_hits() == 8);
  CHECK(totals.all_misses() == 2);
  CHECK(totals.hit_ratio() == 0.8);
  ClassTotals sum = totals;
  sum.use.bytes = 3;
  sum += totals;
  CHECK(sum.all_hits() == 16);
  CHECK(sum.misses[at(Miss::Strong)] == 2);
  CHECK(sum.use.bytes == 3);
}
