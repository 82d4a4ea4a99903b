#include "pannier/metrics/registry.hpp"

#include "exposition.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace pannier::metrics;

namespace {

constexpr std::size_t at(AwayAnswer answer) {
  return static_cast<std::size_t>(answer);
}

}  // namespace

TEST_CASE("away_families: what reads got, by class and answer, and only of classes that say so") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  const auto a = std::make_unique<WorkerMetrics>();
  const auto b = std::make_unique<WorkerMetrics>();
  registry.add_worker(a.get());
  registry.add_worker(b.get());
  registry.set_classes({{"product", true, false, true}, {"cart", false}});
  a->classes[0].away_answers[at(AwayAnswer::Nil)].add(3);
  b->classes[0].away_answers[at(AwayAnswer::Nil)].add(4);
  a->classes[0].away_observed[at(AwayAnswer::Replica)].add(5);
  a->classes[0].miss_waits.add(6);
  b->classes[0].miss_over_cap.add(7);
  a->classes[1].away_answers[at(AwayAnswer::Nil)].add(99);
  const auto text = Exposition::parse(registry.serialize());
  CHECK(text.faults.empty());
  const std::string answers = "pannier_away_answers_total{class=\"product\",answer=";
  CHECK(text.families.at("pannier_away_answers_total").samples.size() == 8);
  CHECK(text.value(answers + "\"nil\",mode=\"enforce\"}") == 7);
  CHECK(text.value(answers + "\"nil\",mode=\"observe\"}") == 0);
  CHECK(text.value(answers + "\"replica\",mode=\"observe\"}") == 5);
  CHECK(text.value("pannier_miss_cap_waits_total{class=\"product\"}") == 6);
  CHECK(text.value("pannier_miss_over_cap_total{class=\"product\"}") == 7);
}

TEST_CASE("away_families: rehearsals are there only while one is on") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  std::vector<FaultState> faults;
  registry.set_faults_source([&] { return faults; });
  CHECK_FALSE(Exposition::parse(registry.serialize()).families.contains("pannier_faults_active"));
  faults = {{1, "drop: any class", 0, 10}, {2, "close: any class", 5, 1}};
  CHECK(Exposition::parse(registry.serialize()).value("pannier_faults_active") == 2);
}
