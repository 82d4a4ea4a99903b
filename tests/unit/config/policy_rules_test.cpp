#include "policy_test_support.hpp"

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

Texts limit_errors(const std::string& yaml) {
  return policy_errors("limits: [{ name: a, " + yaml + " }]");
}

Texts limit_warnings(const std::string& yaml) {
  return policy_warnings("limits: [{ name: a, " + yaml + " }]");
}

// The limit of a file with one, without a fault.
LimitRule only_limit(const std::string& yaml) {
  const auto result = load_policy("limits: [{ name: a, commands: [get], " + yaml + " }]");
  CHECK(texts(result.errors) == Texts{});
  return result.policy ? result.policy->limits.at(0) : LimitRule{};
}

Texts denial_errors(const std::string& yaml) {
  return policy_errors("deny: [{ name: a, " + yaml + " }]");
}

// The first one without its place; empty when there is none.
std::string first(const Texts& faults) {
  return faults.empty() ? "" : without_place(faults.front());
}

}  // namespace

TEST_CASE("policy_rules: every value of limits and denials arrives where it belongs", "[config]") {
  const auto good = load_policy(R"(
read_only: true
classes:
  - { name: c, keys: ["c:*"], scripts: deny,
      ttl: { mode: observe, default: 5s, min: 1s, max: 9s, jitter: 90%, sliding: true, require: true } }
limits:
  - { name: a, keys: ["a:{x}:*", "b:{x}"], commands: [GET, "config|set", "@Write"], class: c,
      per: "{x}", rate: 10MiB/2s, burst: 3KiB, cost: bytes, scope: fleet, on_upstream_error: closed,
      mode: off }
  - { name: b, per: client, rate: 1000/1ms, burst: 7, commands: [get] }
deny:
  - { name: d, keys: ["d:*"], commands: [set], max_arguments: 5, max_value: 6KiB,
      hint: "do not do that", mode: observe }
)");
  CHECK(texts(good.errors) == Texts{});
  REQUIRE(good.policy);
  CHECK(good.policy->read_only);
  CHECK(good.policy->classes.at(0).scripts == Scripts::Deny);
  CHECK(good.policy->classes.at(0).ttl == TtlRules{.mode = RuleMode::Observe,
                                                   .preset = Milliseconds(5000),
                                                   .min = Milliseconds(1000),
                                                   .max = Milliseconds(9000),
                                                   .jitter = 90,
                                                   .sliding = true,
                                                   .require = true});
  LimitRule a;
  a.name = "a";
  a.keys = {"a:{x}:*", "b:{x}"};
  a.commands = {"get", "config set", "@write"};
  a.key_class = "c";
  a.per = Per::Capture;
  a.capture = "x";
  a.count = 10 << 20;
  a.period = Milliseconds(2000);
  a.burst = 3 << 10;
  a.cost = Cost::Bytes;
  a.scope = Scope::Fleet;
  a.on_upstream_error = OnUpstreamError::Closed;
  a.mode = RuleMode::Off;
  a.line = 7;
  CHECK(good.policy->limits.at(0) == a);
  const auto& b = good.policy->limits.at(1);
  CHECK(b.per == Per::Client);
  CHECK(b.capture.empty());
  CHECK(b.count == 1000);
  CHECK(b.period == Milliseconds(1));
  CHECK(b.burst == 7);
  DenyRule d;
  d.name = "d";
  d.keys = {"d:*"};
  d.commands = {"set"};
  d.max_arguments = 5;
  d.max_value = 6 << 10;
  d.hint = "do not do that";
  d.mode = RuleMode::Observe;
  d.line = 12;
  CHECK(good.policy->deny.at(0) == d);
}

