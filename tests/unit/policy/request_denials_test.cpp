#include "request_fixture.hpp"

namespace pannier::policy {

using config::RuleMode;

namespace {

struct Case {
  std::string_view request;
  std::string_view denial;
};

void check(const Rules& rules, std::initializer_list<Case> cases) {
  for (const auto& each : cases) {
    INFO(each.request);
    CHECK(denial_of(rules, each.request) == each.denial);
  }
}

}  // namespace

TEST_CASE("denials: the first that fits, by command, category and key", "[policy]") {
  const auto rules = compile(policy_of({},
                                       {denial({"keys", "config set"}),
                                        denial({"@dangerous"}),
                                        denial({}, {"secret:*"}),
                                        denial({"@write"}, {"fixed:*", "secret:*"}),
                                        denial({"debug"})}));
  check(*rules,
        {{"KEYS *", "0 command"},
         {"CONFIG SET a b", "0 command"},
         {"CONFIG GET a", "1 command"},
         {"FLUSHALL", "1 command"},
         {"GET secret:x", "2 key"},
         {"SET secret:x 1", "2 key"},
         {"SET fixed:x 1", "3 key"},
         {"GET fixed:x", ""},
         {"MSET a 1 b 2 fixed:x 3", "3 key"},
         {"MSET fixed:x 3 secret:x 3", "2 key"},
         {"MSET secret:x 3 fixed:x 3", "2 key"},
         {"DEBUG SLEEP 1", "1 command"},
         {"GET a", ""},
         {"EVAL x 1 secret:x", "2 key"}});
}

TEST_CASE("denials: never of what clients send of their own accord", "[policy]") {
  const auto rules = compile(policy_of(
      {}, {denial({"@fast", "@slow"}), denial({}), denial({"info", "exec", "client", "@slow"})}));
  for (const std::string_view request : {"HELLO 3",
                                         "AUTH x",
                                         "SELECT 1",
                                         "INFO",
                                         "ROLE",
                                         "EXEC",
                                         "DISCARD",
                                         "UNWATCH",
                                         "UNSUBSCRIBE",
                                         "PUNSUBSCRIBE",
                                         "SUNSUBSCRIBE",
                                         "RESET",
                                         "QUIT",
                                         "PING",
                                         "CLIENT SETNAME x",
                                         "CLIENT SETINFO a b",
                                         "CLIENT NOSUCH",
                                         "COMMAND DOCS"}) {
    INFO(request);
    CHECK(denial_of(*rules, request).empty());
    CHECK_FALSE(rules->requests.may_deny(command::index_of(*Asked(*rules, request).view.row)));
  }
  check(*rules, {{"CLIENT LIST", "0 command"}, {"MULTI", "0 command"}, {"GET a", "0 command"}});
}

TEST_CASE("denials: more arguments, or larger ones, than a rule allows", "[policy]") {
  auto policy = policy_of({}, {denial({"mset"}), denial({}, {"s:*"}), denial({"set"})});
  policy.deny[0].max_arguments = 5;
  policy.deny[1].max_value = 8;
  policy.deny[2].max_arguments = 4;
  policy.deny[2].max_value = 4;
  const auto rules = compile(policy);
  check(*rules,
        {{"MSET a 1 b 2", ""},
         {"MSET a 1 b 2 c 3", "0 arguments"},
         {"HSET s:1 a 12345678", ""},
         {"HSET s:1 a 123456789", "1 value"},
         {"HSET t:1 a 123456789", ""},
         {"SET a 1234", ""},
         {"SET a 12345", "2 value"},
         {"SET a 12345 EX 1", "2 arguments"},
         {"SET s:1 123456789", "1 value"}});
}

TEST_CASE("denials: of a request that is streamed, what it announces", "[policy]") {
  auto policy = policy_of({}, {denial({}), denial({})});
  policy.deny[0].max_arguments = 10;
  policy.deny[1].max_value = 1000;
  const auto rules = compile(policy);
  Asked asked(*rules, "SET a");
  asked.view.announced = 3;
  asked.view.unfinished = 1000;
  CHECK(denial_of(*rules, asked).empty());
  asked.view.unfinished = 1001;
  CHECK(denial_of(*rules, asked) == "1 value");
  asked.view.announced = 11;
  CHECK(denial_of(*rules, asked) == "0 arguments");
}

TEST_CASE("denials: read_only refuses whatever may write, scripts too", "[policy]") {
  config::Policy policy;
  policy.read_only = true;
  const auto rules = compile(policy);
  CHECK(rules->requests.any_denials());
  check(*rules,
        {{"SET a 1", "- read only"},
         {"FLUSHALL", "- read only"},
         {"EVAL x 0", "- read only"},
         {"EVALSHA x 0", "- read only"},
         {"FCALL f 0", "- read only"},
         {"CL.THROTTLE a 1 1 1", "- read only"},
         {"EVAL_RO x 0", ""},
         {"FCALL_RO f 0", ""},
         {"GET a", ""},
         {"PUBLISH a b", ""},
         {"EXEC", ""},
         {"CONFIG SET a b", ""}});
}

TEST_CASE("denials: read_only refuses a command that nobody knows", "[policy]") {
  config::Policy policy;
  policy.read_only = true;
  const auto rules = compile(policy);
  Asked asked(*rules, "json.set a b");
  CHECK(denial_of(*rules, asked) == "- read only");
  command::CommandSpec learned = *asked.view.row;
  asked.view.row = &learned;
  learned.flags = command::kReadOnly;
  CHECK(denial_of(*rules, asked).empty());
  learned.flags = command::kWrite;
  CHECK(denial_of(*rules, asked) == "- read only");
}

TEST_CASE("denials: a rule that observes is told only where it would have refused", "[policy]") {
  auto policy = policy_of(
      {},
      {denial({"get"}), denial({"@read"}), denial({"get", "set"}), denial({}, {"k*"}), denial({})});
  policy.deny[0].mode = RuleMode::Off;
  policy.deny[1].mode = RuleMode::Observe;
  policy.deny[3].mode = RuleMode::Observe;
  policy.deny[4].mode = RuleMode::Observe;
  const auto rules = compile(policy);
  check(*rules,
        {{"GET a", "2 command, observed 1 command"},
         {"SET k 1", "2 command"},
         {"HGET k a", "observed 1 command"},
         {"HSET k a 1", "observed 3 key"},
         {"HSET a a 1", "observed 4 command"}});
}

TEST_CASE("denials: under the policy's ceiling all observe, the first alone counts", "[policy]") {
  auto policy = policy_of({}, {denial({"set"}), denial({}, {"k*"})});
  policy.read_only = true;
  policy.mode = RuleMode::Observe;
  {
    const auto rules = compile(policy);
    check(*rules,
          {{"SET k 1", "observed - read only"}, {"GET k", "observed 1 key"}, {"GET a", ""}});
  }
  policy.read_only = false;
  {
    const auto rules = compile(policy);
    check(*rules, {{"SET k 1", "observed 0 command"}});
  }
  policy.mode = RuleMode::Off;
  policy.read_only = true;
  {
    const auto rules = compile(policy);
    check(*rules, {{"SET k 1", ""}});
    CHECK_FALSE(rules->requests.any_denials());
  }
}

}  // namespace pannier::policy
