#include "pannier/config/policy_loader.hpp"
#include "pannier/policy/rules.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)

namespace {

RulesPtr example(const std::string& name) {
  auto policy =
      pannier::config::load_policy_file(std::string(PANNIER_SOURCE_DIR) + "/config/" + name).policy;
  REQUIRE(policy);
  return compile(std::move(*policy));
}

}  // namespace

TEST_CASE("examples: keys of a shop find their class", "[policy]") {
  const auto rules = example("policy.yaml");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"product:4711", "product"},
      {"catalogue:de:product:4711", "product"},
      {"catalogue:de", ""},
      {"price:4711:EUR", "price"},
      {"nav:main", "navigation"},
      {"facets:shoes", "navigation"},
      {"reco:product:4711", "recommendations"},
      {"reco:user:jane", "recommendations"},
      {"reco:user:", ""},
      {"promo:summer", "promotions"},
      {"reviews:4711:page:2", "reviews"},
      {"rating:4711", "reviews"},
      {"inventory:4711", "stock-display"},
      {"inventory:checkout:4711", "stock-checkout"},
      {"inventory:checkout", "stock-display"},
      {"session:abc", "session"},
      {"sess:abc", "session"},
      {"cart:7", "cart"},
      {"prefs:jane", "preferences"},
      {"loyalty:jane", "loyalty"},
      {"discount:rule:7", "discount-rules"},
      {"discount:7", ""},
      {"search:jane:red shoes", "search"},
      {"search:jane", ""},
      {"counter:visits", "counters"},
      {"lock:order:7", "counters"},
      {"flash-inventory:1", "counters"},
      {"Product:4711", ""},
      {"pannier:canary", ""},
      {"", ""}};
  for (const auto& [key, name] : expected) {
    INFO(key);
    const auto id = rules->matcher.match(key);
    CHECK((id == kNoClass ? std::string() : rules->at(id).name) == name);
  }
}

TEST_CASE("examples: what must be the truth is in no memory", "[policy]") {
  const auto rules = example("policy.yaml");
  for (const auto* key : {"inventory:checkout:1", "cart:1", "counter:1", "session:1"}) {
    INFO(key);
    const auto& each = rules->at(rules->matcher.match(key));
    CHECK_FALSE(each.cache);
    CHECK_FALSE(each.miss);
    CHECK(each.on_error == pannier::config::OnError::Fail);
  }
}

TEST_CASE("examples: changes of the shop's keys are asked for by prefix", "[policy]") {
  const auto plan = plan_tracking(*example("policy.yaml"), {});
  CHECK(plan.prefixes == std::vector<std::string>{"catalogue:",
                                                  "discount:rule:",
                                                  "facets:",
                                                  "loyalty:",
                                                  "nav:",
                                                  "prefs:",
                                                  "price:",
                                                  "product:",
                                                  "promo:",
                                                  "rating:",
                                                  "reco:product:",
                                                  "reco:user:",
                                                  "reviews:"});
  CHECK(plan.optin.empty());
}

TEST_CASE("examples: the smallest policy caches one class", "[policy]") {
  const auto rules = example("examples/policy-minimal.yaml");
  CHECK(rules->matcher.match("product:1") == 0);
  CHECK(rules->matcher.match("price:1") == kNoClass);
  CHECK(rules->any_cache);
  CHECK_FALSE(rules->any_lease);
  CHECK_FALSE(rules->any_reads);
}