TEST_CASE("policy_rules: ttl off is no ttl, and no tier brings one", "[config]") {
  CHECK_FALSE(only_class("ttl: off").ttl);
  CHECK_FALSE(only_class("tier: session").ttl);
  CHECK(only_class("tier: session, ttl: { default: 30m, sliding: true }").ttl ==
        TtlRules{.preset = Milliseconds(1800000), .sliding = true});
  CHECK(class_warnings("ttl: off").empty());
}

TEST_CASE("policy_rules: TTL rules that contradict each other", "[config]") {
  CHECK(class_errors("ttl: { min: 1h, max: 30s }") ==
        Texts{"f:1:49: classes[0].ttl.min: 1h is more than max, which is 30s; write at most that"});
  CHECK(class_errors("ttl: { min: 30s, max: 30s, default: 30s }").empty());
  CHECK(first(class_errors("ttl: { default: 2h, max: 1h }")) ==
        "classes[0].ttl.default: 2h is more than max, which is 1h; write a time between them");
  CHECK(first(class_errors("ttl: { default: 1s, min: 1500ms }")) ==
        "classes[0].ttl.default: 1s is less than min, which is 1500ms; write a time between them");
  CHECK(first(class_errors("ttl: { sliding: true, max: 1h }")) ==
        "classes[0].ttl.sliding: renews a key to `default`, which is missing; write one");
  CHECK(first(class_errors("ttl: { jitter: 91% }")) ==
        "classes[0].ttl.jitter: 91% is out of range; allowed is 0% to 90%");
  CHECK(first(class_errors("ttl: { default: 0s }")) ==
        "classes[0].ttl.default: 0s is out of range; allowed is 1ms to 8784h");
  CHECK(first(class_warnings("ttl: { default: 1h, require: true }")) ==
        "classes[0].ttl.require: refuses stores without a TTL, so that `default` is left only for "
        "commands that cannot carry one, such as HSET; keep one of both unless that is meant");
  CHECK(first(class_warnings("ttl: { mode: observe }")) ==
        "classes[0].ttl: does nothing: it has no default, min, max, jitter, sliding or require");
  CHECK(first(class_warnings("ttl: { max: 20s }, cache: {}")) ==
        "classes[0].ttl.max: 20s is shorter than `cache.ttl`, which is 30s: no value is served for "
        "so long; write at most 20s there");
  CHECK(class_warnings("ttl: { max: 30s }, cache: {}").empty());
}

TEST_CASE("policy_rules: what is never stored has nothing to be kept", "[config]") {
  CHECK(class_errors("store: never, mode: enforce").empty());
  CHECK(class_warnings("store: never, mode: enforce").empty());
  CHECK(class_warnings("store: never, mode: observe").empty());
  const auto errors = class_errors(
      "store: never, mode: enforce, tier: application, cache: {}, ttl: { max: 1s }, "
      "miss: {}");
  REQUIRE(errors.size() == 4);
  CHECK(without_place(errors[0]) ==
        "classes[0].tier: application keeps values in memory, but `store: never` lets nothing be "
        "kept; leave `tier` out");
  CHECK(without_place(errors[1]) ==
        "classes[0].cache: keeps in memory what `store: never` lets nobody keep; leave it out");
  CHECK(without_place(errors[2]) ==
        "classes[0].ttl: is for what is stored, but `store: never` refuses that; leave it out");
  CHECK(without_place(errors[3]) ==
        "classes[0].miss: waits for a store, but `store: never` refuses it; leave it out");
  CHECK(class_warnings("store: never") ==
        Texts{"f:1:44: classes[0].store: does not act: it does only where the class itself says "
              "`mode: enforce`; write that"});
}

