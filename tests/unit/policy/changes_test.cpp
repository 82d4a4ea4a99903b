#include "pannier/policy/rules.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)
using pannier::config::Milliseconds;
using pannier::config::MissRules;
using pannier::config::Policy;
using pannier::config::PolicyClass;
using pannier::config::Reads;
using pannier::config::RuleMode;
using pannier::config::Store;

namespace {

using Classes = std::vector<PolicyClass>;
using Ids = std::vector<ClassId>;

PolicyClass plain(std::string name, std::vector<std::string> keys) {
  PolicyClass out;
  out.name = std::move(name);
  out.keys = std::move(keys);
  return out;
}

PolicyClass cached(std::string name, std::vector<std::string> keys) {
  auto out = plain(std::move(name), std::move(keys));
  out.cache.emplace();
  return out;
}

Policy policy_of(Classes classes) {
  Policy out;
  out.classes = std::move(classes);
  return out;
}

std::string name_for(const Rules& rules, std::string_view key) {
  const auto id = rules.matcher.match(key);
  return id == kNoClass ? "" : rules.at(id).name;
}

Ids dropped(const Policy& before, const Policy& after) {
  const auto old_rules = compile(before);
  return classes_to_drop(*old_rules, *compile(after, old_rules.get()));
}

}  // namespace

TEST_CASE("changes: a class keeps its id, whatever its place in the file", "[policy]") {
  const auto first = compile(policy_of({plain("a", {"a:*"}), plain("b", {"b:*"})}));
  const auto second =
      compile(policy_of({plain("c", {"c:*"}), plain("b", {"bb:*"}), plain("a", {"a:*"})}),
              first.get(),
              {2, "abc"});
  CHECK(second->origin == Origin{2, "abc"});
  CHECK(second->matcher.match("a:1") == 0);
  CHECK(second->matcher.match("bb:1") == 1);
  CHECK(second->matcher.match("c:1") == 2);
  CHECK(second->matcher.match("b:1") == kNoClass);
}

TEST_CASE("changes: a class that is gone leaves its place to its name", "[policy]") {
  auto with_rules = cached("a", {"a:*"});
  with_rules.reads = Reads::Primary;
  with_rules.miss = MissRules{Milliseconds(2000)};
  const auto first = compile(policy_of({with_rules, plain("b", {"b:*"})}));
  const auto second = compile(policy_of({plain("b", {"b:*"}), plain("c", {"c:*"})}), first.get());
  REQUIRE(second->policy.classes.size() == 3);
  CHECK(is_retired(second->at(0)));
  CHECK(second->at(0) == plain("a", {}));
  CHECK_FALSE(second->any_cache);
  CHECK_FALSE(second->any_lease);
  CHECK_FALSE(second->any_reads);
  CHECK(second->matcher.match("a:1") == kNoClass);
  CHECK(second->matcher.match("c:1") == 2);
  const auto third = compile(policy_of({with_rules}), second.get());
  CHECK(third->matcher.match("a:1") == 0);
  CHECK(third->any_cache);
  CHECK(is_retired(third->at(2)));
}

TEST_CASE("changes: retired places are taken when there is no room for new ones", "[policy]") {
  Classes all;
  for (std::size_t i = 0; i < kMaxClasses; ++i) {
    all.push_back(plain("old" + std::to_string(i), {"old" + std::to_string(i) + ":*"}));
  }
  const auto first = compile(policy_of(all));
  all[7] = plain("seven", {"seven:*"});
  all[9] = plain("nine", {"nine:*"});
  std::reverse(all.begin(), all.end());
  const auto second = compile(policy_of(all), first.get());
  CHECK(second->policy.classes.size() == kMaxClasses);
  CHECK(name_for(*second, "seven:1") == "seven");
  CHECK(name_for(*second, "nine:1") == "nine");
  CHECK(second->matcher.match("nine:1") + second->matcher.match("seven:1") == 7 + 9);
  CHECK(second->matcher.match("old8:1") == 8);
  CHECK(second->matcher.match("old7:1") == kNoClass);
}

TEST_CASE("changes: a thousand policies of other classes stay within the limit", "[policy]") {
  auto rules = compile({});
  for (int i = 0; i < 1000; ++i) {
    const auto name = std::to_string(i);
    rules =
        compile(policy_of({plain("x" + name, {"x:*"}), plain("y" + name, {"y:*"})}), rules.get());
    REQUIRE(rules->policy.classes.size() <= kMaxClasses);
    REQUIRE(name_for(*rules, "x:1") == "x" + name);
    REQUIRE(name_for(*rules, "y:1") == "y" + name);
  }
}

TEST_CASE("changes: what is kept goes when keys, cache, reads or store change", "[policy]") {
  const auto before = policy_of({cached("a", {"a:*"}), cached("b", {"b:*"}), plain("c", {"c:*"})});
  auto after = before;
  SECTION("nothing") {
    CHECK(dropped(before, after).empty());
  }
  SECTION("the order") {
    std::reverse(after.classes.begin(), after.classes.end());
    CHECK(dropped(before, after).empty());
  }
  SECTION("what has nothing to do with what is kept") {
    after.classes[0].miss = MissRules{Milliseconds(2000)};
    after.classes[2].reads = Reads::Nearest;
    CHECK(dropped(before, after).empty());
  }
  SECTION("keys") {
    after.classes[0].keys = {"aa:*"};
    CHECK(dropped(before, after) == Ids{0});
  }
  SECTION("its cache") {
    after.classes[1].cache->ttl = Milliseconds(1000);
    CHECK(dropped(before, after) == Ids{1});
  }
  SECTION("its mode") {
    after.classes[1].mode = RuleMode::Observe;
    CHECK(dropped(before, after) == Ids{1});
  }
  SECTION("to be cached, and not to be") {
    after.classes[2].cache.emplace();
    after.classes[0].cache.reset();
    CHECK(dropped(before, after) == Ids{0, 2});
  }
  SECTION("its reads") {
    after.classes[1].reads = Reads::Primary;
    CHECK(dropped(before, after) == Ids{1});
  }
  SECTION("the reads of all that do not say theirs") {
    after.reads = Reads::Primary;
    CHECK(dropped(before, after) == Ids{0, 1});
  }
  SECTION("its store") {
    after.classes[1].store = Store::Never;
    after.classes[1].mode_given = true;
    CHECK(dropped(before, after) == Ids{1});
  }
  SECTION("the mode of all") {
    after.mode = RuleMode::Off;
    CHECK(dropped(before, after) == Ids{0, 1});
  }
  SECTION("a class that is gone, and a new one") {
    after.classes.erase(after.classes.begin());
    after.classes.push_back(cached("d", {"d:*"}));
    CHECK(dropped(before, after) == Ids{0, 3});
  }
}

TEST_CASE("changes: what is kept goes when keys may come from another class", "[policy]") {
  const auto all = cached("all", {"*"});
  const auto special = plain("special", {"product:1*", "price:*"});
  const auto far = cached("far", {"far:*"});
  SECTION("the class that had them is gone") {
    CHECK(dropped(policy_of({all, special, far}), policy_of({all, far})) == Ids{0});
  }
  SECTION("it has lost a glob") {
    auto less = special;
    less.keys = {"price:*"};
    CHECK(dropped(policy_of({all, special, far}), policy_of({all, less, far})) == Ids{0});
  }
  SECTION("keys that go are no reason") {
    CHECK(dropped(policy_of({all, far}), policy_of({all, special, far})).empty());
  }
  SECTION("nor are keys that are none of its own") {
    CHECK(dropped(policy_of({far, special}), policy_of({far})).empty());
  }
}
