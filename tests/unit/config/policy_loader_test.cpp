#include "pannier/config/policy_loader.hpp"

#include "policy_test_support.hpp"

#include <catch2/catch.hpp>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

// The example of the design.
constexpr std::string_view kDesign = R"(
version: 1
mode: enforce
defaults: { on_error: fail }

classes:
  - name: product
    keys: ["product:*", "v?:product:*"]
    tier: application
    reads: same-zone
    ttl:   { default: 10m, min: 30s, max: 1h, jitter: 10% }
    cache: { ttl: 30s, coherence: tracking, negative: 2s, max_value: 256KiB,
             refresh_ahead: 80%, stale_while_revalidate: 10s, stale_if_error: 5m }
    miss:  { lease: 2s, wait: 50ms, pipelined: skip }
    on_error: miss
  - { name: price,     keys: ["price:*"],  ttl: { max: 30s }, cache: { ttl: 1s } }
  - { name: checkout-stock, keys: ["inventory:checkout:*"], store: never, mode: enforce }
  - { name: counters,  keys: ["flash-inventory:*", "ratelimit:*"], tier: operational }
  - { name: session,   keys: ["session:*"], tier: session, ttl: { default: 30m, sliding: true } }

limits:
  - { name: search, keys: ["search:{user}:*"], per: { user }, rate: 60/1m, burst: 20, scope: fleet, on_upstream_error: local }
  - { name: writes, commands: ["@write"], rate: 500/1s, mode: observe }
deny:
  - { name: no-scans, commands: [KEYS, FLUSHALL, FLUSHDB, SWAPDB, DEBUG, SHUTDOWN, REPLICAOF, "CONFIG SET", MIGRATE], hint: "use SCAN" }
)";

}  // namespace

TEST_CASE("policy_loader: the smallest file is an empty policy", "[config]") {
  const auto result = load_policy("version: 1");
  CHECK(texts(result.errors) == Texts{});
  REQUIRE(result.policy);
  CHECK(result.policy->empty());
  CHECK(result.policy->mode == RuleMode::Enforce);
  CHECK_FALSE(result.policy->reads);
  CHECK(load_policy("classes: []").policy);
  CHECK(policy_errors("") == Texts{"f:1:1: the file must be a map; the smallest is: version: 1"});
}

TEST_CASE("policy_loader: the design's example loads as it reads", "[config]") {
  const auto result = load_policy(kDesign);
  CHECK(texts(result.errors) == Texts{});
  CHECK(texts(result.warnings) ==
        Texts{"f:23:5: limits[1]: without `burst` two requests at once are one too many, also in a "
              "pipeline; write how many more may come at once, or burst: 0 if that is meant"});
  REQUIRE(result.policy);
  const auto& classes = result.policy->classes;
  REQUIRE(classes.size() == 5);
  PolicyClass product;
  product.name = "product";
  product.keys = {"product:*", "v?:product:*"};
  product.tier = Tier::Application;
  product.reads = Reads::SameZone;
  product.ttl = TtlRules{.preset = Milliseconds(600000),
                         .min = Milliseconds(30000),
                         .max = Milliseconds(3600000),
                         .jitter = 10};
  product.cache.emplace();
  product.cache->negative = Milliseconds(2000);
  product.cache->refresh_ahead = 80;
  product.cache->stale_while_revalidate = Milliseconds(10000);
  product.cache->stale_if_error = Milliseconds(300000);
  product.miss = MissRules{Milliseconds(2000)};
  product.on_error = OnError::Miss;
  product.line = 7;
  CHECK(classes[0] == product);
  CHECK(classes[1].cache.value().ttl == Milliseconds(1000));
  CHECK_FALSE(classes[1].miss);
  CHECK_FALSE(classes[2].cache);
  CHECK(classes[3].tier == Tier::Operational);
  CHECK(classes[3].reads == Reads::Primary);
  CHECK(classes[4].tier == Tier::Session);
  CHECK_FALSE(classes[4].reads);
  CHECK(classes[4].line == 19);
  CHECK(classes[1].ttl == TtlRules{.max = Milliseconds(30000)});
  CHECK(classes[2].store == Store::Never);
  CHECK(classes[2].mode_given);
  CHECK_FALSE(classes[3].mode_given);
  CHECK(classes[4].ttl == TtlRules{.preset = Milliseconds(1800000), .sliding = true});
  LimitRule search;
  search.name = "search";
  search.keys = {"search:{user}:*"};
  search.per = Per::Capture;
  search.capture = "user";
  search.count = 60;
  search.period = Milliseconds(60000);
  search.burst = 20;
  search.scope = Scope::Fleet;
  search.line = 22;
  LimitRule writes;
  writes.name = "writes";
  writes.commands = {"@write"};
  writes.count = 500;
  writes.mode = RuleMode::Observe;
  writes.line = 23;
  CHECK(result.policy->limits == std::vector<LimitRule>{search, writes});
  REQUIRE(result.policy->deny.size() == 1);
  const auto& denial = result.policy->deny.front();
  CHECK(denial.name == "no-scans");
  CHECK(denial.commands.size() == 9);
  CHECK(denial.commands.at(7) == "config set");
  CHECK(denial.hint == "use SCAN");
  CHECK(denial.line == 25);
}