TEST_CASE("policy_rules: rules under a mode that is off", "[config]") {
  CHECK(class_warnings("mode: off, cache: { mode: enforce }, ttl: { mode: observe, max: 1m }") ==
        Texts{"f:1:63: classes[0].cache.mode: has no effect: `mode` of the class is off",
              "f:1:87: classes[0].ttl.mode: has no effect: `mode` of the class is off"});
  CHECK(policy_warnings(R"(mode: off
read_only: true
classes: [{ name: a, keys: [a], mode: observe, cache: {} }]
limits: [{ name: a, commands: [get], rate: 1/1s, burst: 0, mode: enforce }]
deny: [{ name: a, commands: [get], mode: off }, { name: b, commands: [get], mode: observe }]
)") == Texts{"f:2:12: read_only: has no effect: `mode` of the whole file is off",
             "f:3:39: classes[0].mode: has no effect: `mode` of the whole file is off",
             "f:4:66: limits[0].mode: has no effect: `mode` of the whole file is off",
             "f:5:83: deny[1].mode: has no effect: `mode` of the whole file is off"});
  CHECK(class_warnings("mode: observe, cache: { mode: enforce }").empty());
}

TEST_CASE("policy_rules: a rate is a number, a slash and a time", "[config]") {
  CHECK(only_limit("rate: 1000000/1s").count == 1000000);
  CHECK(only_limit("rate: 1/744h").period == Milliseconds(744LL * 3600 * 1000));
  const auto rate = [](const std::string& text) {
    return first(limit_errors("commands: [get], rate: " + text));
  };
  CHECK(limit_errors("rate: 0/1m") ==
        Texts{"f:1:27: limits[0].rate: \"0/1m\" lets nothing through; what is to be refused "
              "belongs under `deny`"});
  CHECK(rate("1000001/1s") ==
        "limits[0].rate: \"1000001/1s\" is more than one per microsecond, which is 1000000/1s; "
        "write less, or leave the limit out");
  CHECK(rate("2GiB/1s, cost: bytes") ==
        "limits[0].rate: \"2GiB/1s\" is more than 1KiB per microsecond, which is 976.6MiB/1s; "
        "write less, or leave the limit out");
  CHECK(rate("60") ==
        "limits[0].rate: \"60\" is not a rate; write a number, / and a time, such as 60/1m or "
        "10MiB/1s");
  CHECK(rate("60/m") ==
        "limits[0].rate: \"m\" is not a number with a unit; write a whole number and one of ms, s, "
        "m or h, such as 60/1m");
  CHECK(rate("60/0s") == "limits[0].rate: 0s is out of range; allowed is 1ms to 744h");
  CHECK(rate("6O/1m") ==
        "limits[0].rate: \"6O\" has no known unit; write a whole number and one of B, KiB, MiB or "
        "GiB, such as 10MiB/1s");
  for (const auto* text : {"/1m",
                           "-1/1m",
                           "1 /1m",
                           "1/1m/1m",
                           "99999999999999999999/1s",
                           "1/",
                           "1.5/1s",
                           "[1, 2]",
                           "9223372036854775807/744h"}) {
    INFO(text);
    CHECK(limit_errors("commands: [get], rate: " + std::string(text)).size() == 1);
  }
  CHECK(first(limit_errors("commands: [get]")) == "limits[0].rate: is missing; it must be given");
}

