#include "pannier/metrics/registry.hpp"
#include "pannier/metrics/rule_names.hpp"

#include "exposition.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <memory>
#include <string>

using namespace pannier::metrics;

namespace {

constexpr auto kObserve = static_cast<std::size_t>(Acting::Observe);
constexpr auto kEnforce = static_cast<std::size_t>(Acting::Enforce);

}  // namespace

TEST_CASE("limit_families: counters are summed over the workers, by rule and mode") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  const auto a = std::make_unique<WorkerMetrics>();
  const auto b = std::make_unique<WorkerMetrics>();
  registry.add_worker(a.get());
  registry.add_worker(b.get());
  RulesState state;
  registry.set_rules_source([&state] { return state; });
  CHECK(registry.serialize().find("pannier_limit_") == std::string::npos);

  state = {{"search", "writes"}, {"no-scans"}, 7, 2};
  a->limits[0].admitted[kEnforce].add(3);
  b->limits[0].admitted[kEnforce].add(4);
  b->limits[1].refused[kObserve].add(5);
  a->limits[1].asks.add(6);
  a->limits[1].leased.add(60);
  b->limits[1].waits.add(8);
  b->limits[1].errors.add(9);
  a->denials[0].denied[kEnforce].add(11);
  b->limit_tokens_wasted.add(12);
  const auto scrape = Exposition::parse(registry.serialize());
  CHECK(scrape.value("pannier_limit_admitted_total{limit=\"search\",mode=\"enforce\"}") == 7);
  CHECK(scrape.value("pannier_limit_refused_total{limit=\"writes\",mode=\"observe\"}") == 5);
  CHECK(scrape.value("pannier_limit_asks_total{limit=\"writes\"}") == 6);
  CHECK(scrape.value("pannier_limit_leased_tokens_total{limit=\"writes\"}") == 60);
  CHECK(scrape.value("pannier_limit_waits_total{limit=\"writes\"}") == 8);
  CHECK(scrape.value("pannier_limit_errors_total{limit=\"writes\"}") == 9);
  CHECK(scrape.value("pannier_limit_wasted_tokens_total") == 12);
  CHECK(scrape.value("pannier_limit_entries") == 7);
  CHECK(scrape.value("pannier_limit_evictions_total") == 2);
  CHECK(scrape.value("pannier_denied_total{rule=\"no-scans\",mode=\"enforce\"}") == 11);
}

TEST_CASE("rule_names: a name keeps its place; past the last one they share it") {
  RuleNames names;
  CHECK(names.place_of("a") == 0);
  CHECK(names.place_of("b") == 1);
  CHECK(names.place_of("a") == 0);
  for (std::size_t i = 0; i < 2 * kMaxRules; ++i) {
    CHECK(names.place_of("n" + std::to_string(i)) < kMaxRules);
  }
  CHECK(names.place_of("late") == kMaxRules - 1);
  CHECK(names.place_of("later") == kMaxRules - 1);
  CHECK(names.place_of("b") == 1);
  CHECK(names.all().size() == kMaxRules);
  CHECK(names.all().back() == "other");
}
