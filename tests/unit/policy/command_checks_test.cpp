#include "pannier/policy/command_checks.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pannier;  // NOLINT(google-build-using-namespace)

namespace {

using Texts = std::vector<std::string>;

config::LoadPolicyResult checked(const std::string& yaml) {
  auto result = config::load_policy(yaml);
  policy::check_commands(result);
  return result;
}

Texts texts(const std::vector<config::Issue>& issues) {
  Texts out;
  for (const auto& issue : issues) {
    out.push_back(issue.to_string("f"));
  }
  return out;
}

}  // namespace

TEST_CASE("command_checks: what exists is let through", "[policy]") {
  const auto result = checked(R"(
limits: [{ name: a, commands: [GET, "config set", CONFIG, "@Read", "client|list"], rate: 1/1s, burst: 1 }]
deny: [{ name: a, commands: [keys, "@sortedset", CLIENT, "CL.THROTTLE"] }]
)");
  CHECK(texts(result.errors) == Texts{});
  CHECK(texts(result.warnings) == Texts{});
  CHECK(result.policy);
  CHECK(checked("version: 1").policy);
}

TEST_CASE("command_checks: unknown commands are faults among the others, in file order",
          "[policy]") {
  const auto result = checked(R"(mode: maybe
limits:
  - { name: a, commands: [GETT, "config sett", "@raed", "@zzz"], rate: 0/1s }
deny:
  - { name: a, commands: [wurst-of-my-own, "@all", "get key"] }
)");
  CHECK(
      texts(result.errors) ==
      Texts{"f:1:7: mode: \"maybe\" is not one of off, observe or enforce",
            "f:3:27: limits[0].commands[0]: there is no command \"gett\"; did you mean \"get\"?",
            "f:3:33: limits[0].commands[1]: there is no command \"config sett\"; did you mean "
            "\"config set\"?",
            "f:3:48: limits[0].commands[2]: there is no category \"@raed\"; did you mean "
            "\"@read\"?",
            "f:3:57: limits[0].commands[3]: there is no category \"@zzz\"",
            "f:3:72: limits[0].rate: \"0/1s\" lets nothing through; what is to be refused belongs "
            "under `deny`",
            "f:5:27: deny[0].commands[0]: there is no command \"wurst-of-my-own\"",
            "f:5:44: deny[0].commands[1]: there is no category \"@all\" here; leave `commands` "
            "out, or write \"@fast\" and \"@slow\", which hold all",
            "f:5:52: deny[0].commands[2]: there is no command \"get key\""});
  CHECK_FALSE(result.policy);
  CHECK_FALSE(checked("deny: [{ name: a, commands: [wurst] }]").policy);
}

TEST_CASE("command_checks: rules for commands that are left alone are doubtful", "[policy]") {
  const auto result =
      checked(R"(deny: [{ name: a, commands: [hello, "client setinfo", client, get] }]
limits: [{ name: a, commands: [exec, hello, get], rate: 1/1s, burst: 1 }]
)");
  CHECK(texts(result.errors) == Texts{});
  CHECK(texts(result.warnings) ==
        Texts{"f:1:30: deny[0].commands[0]: is never denied: client libraries send it of their own "
              "accord, or it only ends what was begun; leave it out",
              "f:1:37: deny[0].commands[1]: is never denied: client libraries send it of their own "
              "accord, or it only ends what was begun; leave it out",
              "f:2:32: limits[0].commands[0]: is never limited: it only ends what was begun, or "
              "asks whether Pannier is there; leave it out"});
  CHECK(result.policy);
}

TEST_CASE("command_checks: the examples name what there is, and lock no client out", "[policy]") {
  for (const auto* name : {"policy.yaml", "examples/policy-minimal.yaml"}) {
    auto result = config::load_policy_file(std::string(PANNIER_SOURCE_DIR) + "/config/" + name);
    policy::check_commands(result);
    CHECK(texts(result.errors) == Texts{});
    CHECK(texts(result.warnings) == Texts{});
    CHECK(result.policy);
  }
}

TEST_CASE("command_checks: very many faults are not all told", "[policy]") {
  std::string yaml = "deny:\n";
  for (int i = 0; i < 300; ++i) {
    yaml += "  - { name: n" + std::to_string(i) + ", commands: [wurst] }\n";
  }
  const auto result = checked(yaml);
  CHECK(result.errors.size() == 100);
  CHECK_FALSE(result.policy);
}