TEST_CASE("policy_rules: rate and burst are in what the limit counts", "[config]") {
  CHECK(first(limit_errors("commands: [get], rate: 1MiB/1s, burst: 1MiB")) ==
        "limits[0].rate: is in bytes, but requests are counted; write `cost: bytes` too, or a "
        "plain number such as 60/1m");
  CHECK(first(limit_errors("commands: [get], rate: 10/1s, burst: 1MiB")) ==
        "limits[0].burst: is in bytes, but requests are counted; write a plain number");
  CHECK(first(limit_errors("commands: [get], rate: 10/1s, burst: 5, cost: bytes")) ==
        "limits[0].rate: counts bytes, as `cost` says; write a size with its unit, such as "
        "10MiB/1s");
  CHECK(first(limit_errors("commands: [get], rate: 1MiB/1s, burst: 5, cost: bytes")) ==
        "limits[0].burst: counts bytes, as `cost` says; write a size with its unit, such as 1MiB");
  CHECK(first(limit_errors("commands: [get], rate: 1MiB/1s, cost: bytes")) ==
        "limits[0]: `burst` is missing: a request that is larger would never pass; write the size "
        "of the largest, such as burst: 1MiB");
  CHECK(first(limit_errors("commands: [get], rate: 1/1s, burst: 2GiB")) ==
        "limits[0].burst: 2GiB is out of range; allowed is 0B to 1GiB");
  CHECK(first(limit_warnings("commands: [get], rate: 60/1m")) ==
        "limits[0]: without `burst` two requests at once are one too many, also in a pipeline; "
        "write how many more may come at once, or burst: 0 if that is meant");
  CHECK(limit_warnings("commands: [get], rate: 60/1m, burst: 0").empty());
  CHECK(limit_warnings("commands: [get], rate: 1/1h, burst: 744").empty());
  CHECK(first(limit_warnings("commands: [get], rate: 1/1h, burst: 745")) ==
        "limits[0].burst: takes more than 31 days to come back at this rate, so that the rate "
        "hardly counts; write less");
}

TEST_CASE("policy_rules: what a limit counts by", "[config]") {
  CHECK(only_limit("rate: 1/1s").per == Per::All);
  CHECK(only_limit("keys: [\"{u}\"], per: { u }, rate: 1/1s").capture == "u");
  CHECK(only_limit("keys: [\"{a}:{u}\"], per: \"{u}\", rate: 1/1s").capture == "u");
  const auto errors = limit_errors("keys: [\"a:{x}\", \"b:{y}\"], per: { x }, rate: 1/1s");
  CHECK(errors == Texts{"f:1:37: limits[0].keys[1]: \"b:{y}\" has no capture {x}, which `per` "
                        "counts by; write it where the key has that part"});
  CHECK(first(limit_errors("commands: [get], per: { x }, rate: 1/1s")) ==
        "limits[0].per: counts by a capture of the key, so it needs `keys` with {x} in each glob, "
        "such as \"search:{x}:*\"");
  CHECK(first(limit_errors("commands: [get], per: user, rate: 1/1s")) ==
        "limits[0].per: \"user\" is not one of all or client; a capture is written { name }");
  CHECK(first(limit_errors("commands: [get], per: { x, y }, rate: 1/1s")) ==
        "limits[0].per: must be a single value, not a map; a capture is written { name }");
  CHECK(first(limit_errors("commands: [get], per: \"{x}y\", rate: 1/1s")) ==
        "limits[0].per: \"{x}y\" is not a capture; write { name }, as a glob of `keys` has it");
  CHECK(limit_errors("commands: [get], per: { x: 1 }, rate: 1/1s").size() == 1);
  CHECK(limit_errors("commands: [get], per: { }, rate: 1/1s").size() == 1);
  CHECK(limit_errors("commands: [get], per: { \"x}y{z\" }, rate: 1/1s").size() == 1);
}