TEST_CASE("policy_loader: every value arrives where it belongs", "[config]") {
  const auto result = load_policy(R"(
version: 1
mode: observe
defaults: { reads: nearest, on_error: stale }
classes:
  - name: a
    keys: ["a:*", "b{x}:\\*"]
    mode: off
    reads: replica
    on_error: fail
    cache: { mode: observe, ttl: 1m, jitter: 20%, coherence: ttl, negative: 3s, max_value: 1MiB,
             refresh_ahead: 99%, stale_while_revalidate: 4s, stale_if_error: 5h, mget: true,
             sample: 0.125% }
    miss: { lease: 6s, wait: 70ms, pipelined: hold }
  - { name: b, keys: [b], cache: {} }
)");
  CHECK(texts(result.errors) == Texts{});
  REQUIRE(result.policy);
  const auto& policy = *result.policy;
  CHECK(policy.mode == RuleMode::Observe);
  CHECK(policy.reads == Reads::Nearest);
  const auto& a = policy.classes.at(0);
  CHECK(a.keys == std::vector<std::string>{"a:*", "b{x}:\\*"});
  CHECK(a.mode == RuleMode::Off);
  CHECK(a.tier == Tier::None);
  CHECK(a.reads == Reads::Replica);
  CHECK(a.on_error == OnError::Fail);
  CacheRules cache;
  cache.mode = RuleMode::Observe;
  cache.ttl = Milliseconds(60000);
  cache.jitter = 20;
  cache.coherence = Coherence::Ttl;
  cache.negative = Milliseconds(3000);
  cache.max_value = 1 << 20;
  cache.refresh_ahead = 99;
  cache.stale_while_revalidate = Milliseconds(4000);
  cache.stale_if_error = Milliseconds(5 * 3600 * 1000);
  cache.mget = true;
  cache.sample = 0.125;
  CHECK(a.cache == cache);
  CHECK(a.miss == MissRules{Milliseconds(6000), Milliseconds(70), Pipelined::Hold});
  CHECK(policy.classes.at(1).cache == CacheRules{});
  CHECK(policy.classes.at(1).on_error == OnError::Stale);
}

TEST_CASE("policy_loader: a tier brings what the class does not say, in any order", "[config]") {
  const auto application = only_class("tier: application");
  CHECK(application.reads == Reads::SameZone);
  CHECK(application.cache == CacheRules{});
  CHECK(application.miss == MissRules{Milliseconds(2000), Milliseconds(50)});
  const auto own = only_class("cache: { ttl: 1s }, miss: off, reads: primary, tier: application");
  CHECK(own.reads == Reads::Primary);
  CHECK(own.cache.value().ttl == Milliseconds(1000));
  CHECK_FALSE(own.miss);
  CHECK_FALSE(only_class("cache: off, tier: application").cache);
  CHECK(only_class("miss: { wait: 1ms }").miss == MissRules{Milliseconds(2000), Milliseconds(1)});
  CHECK(only_class("tier: operational").reads == Reads::Primary);
  CHECK_FALSE(only_class("tier: session").reads);
}

TEST_CASE("policy_loader: how many misses of a class may be under way at a time", "[config]") {
  CHECK(only_class("miss: {}").miss->concurrent == 0);
  CHECK(only_class("miss: { concurrent: 200 }").miss->concurrent == 200);
  CHECK(only_class("miss: { concurrent: 200 }").miss->lease == Milliseconds(2000));
  const auto told = [](const std::string& rest) {
    return !load_policy("classes: [ { name: a, keys: [\"a:*\"], miss: { concurrent: 2 }" + rest +
                        " } ]")
                .warnings.empty();
  };
  CHECK(told(""));
  CHECK_FALSE(told(", cache: {}"));
  CHECK_FALSE(told(", on_error: miss"));
}

