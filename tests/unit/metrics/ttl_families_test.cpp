#include "pannier/metrics/registry.hpp"

#include "exposition.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <memory>
#include <string>

using namespace pannier::metrics;

TEST_CASE("ttl_families: what rules on storing did, of the classes that have them") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  const auto a = std::make_unique<WorkerMetrics>();
  const auto b = std::make_unique<WorkerMetrics>();
  registry.add_worker(a.get());
  registry.add_worker(b.get());
  registry.set_classes({{"product", true}, {"cart", false, true}});
  const auto renewed = static_cast<std::size_t>(TtlAction::Renewed);
  const auto raised = static_cast<std::size_t>(TtlAction::Raised);
  a->classes[1].ttl_applied[renewed].add(3);
  b->classes[1].ttl_applied[renewed].add(4);
  b->classes[1].ttl_observed[raised].add(5);
  a->classes[1].ttl_unapplied.add(6);
  const auto scrape = Exposition::parse(registry.serialize());
  CHECK(scrape.value("pannier_ttl_applied_total{class=\"cart\",action=\"renewed\"}") == 7);
  CHECK(scrape.value("pannier_ttl_observed_total{class=\"cart\",action=\"raised\"}") == 5);
  CHECK(scrape.value("pannier_ttl_applied_total{class=\"cart\",action=\"default\"}") == 0);
  CHECK(scrape.value("pannier_ttl_unapplied_total{class=\"cart\"}") == 6);
  CHECK(registry.serialize().find("ttl_unapplied_total{class=\"product\"") == std::string::npos);
}