TEST_CASE("policy_rules: what limits and denials match", "[config]") {
  CHECK(first(limit_warnings("rate: 1/1s, burst: 1")) ==
        "limits[0]: limits every request, as it has neither keys, commands nor class");
  CHECK(first(policy_errors("classes: [{ name: search, keys: [a], cache: {} }]\n"
                            "limits: [{ name: a, class: serach, rate: 1/1s }]")) ==
        "limits[0].class: there is no class \"serach\"; did you mean \"search\"?");
  CHECK(first(limit_errors("class: search, rate: 1/1s")) ==
        "limits[0].class: there is no class \"search\"; write the name of one under `classes`");
  CHECK(policy_warnings("classes: [{ name: only-named, keys: [a] }]\n"
                        "limits: [{ name: a, class: only-named, rate: 1/1s, burst: 1 }]")
            .empty());
  CHECK(denial_errors("hint: no") ==
        Texts{"f:1:8: deny[0]: refuses everything, as it has neither keys, commands, max_arguments "
              "nor max_value; write commands: [\"@fast\", \"@slow\"] if that is meant"});
  CHECK(denial_errors("max_value: 1KiB").empty());
  CHECK(first(policy_warnings("deny: [{ name: a, commands: [get, \"@Dangerous\"] }]")) ==
        "deny[0].commands[1]: also holds SORT, CLIENT LIST and others that clients use; name the "
        "commands that you mean, or write \"@admin\"");
  CHECK(first(denial_errors("commands: [get, Get]")) == "deny[0].commands[1]: is given twice");
  CHECK(first(denial_errors("keys: [\"a:*\", \"a:*\"]")) == "deny[0].keys[1]: is given twice");
  CHECK(first(denial_errors("commands: [get], hint: \"a\\nb\"")) ==
        "deny[0].hint: \"a\\x0ab\" is not one line of text");
  for (const auto* command : {"\"Client  List\"",
                              "\"\"",
                              "\"@\"",
                              "\"a b c\"",
                              "\" get\"",
                              "\"get \"",
                              "\"g\\u00e9t\"",
                              "\"*\"",
                              "[a]"}) {
    INFO(command);
    CHECK(denial_errors("commands: [" + std::string(command) + "]").size() == 1);
  }
}

TEST_CASE("policy_rules: names are given once, to limits and to denials", "[config]") {
  CHECK(policy_errors(R"(limits:
  - { name: a, commands: [get], rate: 1/1s }
  - { name: a, commands: [set], rate: 1/1s }
deny:
  - { name: a, commands: [get] }
  - { name: b, commands: [set] }
  - { name: a, commands: [del] }
)") == Texts{"f:3:13: limits[1].name: is the name of the limit on line 2 too",
             "f:7:13: deny[2].name: is the name of the denial on line 5 too"});
}

TEST_CASE("policy_rules: on_upstream_error is for those who ask upstream", "[config]") {
  CHECK(first(limit_warnings("commands: [get], rate: 1/1s, burst: 1, on_upstream_error: open")) ==
        "limits[0].on_upstream_error: has no effect: only a limit with `scope: fleet` asks "
        "upstream");
  CHECK(limit_warnings("commands: [get], rate: 1/1s, burst: 1, scope: fleet, "
                       "on_upstream_error: open")
            .empty());
}

TEST_CASE("policy_rules: globs that no key can reach", "[config]") {
  CHECK(policy_warnings(R"(classes:
  - { name: a, keys: ["product:[x]*", "b:*"], cache: {} }
  - { name: c, keys: ["product:x*", "b:c*"], cache: {} }
)") == Texts{"f:2:23: classes[0].keys[0]: matches no key: \"product:x*\" (class c, line 3) is more "
             "specific and matches all of its keys"});
  CHECK(policy_warnings(R"(classes:
  - { name: a, keys: ["product:[x]*", "product:[xy]z"], cache: {} }
  - { name: c, keys: ["product:xy*", "product:xz"], cache: {} }
)")
            .empty());
}