TEST_CASE("policy_loader: on_error: stale that changes nothing is told", "[config]") {
  const auto warnings_of = [](const std::string& rest) {
    return texts(
        load_policy("classes: [ { name: a, keys: [\"a:*\"], on_error: stale" + rest + " } ]")
            .warnings);
  };
  CHECK(warnings_of("").empty());
  CHECK(warnings_of(", reads: primary").empty());
  CHECK(warnings_of(", reads: nearest, cache: { stale_if_error: 1m }").empty());
  const auto told = warnings_of(", reads: nearest, cache: {}");
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("classes[0].on_error: stale has no effect: reads go to replicas anyway") !=
        std::string::npos);
}

TEST_CASE("policy_loader: the default of on_error spares tiers that forbid it", "[config]") {
  const auto result = load_policy(R"(
defaults: { on_error: miss }
classes:
  - { name: a, keys: [a], cache: {} }
  - { name: b, keys: [b], tier: session }
  - { name: c, keys: [c], tier: operational }
  - { name: d, keys: [d], cache: {}, on_error: stale }
)");
  CHECK(texts(result.errors) == Texts{});
  REQUIRE(result.policy);
  CHECK(result.policy->classes.at(0).on_error == OnError::Miss);
  CHECK(result.policy->classes.at(1).on_error == OnError::Fail);
  CHECK(result.policy->classes.at(2).on_error == OnError::Fail);
  CHECK(result.policy->classes.at(3).on_error == OnError::Stale);
}

TEST_CASE("policy_loader: many mistakes in one file are told at once, in file order", "[config]") {
  CHECK(policy_errors(R"(version: 2
mode: on
classes:
  - keys: ["product:*", "a[b"]
    teir: application
  - name: price
    keys: []
    cache: { ttl: 0s, jitter: 10, sample: 0.0001%, max_value: 65MiB, refresh_ahead: 100% }
    ttl: { max: 30s, min: 31s }
  - name: stock
    keys: ["product:{id}", "pannier:x"]
    miss: { pipelined: maybe, lease: 2 }
  - name: stock
    keys: [[a]]
    store: nevr
limits: [{ name: all, rate: 0/1s }]
)") == Texts{
           "f:1:10: version: must be 1, not 2",
           "f:2:7: mode: \"on\" is not one of off, observe or enforce",
           "f:4:5: classes[0].name: is missing; it must be given",
           "f:4:25: classes[0].keys[1]: \"a[b\" '[' is not closed; write \\[ for a bracket",
           "f:5:5: classes[0].teir: unknown key; did you mean `tier`?",
           "f:7:11: classes[1].keys: has 0 entries; allowed are 1 to 256",
           "f:8:19: classes[1].cache.ttl: 0s is out of range; allowed is 1ms to 24h",
           "f:8:31: classes[1].cache.jitter: \"10\" is not a share; write a whole number and %, "
           "such as 10%",
           "f:8:43: classes[1].cache.sample: \"0.0001%\" is not a share; write a number and %, "
           "such as 0.1%",
           "f:8:63: classes[1].cache.max_value: 65MiB is out of range; allowed is 1B to 64MiB",
           "f:8:85: classes[1].cache.refresh_ahead: 100% is out of range; allowed is 0% to 99%",
           "f:9:27: classes[1].ttl.min: 31s is more than max, which is 30s; write at most that",
           "f:11:28: classes[2].keys[1]: keys below pannier: are Pannier's own",
           "f:12:24: classes[2].miss.pipelined: \"maybe\" is not one of skip or hold",
           "f:12:38: classes[2].miss.lease: \"2\" has no unit; write a whole number and one of "
           "ms, s, m or h, such as 2s",
           "f:13:11: classes[3].name: is the name of the class on line 10 too",
           "f:14:12: classes[3].keys[0]: must be a single value, not a list; put the glob in "
           "quotes",
           "f:15:12: classes[3].store: \"nevr\" is not one of allow or never",
           "f:16:29: limits[0].rate: \"0/1s\" lets nothing through; what is to be refused belongs "
           "under `deny`"});
}

