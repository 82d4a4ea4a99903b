#include "request_fixture.hpp"

namespace pannier::policy {

using config::RuleMode;

namespace {

struct Case {
  std::string_view request;
  std::string_view limits;
};

void check(const Rules& rules, std::initializer_list<Case> cases) {
  for (const auto& each : cases) {
    INFO(each.request);
    CHECK(limits_of(rules, each.request) == each.limits);
  }
}

config::PolicyClass key_class(std::string name, Words keys) {
  config::PolicyClass out;
  out.name = std::move(name);
  out.keys = std::move(keys);
  return out;
}

}  // namespace

TEST_CASE("limits: by the name of a command, a subcommand or a container", "[policy]") {
  const auto rules = compile(policy_of({
      limit({"get", "mget"}),
      limit({"config get"}),
      limit({"config"}),
  }));
  check(*rules,
        {{"GET a", "0"},
         {"get a", "0"},
         {"MGET a b", "0"},
         {"GETEX a", ""},
         {"SET a b", ""},
         {"CONFIG GET x", "1 2"},
         {"config set x y", "2"},
         {"CONFIG", "2"},
         {"CONFIG NOSUCH", "2"},
         {"CLIENT LIST", ""}});
}

TEST_CASE("limits: by category", "[policy]") {
  const auto rules = compile(policy_of({
      limit({"@write"}),
      limit({"@hash", "get"}),
      limit({"@fast", "@slow"}),
      limit({}),
  }));
  check(*rules,
        {{"SET a b", "0 2 3"},
         {"HSET a b c", "0 1 2 3"},
         {"HGET a b", "1 2 3"},
         {"GET a", "1 2 3"},
         {"EVAL_RO x 0", "2 3"},
         {"CONFIG SET a b", "2 3"}});
}

TEST_CASE("limits: never of what only ends something, nor of PING", "[policy]") {
  const auto rules = compile(policy_of({limit({}), limit({"ping", "exec", "@transaction"})}));
  check(*rules,
        {{"PING", ""},
         {"EXEC", ""},
         {"DISCARD", ""},
         {"UNWATCH", ""},
         {"UNSUBSCRIBE a", ""},
         {"PUNSUBSCRIBE", ""},
         {"SUNSUBSCRIBE", ""},
         {"RESET", ""},
         {"QUIT", ""},
         {"MULTI", "0 1"},
         {"HELLO 3", "0"},
         {"SUBSCRIBE a", "0"}});
}

TEST_CASE("limits: by keys, and what their captures stand for", "[policy]") {
  const auto rules = compile(policy_of({
      limit({}, {"search:{user}:*"}, "user"),
      limit({"get"}, {"search:*"}),
      limit({}, {"a\\{b\\}{x}"}, "x"),
      limit({}, {"*:{day}"}, "day"),
      limit({}, {"q:{a}:{b}"}, "b"),
      limit({}, {"exactly"}),
  }));
  check(*rules,
        {{"GET search:bob:x", "0=bob 1 3=bob:x"},
         {"GET search:bob:", "0=bob 1 3=bob:"},
         {"GET search::x", "1 3=:x"},
         {"GET search:bob", "1 3=bob"},
         {"SET search:bob:x 1", "0=bob 3=bob:x"},
         {"GET a{b}c", "2=c"},
         {"GET a{b}", ""},
         {"GET abc", ""},
         {"GET q:1:2", "3=1:2 4=2"},
         {"GET q:1:2:3", "3=1:2:3 4=2:3"},
         {"GET exactly", "5"},
         {"GET exactly1", ""},
         {"GET exactl", ""},
         {"INFO", ""}});
}

TEST_CASE("limits: a key with several globs of one limit is counted once, by the most specific",
          "[policy]") {
  const auto rules = compile(policy_of({
      limit({}, {"{user}", "s:{user}", "s:{user}:x", "s:{user}:*", "{user}:z"}, "user"),
  }));
  check(*rules,
        {{"GET bob", "0=bob"},
         {"GET s:bob", "0=bob"},
         {"GET s:bob:x", "0=bob"},
         {"GET s:bob:y", "0=bob"},
         {"GET b:z", "0=b"}});
}

TEST_CASE("limits: of equally specific globs of one limit the first one counts", "[policy]") {
  const auto rules = compile(policy_of({
      limit({}, {"{a}:{user}", "{user}:{b}"}, "user"),
      limit({}, {"{user}:{b}", "{a}:{user}"}, "user"),
  }));
  check(*rules, {{"GET 1:2", "0=2 1=1"}});
}

TEST_CASE("limits: each key of a request counts, equal subjects once", "[policy]") {
  const auto rules = compile(policy_of({
      limit({}, {"u:{user}:*"}, "user"),
      limit({"mget"}),
      limit({}, {"u:*", "v:*"}),
  }));
  check(*rules,
        {{"MGET u:b:1 u:a:2 u:b:3 x", "0=a 0=b 1 2"},
         {"MGET x y", "1"},
         {"MGET x v:1", "1 2"},
         {"MSET u:a:1 x u:b:1 u:c:1", "0=a 0=b 2"},
         {"EVAL return 2 u:a:1 u:b:1 u:c:1", "0=a 0=b 2"},
         {"EVAL return 0 u:a:1", ""},
         {"XREAD STREAMS u:a:1 u:b:1 0 0", "0=a 0=b 2"}});
}

TEST_CASE("limits: a request of very many keys is counted as one of few", "[policy]") {
  const auto rules = compile(policy_of({limit({}, {"u:{user}"}, "user"), limit({}, {"*"})}));
  Words words{"MGET"};
  for (int i = 0; i < 10'000; ++i) {
    words.push_back("u:" + std::to_string(i % 100));
  }
  const Asked asked(*rules, words);
  std::vector<LimitMatch> found;
  rules->requests.limits_of(asked.view, found);
  CHECK(found.size() == 101);
  CHECK(found.back() == LimitMatch{1, ""});
  CHECK(found.capacity() < 1000);
}

TEST_CASE("limits: what is there already stays, and matches come behind it", "[policy]") {
  const auto rules = compile(policy_of({limit({}), limit({"get"})}));
  const Asked asked(*rules, "GET a");
  std::vector<LimitMatch> found{{7, "x"}, {3, "y"}};
  rules->requests.limits_of(asked.view, found);
  CHECK(found == std::vector<LimitMatch>{{7, "x"}, {3, "y"}, {0, ""}, {1, ""}});
}

TEST_CASE("limits: by class, of any key of the request", "[policy]") {
  auto policy = policy_of({limit({}), limit({"@read"}), limit({}, {"p:{id}:*"}, "id"), limit({})});
  policy.classes = {key_class("price", {"p:*"}), key_class("stock", {"p:stock:*", "s:*"})};
  policy.limits[0].key_class = "stock";
  policy.limits[1].key_class = "price";
  policy.limits[2].key_class = "price";
  policy.limits[3].key_class = "nosuch";
  const auto rules = compile(policy);
  check(*rules,
        {{"GET p:1", "1"},
         {"GET p:1:x", "1 2=1"},
         {"SET p:1:x y", "2=1"},
         {"GET p:stock:1", "0"},
         {"GET x", ""},
         {"MGET x s:1 p:1:x", "0 1 2=1"},
         {"DBSIZE", ""}});
  CHECK(rules->requests.limit_mode(3) == RuleMode::Off);
}

TEST_CASE("limits: a command that the table lacks is known by its flags only", "[policy]") {
  const auto rules = compile(policy_of({
      limit({"@write"}),
      limit({"get"}),
      limit({}),
      limit({"@read", "get"}, {"a*"}),
  }));
  Asked asked(*rules, "json.set abc def");
  CHECK(limits_of(*rules, asked) == "2");
  command::CommandSpec learned = *asked.view.row;
  asked.view.row = &learned;
  learned.flags = command::kWrite;
  CHECK(limits_of(*rules, asked) == "0 2");
  learned.flags = command::kReadOnly;
  const std::vector<std::string_view> keys{"abc"};
  asked.view.keys = keys;
  CHECK(limits_of(*rules, asked) == "2 3");
}

TEST_CASE("limits: what is off is gone, what observes is told, under the policy's ceiling",
          "[policy]") {
  auto policy = policy_of({limit({}), limit({}), limit({})});
  policy.limits[0].mode = RuleMode::Observe;
  policy.limits[1].mode = RuleMode::Off;
  {
    const auto rules = compile(policy);
    CHECK(limits_of(*rules, "GET a") == "0 2");
    CHECK(rules->requests.limit_mode(0) == RuleMode::Observe);
    CHECK(rules->requests.limit_mode(1) == RuleMode::Off);
    CHECK(rules->requests.limit_mode(2) == RuleMode::Enforce);
  }
  policy.mode = RuleMode::Observe;
  {
    const auto rules = compile(policy);
    CHECK(limits_of(*rules, "GET a") == "0 2");
    CHECK(rules->requests.limit_mode(2) == RuleMode::Observe);
  }
  policy.mode = RuleMode::Off;
  {
    const auto rules = compile(policy);
    CHECK(limits_of(*rules, "GET a").empty());
    CHECK_FALSE(rules->requests.any_limits());
  }
}

TEST_CASE("limits: what a request's command wants to be known", "[policy]") {
  auto policy = policy_of({limit({"get"}), limit({"@set"}, {"a*"}), limit({"@list"})});
  policy.classes = {key_class("c", {"c:*"})};
  policy.limits[2].key_class = "c";
  const auto rules = compile(policy);
  const auto wants = [&](std::string_view name) {
    return rules->requests.wants(command::index_of(*command::find(name)));
  };
  CHECK(wants("get") == RequestRules::kLimits);
  CHECK(wants("sadd") == (RequestRules::kLimits | RequestRules::kKeys));
  CHECK(wants("lpush") == (RequestRules::kLimits | RequestRules::kKeys | RequestRules::kClasses));
  CHECK(wants("hget") == 0);
  CHECK(rules->requests.any_limits());
  CHECK_FALSE(rules->requests.any_denials());
  const auto unknown = static_cast<std::uint16_t>(command::table().size());
  CHECK(rules->requests.wants(unknown) ==
        (RequestRules::kLimits | RequestRules::kKeys | RequestRules::kClasses));
  CHECK(compile(policy_of({limit({"get"})}))->requests.wants(unknown) == 0);
  CHECK(RequestRules().wants(unknown) == 0);
  CHECK_FALSE(RequestRules().any_limits());
}

TEST_CASE("limits: a command without keys asks nothing of limits that need one", "[policy]") {
  const auto rules = compile(policy_of({limit({}, {"*"})}));
  CHECK(rules->requests.wants(command::index_of(*command::find("info"))) == 0);
  CHECK(limits_of(*rules, "FLUSHALL").empty());
}

}  // namespace pannier::policy