TEST_CASE("policy_rules: ten mistakes in one file", "[config]") {
  CHECK(
      policy_errors(R"(version: 1
mode: enforced
classes:
  - name: product
    keys: ["product:*"]
    ttl: { min: 1h, max: 30s }
    stroe: never
  - name: product
    keys: ["product:*"]
    tier: operational
    on_error: miss
limits:
  - { name: search, keys: ["search:*"], per: { user }, rate: 60/1m }
  - { name: search, commands: [get], rate: 0/1s }
  - { name: bytes, class: produkt, rate: 1MiB, cost: bytes }
deny:
  - { name: all }
  - { name: scans, commands: ["KEYS *"], comands: [SCAN] }
)") ==
      Texts{
          "f:2:7: mode: \"enforced\" is not one of off, observe or enforce",
          "f:6:17: classes[0].ttl.min: 1h is more than max, which is 30s; write at most that",
          "f:7:5: classes[0].stroe: unknown key; did you mean `store`?",
          "f:8:11: classes[1].name: is the name of the class on line 4 too",
          "f:9:12: classes[1].keys[0]: is given twice, first in class product, line 5",
          "f:13:28: limits[0].keys[0]: \"search:*\" has no capture {user}, which `per` counts by; "
          "write it where the key has that part",
          "f:14:13: limits[1].name: is the name of the limit on line 13 too",
          "f:14:44: limits[1].rate: \"0/1s\" lets nothing through; what is to be refused belongs "
          "under `deny`",
          "f:15:42: limits[2].rate: \"1MiB\" is not a rate; write a number, / and a time, such as "
          "60/1m or 10MiB/1s",
          "f:17:5: deny[0]: refuses everything, as it has neither keys, commands, max_arguments "
          "nor max_value; write commands: [\"@fast\", \"@slow\"] if that is meant",
          "f:18:31: deny[1].commands[0]: \"KEYS *\" is not a command; write GET, \"CONFIG SET\" or "
          "a category such as @write",
          "f:18:42: deny[1].comands: unknown key; did you mean `commands`?"});
}

TEST_CASE("policy_rules: files that no editor wrote", "[config]") {
  CHECK(policy_errors("limits:\n\t- name: a\n") ==
        Texts{"f:2:2: not valid YAML: illegal block entry; the line begins with a tab, write "
              "spaces"});
  CHECK(policy_errors("limits: []\ndeny: []\nlimits: []\n") ==
        Texts{"f:3:1: limits: is given twice, first on line 1"});
  CHECK(policy_errors("limits: [{ name: a, rate: 1/1s, rate: 2/1s }]") ==
        Texts{"f:1:33: limits[0].rate: is given twice, first on line 1"});
  CHECK(policy_errors("a: &a [x, x]\nb: &b [*a, *a]\nlimits: [*b, *b]\n") ==
        Texts{"f:1:4: anchors (`&name`) are not supported: write the value out",
              "f:2:4: anchors (`&name`) are not supported: write the value out",
              "f:2:8: aliases (`*name`) are not supported: write the value out",
              "f:2:12: aliases (`*name`) are not supported: write the value out",
              "f:3:10: aliases (`*name`) are not supported: write the value out",
              "f:3:14: aliases (`*name`) are not supported: write the value out"});
  std::string large = "deny:\n";
  while (large.size() < (10U << 20)) {
    large += "  - { name: a, commands: [get] }\n";
  }
  CHECK(policy_errors(large) == Texts{"f: is larger than 1MiB"});
  CHECK(policy_errors("classes:\n"
                      "  - { name: a, keys: [\"*\"], cache: {} }\n"
                      "  - { name: b, keys: [\"**\"], cache: {} }\n") ==
        Texts{"f:3:23: classes[1].keys[0]: is given twice, first in class a, line 2"});
}

TEST_CASE("policy_rules: limits and denials have so many globs together, and no more", "[config]") {
  const auto file = [](int globs_of_denial) {
    std::string yaml = "limits:\n";
    for (int limit = 0; limit < 16; ++limit) {
      const auto name = std::to_string(limit);
      yaml += "  - { name: l" + name + ", rate: 1/1s, burst: 1, keys: [";
      for (int glob = 0; glob < 255; ++glob) {
        yaml += "\"" + name + ":" + std::to_string(glob) + ":*\", ";
      }
      yaml += "] }\n";
    }
    yaml += "deny:\n  - { name: d, keys: [";
    for (int glob = 0; glob < globs_of_denial; ++glob) {
      yaml += "\"d:" + std::to_string(glob) + ":*\", ";
    }
    return yaml + "] }\n";
  };
  CHECK(policy_errors(file(16)).empty());
  CHECK(policy_errors(file(17)) ==
        Texts{"f:19:22: deny[0].keys: more than 4096 globs in all limits and denials"});
}