TEST_CASE("policy_loader: globs that tie, with a key that both match", "[config]") {
  CHECK(policy_errors(R"(classes:
  - { name: a, keys: ["product:*:x"], cache: {} }
  - { name: b, keys: ["price:*", "product:{id}:x"], cache: {} }
)") == Texts{"f:3:34: classes[1].keys[1]: \"product:{id}:x\" and \"product:*:x\" (class a, line 2) "
             "are equally specific, and both match the key \"product:a:x\"; write more of one of "
             "them out"});
  CHECK(policy_errors(R"(classes:
  - { name: a, keys: ["product:*", "product:*"], cache: {} }
  - { name: b, keys: ["product:*"], cache: {} }
)") == Texts{"f:2:36: classes[0].keys[1]: is given twice, first in class a, line 2",
             "f:3:23: classes[1].keys[0]: is given twice, first in class a, line 2"});
}

TEST_CASE(
    "policy_loader: globs of different weight, of one class or without a common key do not tie",
    "[config]") {
  CHECK(policy_errors(R"(classes:
  - { name: a, keys: ["product:*", "product:?", "*", "*:x:*"], cache: {} }
  - { name: b, keys: ["product:*:price", "prod*", "?:x", "*:y:*:z"], cache: {} }
  - { name: c, keys: ["[a-f]?:x", "{t}:u"], cache: {} }
  - { name: d, keys: ["[g-z]?:x", "{t}:v"], cache: {} }
)") == Texts{});
}

TEST_CASE("policy_loader: strict tiers take no cache, no leases and no answer out of thin air",
          "[config]") {
  const auto tier = GENERATE(std::string("operational"), std::string("session"));
  const auto errors = class_errors("tier: " + tier + ", cache: {}, miss: {}, on_error: miss");
  REQUIRE(errors.size() == 3);
  CHECK(without_place(errors[0]) ==
        "classes[0].cache: tier " + tier +
            " keeps nothing in memory; leave `cache` out or choose another");
  CHECK(without_place(errors[1]) ==
        "classes[0].miss: tier " + tier +
            " lets nobody wait for somebody else; leave `miss` out or choose another");
  CHECK(without_place(errors[2]) ==
        "classes[0].on_error: tier " + tier +
            " must not answer \"no such key\" when it does not know; write fail");
  CHECK(class_errors("tier: " + tier + ", cache: off, miss: off, on_error: stale").empty());
}

TEST_CASE("policy_loader: what has no effect is warned of", "[config]") {
  CHECK(class_warnings("mode: enforce") ==
        Texts{"f:1:11: classes[0]: does nothing: it has no tier, reads, cache, miss, ttl, store, "
              "scripts or on_error, and no limit names it"});
  CHECK(class_warnings("cache: off").empty());
  CHECK(class_warnings("tier: session").empty());
  CHECK(without_place(class_warnings("cache: { ttl: 1s, negative: 1500ms }").at(0)) ==
        "classes[0].cache.negative: 1500ms is longer than ttl, which is 1s: a missing key would be "
        "kept longer than one that exists");
  CHECK(class_warnings("cache: { ttl: 1s, negative: 1s }").empty());
  CHECK(without_place(class_warnings("cache: { mode: off, stale_if_error: 1s }").at(0)) ==
        "classes[0].cache.stale_if_error: has no effect: the cache of this class is off");
  CHECK(class_warnings("cache: { ttl: 1s }, on_error: miss").empty());
  CHECK(without_place(class_warnings("miss: { lease: 1s, wait: 2s }").at(0)) ==
        "classes[0].miss: wait (2s) is longer than lease (1s)");
}

TEST_CASE("policy_loader: shares", "[config]") {
  const auto sample = [](const std::string& text) {
    return class_errors("cache: { sample: " + text + " }");
  };
  CHECK(only_class("cache: { sample: 0.1% }").cache.value().sample == 0.1);
  CHECK(only_class("cache: { sample: 100% }").cache.value().sample == 100);
  CHECK(only_class("cache: { sample: 2.5% }").cache.value().sample == 2.5);
  CHECK(sample("100.001%").at(0).ends_with("100.001% is out of range; allowed is 0% to 100%"));
  for (const auto* text : {"1", "%", ".5%", "5.%", "-1%", "1.2.3%", "1e2%", "\"1 %\"", "0.0001%"}) {
    INFO(text);
    CHECK(sample(text).size() == 1);
  }
  CHECK(sample("99999999999999999%").size() == 1);
  CHECK(class_errors("cache: { jitter: 1.5% }").size() == 1);
  CHECK(class_errors("cache: { jitter: 91% }").size() == 1);
}

TEST_CASE("policy_loader: a dollar sign is a dollar sign", "[config]") {
  const auto result =
      load_policy("classes: [{ name: a, keys: [\"$${x}:*\", \"${y}\"], cache: {} }]");
  CHECK(texts(result.errors) == Texts{});
  REQUIRE(result.policy);
  CHECK(result.policy->classes.at(0).keys == std::vector<std::string>{"$${x}:*", "${y}"});
}

TEST_CASE("policy_loader: keys in the wrong place", "[config]") {
  CHECK(without_place(class_errors("stale_if_error: 1s").at(0)) ==
        "classes[0].stale_if_error: unknown key here; it belongs under `classes[].cache`");
  CHECK(without_place(class_errors("limits: 1").at(0)) ==
        "classes[0].limits: unknown key here; it belongs at the top of the file");
  CHECK(policy_errors("upstream: \"a:1\"") ==
        Texts{"f:1:1: upstream: unknown key; known here: version, mode, read_only, "
              "defaults, classes, limits, deny"});
  CHECK(class_errors("tier: session, tier: session").size() == 1);
}

TEST_CASE("policy_loader: globs that YAML takes for something else", "[config]") {
  CHECK(class_errors("classes: [{ keys: [*:x] }]")
            .at(0)
            .ends_with("not valid YAML: the referenced anchor is not defined; text that begins "
                       "with * needs quotes"));
  CHECK(class_errors("keys: [{x}:y]")
            .at(0)
            .ends_with("a key must be a plain word; text that begins with { needs quotes"));
}

TEST_CASE("policy_loader: hostile files do no harm", "[config]") {
  CHECK(policy_errors(std::string(10U << 20, ' ')) == Texts{"f: is larger than 1MiB"});
  CHECK(policy_errors("a: &x [1]\nclasses: [*x, *x]\n").size() == 3);
  CHECK(policy_errors("classes:\n\t- name: a\n").size() == 1);
  std::string many = "classes:\n";
  for (int i = 0; i < 1025; ++i) {
    const auto n = std::to_string(i);
    many += "  - { name: c" + n + ", keys: [\"c" + n + ":*\"], cache: {} }\n";
  }
  CHECK(policy_errors(many) == Texts{"f:2:3: classes: has 1025 entries; allowed are 0 to 1024"});
  const auto last = many.rfind("  - ");
  CHECK(policy_errors(many.substr(0, last)).empty());
}

TEST_CASE("policy_loader: globs that all look alike are compared in bounded time", "[config]") {
  std::string alike = "classes:\n";
  std::string hostile = alike;
  for (int i = 0; i < 1024; ++i) {
    const auto n = std::to_string(1000 + i);
    if (i < 200) {
      alike += "  - { name: c" + n + ", keys: [\"{tenant}:class" + n + ":*\"], cache: {} }\n";
    }
    std::string glob = "*";
    for (int j = 0; j < 60; ++j) {
      glob += "a?";
    }
    hostile +=
        "  - { name: c" + n + ", keys: [\"" + glob + "*" + glob + "*" + n + "\"], cache: {} }\n";
  }
  CHECK(policy_errors(alike).empty());
  const auto errors = policy_errors(hostile);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].ends_with("too many globs are as specific as this one to compare them all"));
}

