#include "request_fixture.hpp"

// What is let pass without a further look.
namespace pannier::policy {
namespace {

config::PolicyClass key_class(std::string name, Words keys) {
  config::PolicyClass out;
  out.name = std::move(name);
  out.keys = std::move(keys);
  return out;
}

bool passes(const Rules& rules, std::string_view request) {
  const Asked asked(rules, request);
  return rules.requests.screen().passes(command::index_of(*asked.view.row),
                                        asked.view.arguments.size(),
                                        request.size(),
                                        asked.view.key_class);
}

}  // namespace

TEST_CASE("request screen: without rules everything passes", "[policy]") {
  const auto rules = compile({});
  CHECK(passes(*rules, "GET a"));
  CHECK(passes(*rules, "PING"));
}

TEST_CASE("request screen: keys of a class are stopped where a glob may match them", "[policy]") {
  auto policy = policy_of({limit({}, {"search:{user}:*"})}, {denial({"@write"}, {"car*"})});
  policy.classes = {key_class("search", {"search:{user}:*"}),
                    key_class("session", {"session:*"}),
                    key_class("cart", {"cart:*"})};
  const auto rules = compile(policy);
  CHECK_FALSE(passes(*rules, "GET search:bob:x"));
  CHECK(passes(*rules, "GET session:1"));
  CHECK(passes(*rules, "GET cart:1"));
  CHECK_FALSE(passes(*rules, "SET cart:1 x"));
  CHECK(passes(*rules, "SET session:1 x"));
  CHECK(passes(*rules, "PING"));
}

TEST_CASE("request screen: keys of no class pass where all that a glob matches have one",
          "[policy]") {
  auto policy = policy_of({limit({"get"}, {"search:*"}), limit({"set"}, {"sea*"})});
  policy.classes = {key_class("search", {"search:*"})};
  const auto rules = compile(policy);
  CHECK(passes(*rules, "GET other:1"));
  CHECK_FALSE(passes(*rules, "SET other:1 x"));
}

TEST_CASE("request screen: keys of Pannier's own have no class, but rules hold for them",
          "[policy]") {
  auto policy = policy_of({limit({}, {"p*"})});
  policy.classes = {key_class("all", {"*"})};
  const auto rules = compile(policy);
  CHECK_FALSE(passes(*rules, "GET pannier:x"));
}

TEST_CASE("request screen: a rule for a class stops its keys alone", "[policy]") {
  auto rule = limit({"@write"});
  rule.key_class = "cart";
  auto policy = policy_of({rule});
  policy.classes = {key_class("cart", {"cart:*"}), key_class("price", {"price:*"})};
  const auto rules = compile(policy);
  CHECK_FALSE(passes(*rules, "SET cart:1 x"));
  CHECK(passes(*rules, "SET price:1 x"));
  CHECK(passes(*rules, "GET cart:1"));
}

TEST_CASE("request screen: rules that look at sizes stop what is larger", "[policy]") {
  auto value = denial({});
  value.max_value = 20;
  auto arguments = denial({"mget", "del"});
  arguments.max_arguments = 2;
  const auto rules = compile(policy_of({}, {value, arguments}));
  CHECK(passes(*rules, "GET 0123456789"));
  CHECK_FALSE(passes(*rules, "GET 0123456789-0123456789"));
  CHECK(passes(*rules, "DEL a"));
  CHECK_FALSE(passes(*rules, "DEL a b"));
  CHECK(passes(*rules, "INFO"));
}

TEST_CASE("request screen: writes are stopped while the policy is read_only", "[policy]") {
  auto policy = policy_of({});
  policy.read_only = true;
  const auto rules = compile(policy);
  CHECK(passes(*rules, "GET a"));
  CHECK_FALSE(passes(*rules, "SET a b"));
  CHECK_FALSE(passes(*rules, "nosuch"));
}

TEST_CASE("request screen: rules that are off stop nothing", "[policy]") {
  auto rule = denial({});
  rule.mode = config::RuleMode::Off;
  const auto rules = compile(policy_of({}, {rule}));
  CHECK(passes(*rules, "GET a"));
}

}  // namespace pannier::policy
