#include "pannier/policy/rules.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)
using pannier::config::CacheRules;
using pannier::config::Coherence;
using pannier::config::Milliseconds;
using pannier::config::MissRules;
using pannier::config::OnError;
using pannier::config::Policy;
using pannier::config::PolicyClass;
using pannier::config::Reads;
using pannier::config::RuleMode;

namespace {

PolicyClass cached(std::string name, std::vector<std::string> keys) {
  PolicyClass out;
  out.name = std::move(name);
  out.keys = std::move(keys);
  out.cache.emplace();
  return out;
}

TrackingPlan plan_of(std::vector<PolicyClass> classes, const std::vector<ClassId>& kept_out = {}) {
  Policy policy;
  policy.classes = std::move(classes);
  return plan_tracking(*compile(std::move(policy)), kept_out);
}

using Names = std::vector<std::string>;
using Ids = std::vector<ClassId>;

}  // namespace

TEST_CASE("rules: an empty policy has no class for anything", "[policy]") {
  const auto rules = compile({});
  CHECK(rules->matcher.match("a") == kNoClass);
  CHECK_FALSE(rules->any_cache);
  CHECK_FALSE(rules->any_shadow);
  CHECK_FALSE(rules->any_lease);
  CHECK_FALSE(rules->any_reads);
  CHECK(plan_tracking(*rules, {}).empty());
}

TEST_CASE("rules: what any class has is known", "[policy]") {
  Policy policy;
  policy.classes = {cached("a", {"a:*"}), cached("b", {"b:*"})};
  policy.classes[1].cache->mode = RuleMode::Observe;
  policy.classes[1].miss = MissRules{Milliseconds(2000)};
  policy.classes[0].reads = Reads::SameZone;
  const auto rules = compile(policy);
  CHECK(rules->any_cache);
  CHECK(rules->any_shadow);
  CHECK(rules->any_lease);
  CHECK(rules->any_reads);
  CHECK(rules->at(rules->matcher.match("b:1")).name == "b");
}

TEST_CASE("rules: Pannier's own keys are of no class", "[policy]") {
  Policy policy;
  policy.classes = {cached("all", {"*"})};
  const auto rules = compile(policy);
  CHECK(rules->matcher.match("pannier") == 0);
  CHECK(rules->matcher.match("pannier:canary") == kNoClass);
}

TEST_CASE("rules: the lowest mode counts", "[policy]") {
  Policy policy;
  policy.mode = GENERATE(RuleMode::Off, RuleMode::Observe, RuleMode::Enforce);
  const auto class_mode = GENERATE(RuleMode::Off, RuleMode::Observe, RuleMode::Enforce);
  const auto cache_mode = GENERATE(RuleMode::Off, RuleMode::Observe, RuleMode::Enforce);
  policy.reads = Reads::Nearest;
  policy.classes = {cached("a", {"a:*"})};
  auto& each = policy.classes[0];
  each.mode = class_mode;
  each.cache->mode = cache_mode;
  each.reads = Reads::Replica;
  each.miss = MissRules{Milliseconds(2000)};
  each.on_error = OnError::Miss;
  const auto rules = compile(policy);
  const auto& made = rules->at(0);
  const bool acts = std::min(policy.mode, class_mode) == RuleMode::Enforce;
  const auto expected = std::min({policy.mode, class_mode, cache_mode});
  REQUIRE(made.cache.has_value() == (expected != RuleMode::Off));
  CHECK((!made.cache || made.cache->mode == expected));
  CHECK(rules->any_shadow == (expected == RuleMode::Observe));
  CHECK(made.reads.has_value() == acts);
  CHECK(made.miss.has_value() == acts);
  const bool is_off = std::min(policy.mode, class_mode) == RuleMode::Off;
  CHECK(made.on_error == (is_off ? OnError::Fail : OnError::Miss));  // else it counts
  CHECK(rules->policy.reads.has_value() == (policy.mode == RuleMode::Enforce));
  CHECK(rules->any_reads == (policy.mode == RuleMode::Enforce));
}

TEST_CASE("rules: only a class that acts is read from replicas in the primary's place",
          "[policy]") {
  Policy policy;
  policy.classes = {cached("a", {"a:*"})};
  policy.classes[0].on_error = OnError::Stale;
  policy.classes[0].mode = GENERATE(RuleMode::Observe, RuleMode::Enforce);
  const auto rules = compile(policy);
  const bool acts = policy.classes[0].mode == RuleMode::Enforce;
  CHECK(serves_stale(rules->at(0)) == acts);
  CHECK(rules->any_stale == acts);
  CHECK(rules->any_reads == acts);
}

TEST_CASE("tracking_plan: prefixes cover, and none begins another", "[policy]") {
  const auto plan = plan_of({cached("product", {"product:*", "product:x:*"}),
                             cached("price", {"price:*:now", "prices"}),
                             cached("pro", {"prod*"})});
  CHECK(plan.prefixes == Names{"price:", "prices", "prod"});
  CHECK(plan.optin.empty());
}

TEST_CASE("tracking_plan: only classes that are cached and tracked", "[policy]") {
  auto ttl = cached("ttl", {"ttl:*"});
  ttl.cache->coherence = Coherence::Ttl;
  auto off = cached("off", {"off:*"});
  off.cache->mode = RuleMode::Off;
  auto shadow = cached("shadow", {"shadow:*"});
  shadow.cache->mode = RuleMode::Observe;
  PolicyClass none;
  none.keys = {"none:*"};
  const auto plan = plan_of({ttl, off, shadow, none});
  CHECK(plan.prefixes == Names{"shadow:"});
  CHECK(plan.optin.empty());
}

TEST_CASE("tracking_plan: a short prefix takes its whole class to OPTIN", "[policy]") {
  const auto plan = plan_of({cached("product", {"product:*", "v?:product:*"}),
                             cached("short", {"ab*"}),
                             cached("long", {"abc*"}),
                             cached("all", {"*"})});
  CHECK(plan.prefixes == Names{"abc"});
  CHECK(plan.optin == Ids{0, 1, 3});
}

TEST_CASE("tracking_plan: classes that are kept out", "[policy]") {
  const auto plan = plan_of({cached("a", {"aaa:*"}), cached("b", {"bbb:*"})}, {0});
  CHECK(plan.prefixes == Names{"bbb:"});
  CHECK(plan.optin == Ids{0});
}

TEST_CASE("tracking_plan: nothing overlaps with the canary", "[policy]") {
  for (const auto* glob : {"pan*", "pannier*", "pannier:*", "pannier:canary:*"}) {
    const auto plan = plan_of({cached("a", {glob})});
    CHECK(plan.prefixes.empty());
    CHECK(plan.optin == Ids{0});
  }
  CHECK(plan_of({cached("a", {"panniers:*"})}).prefixes == Names{"panniers:"});
}

TEST_CASE("tracking_plan: at most sixteen prefixes, whatever the order", "[policy]") {
  std::vector<PolicyClass> classes;
  for (int i = 0; i < 17; ++i) {
    const auto name = std::string(3, static_cast<char>('a' + i));
    classes.push_back(cached(name, {name + ":*"}));
  }
  classes.push_back(cached("below", {"aaa:x:*"}));
  classes.insert(classes.begin(), cached("two", {"xxx:*", "yyy:*"}));
  const auto plan = plan_of(classes);
  CHECK(plan.prefixes.size() == 16);
  CHECK(plan.optin == Ids{0, 17});
  std::reverse(classes.begin(), classes.end());
  const auto reversed = plan_of(classes);
  CHECK(reversed.prefixes == plan.prefixes);
  CHECK(reversed.optin == Ids{1, 18});
}