TEST_CASE("policy_loader: a policy file is known by its rules", "[config]") {
  const Folder folder;
  folder.write("policy.yaml", "classes: []\n");
  folder.write("alias.yaml", "classes: [{ keys: [*a] }]\n");
  folder.write("pannier.yaml", "upstream: \"a:1\"\n");
  folder.write("limits.yaml", "limits: []\n");
  folder.write("deny.yaml", "deny: []\n");
  folder.write("frozen.yaml", "read_only: true\n");
  CHECK(is_policy_file(folder.path("limits.yaml")));
  CHECK(is_policy_file(folder.path("deny.yaml")));
  CHECK(is_policy_file(folder.path("frozen.yaml")));
  folder.write("both.yaml", "upstream: \"a:1\"\nclasses: []\n");
  CHECK(is_policy_file(folder.path("policy.yaml")));
  CHECK_FALSE(is_policy_file(folder.path("pannier.yaml")));
  CHECK_FALSE(is_policy_file(folder.path("both.yaml")));
  CHECK_FALSE(is_policy_file(folder.path("none.yaml")));
  CHECK(load_policy_file(folder.path("policy.yaml")).policy);
  CHECK(texts(load_policy_file(folder.path("none.yaml")).errors) ==
        Texts{"f: cannot be read: No such file or directory"});
}
