#include "pannier/metrics/registry.hpp"

#include "exposition.hpp"
#include "families.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pannier::metrics;

TEST_CASE("policy_families: generation, hash, age and what reloads came to") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  PolicyState policy;
  policy.generation = 3;
  policy.hash = "00c0ffee";
  policy.loaded_at = 1.5e9;
  policy.reloads = {2, 5, 1};
  registry.set_policy(policy);
  auto text = registry.serialize();
  CHECK(text.find("pannier_policy_generation 3\n") != std::string::npos);
  CHECK(text.find("pannier_policy_info{hash=\"00c0ffee\"} 1\n") != std::string::npos);
  CHECK(text.find("pannier_policy_loaded_timestamp_seconds 1500000000\n") != std::string::npos);
  CHECK(text.find("pannier_policy_reloads_total{result=\"changed\"} 2\n") != std::string::npos);
  CHECK(text.find("pannier_policy_reloads_total{result=\"unchanged\"} 5\n") != std::string::npos);
  CHECK(text.find("pannier_policy_reloads_total{result=\"failed\"} 1\n") != std::string::npos);
  CHECK(text.find("pannier_policy_last_reload_successful 1\n") != std::string::npos);
  CHECK(age_of(registry.snapshot().policy) > 1e8);

  policy.last_error = "policy.yaml:1:1: secret text";
  registry.set_policy(policy);
  text = registry.serialize();
  CHECK(text.find("pannier_policy_last_reload_successful 0\n") != std::string::npos);
  CHECK(text.find("secret text") == std::string::npos);
}

TEST_CASE("policy_families: without a policy there is only generation 0") {
  const Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  const auto text = registry.serialize();
  CHECK(text.find("pannier_policy_generation 0\n") != std::string::npos);
  CHECK(text.find("pannier_policy_info{") == std::string::npos);
  CHECK(text.find("pannier_policy_reloads_total{") == std::string::npos);
}
