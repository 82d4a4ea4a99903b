#include "pannier/config/policy_diff.hpp"

#include "policy_test_support.hpp"

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

Policy policy_of(const std::string& yaml) {
  auto result = load_policy(yaml);
  REQUIRE(texts(result.errors) == Texts{});
  return std::move(*result.policy);
}

Texts diff_of(const std::string& before, const std::string& after) {
  return diff(policy_of(before), policy_of(after));
}

std::string class_a(const std::string& yaml) {
  return "classes: [{ name: a, keys: [\"a:*\"], " + yaml + " }]";
}

}  // namespace

TEST_CASE("policy_diff: places, order and what is only written out are no difference", "[config]") {
  const auto file = std::string(PANNIER_SOURCE_DIR) + "/config/policy.yaml";
  const auto shop = load_policy_file(file).policy;
  REQUIRE(shop);
  CHECK(diff(*shop, *shop).empty());
  CHECK(diff_of("classes: [{ name: a, keys: [a], cache: {} }, { name: b, keys: [b, c], ttl: { max: "
                "1s } }]",
                "version: 1\n\nmode: enforce\nclasses:\n  - { name: b, keys: [c, b], ttl: { max: "
                "1000ms } }\n"
                "  - { name: a, keys: [a], cache: { ttl: 30s, mget: false } }\n")
            .empty());
}

TEST_CASE("policy_diff: the ceiling and what holds for all", "[config]") {
  CHECK(diff_of("version: 1", "mode: observe\nread_only: true\ndefaults: { reads: same-zone }") ==
        Texts{"mode: enforce -> observe",
              "read_only: false -> true",
              "defaults.reads: as elsewhere -> same-zone"});
}

TEST_CASE("policy_diff: each value of a class, old and new", "[config]") {
  CHECK(diff_of(
            class_a("ttl: { max: 30s }, cache: { ttl: 1s }"),
            class_a("ttl: { max: 1m, default: 5s, sliding: true }, cache: { ttl: 2s, mget: true }, "
                    "miss: {}, scripts: deny, reads: replica")) ==
        Texts{"class a (a:*): reads: as elsewhere -> replica",
              "class a (a:*): scripts: allow -> deny",
              "class a (a:*): ttl.default: none -> 5s",
              "class a (a:*): ttl.max: 30s -> 1m",
              "class a (a:*): ttl.sliding: false -> true",
              "class a (a:*): cache.ttl: 1s -> 2s",
              "class a (a:*): cache.mget: false -> true",
              "class a (a:*): miss: off -> misses wait 50ms for a lease of 2s"});
  CHECK(diff_of(class_a("tier: application"), class_a("tier: operational")) ==
        Texts{"class a (a:*): tier: application -> operational",
              "class a (a:*): reads: same-zone -> primary",
              "class a (a:*): cache: cache 30s tracking, values to 256KiB -> off",
              "class a (a:*): miss: misses wait 50ms for a lease of 2s -> off"});
  CHECK(diff_of(class_a("store: never"), class_a("store: never, mode: enforce")) ==
        Texts{"class a (a:*): store: never acts now, as the class itself says its mode"});
  CHECK(diff_of(class_a("mode: observe, store: never"), class_a("cache: {}")) ==
        Texts{"class a (a:*): mode: observe -> enforce",
              "class a (a:*): store: never -> allow",
              "class a (a:*): cache: off -> cache 30s tracking, values to 256KiB"});
}

TEST_CASE("policy_diff: classes and globs that come and go, and whose keys they take", "[config]") {
  const std::string before = R"(
classes:
  - { name: product, keys: ["product:*", "sku:*"], cache: {} }
  - { name: old, keys: ["old:*"], tier: operational }
)";
  const std::string after = R"(
classes:
  - { name: product, keys: ["product:*", "old:product:*", "v2:*"], cache: {} }
  - { name: price, keys: ["sku:*"], ttl: { max: 30s } }
)";
  CHECK(
      diff_of(before, after) ==
      Texts{
          "class product (product:* old:product:* v2:*): keys: + old:product:*, before: class old",
          "class product (product:* old:product:* v2:*): keys: + v2:*, before: no class",
          "class product (product:* old:product:* v2:*): keys: - sku:*, now: class price",
          "class price: added: sku:*; TTL at most 30s; not cached",
          "class old: removed: old:*; reads primary; not cached"});
}

TEST_CASE("policy_diff: limits", "[config]") {
  const std::string before = R"(
limits:
  - { name: search, keys: ["search:{user}:*"], per: { user }, rate: 60/1m, burst: 20 }
  - { name: gone, commands: [get], rate: 1/1s }
)";
  const std::string after = R"(
limits:
  - { name: new, commands: [set], rate: 2MiB/1s, burst: 1MiB, cost: bytes }
  - { name: search, keys: ["search:{user}:*", "find:*"], commands: ["@read"], rate: 30/1m, burst: 10,
      scope: fleet, on_upstream_error: closed, mode: observe }
)";
  CHECK(
      diff_of(before, after) ==
      Texts{"limit new: added: commands set; 2MiB/1s and 1MiB more at once in all, in this sidecar",
            "limit search: keys: + find:*",
            "limit search: commands: + @read",
            "limit search: per: {user} -> all",
            "limit search: rate: 60/1m -> 30/1m",
            "limit search: burst: 20 -> 10",
            "limit search: scope: sidecar -> fleet",
            "limit search: on_upstream_error: local -> closed",
            "limit search: mode: enforce -> observe",
            "limit gone: removed: commands get; 1/1s in all, in this sidecar"});
}

TEST_CASE("policy_diff: denials", "[config]") {
  CHECK(diff_of(
            "deny: [{ name: a, commands: [keys, scan], max_value: 1KiB }, { name: b, keys: [b] }]",
            "deny: [{ name: a, commands: [keys], max_arguments: 3, hint: no scans, mode: off }]") ==
        Texts{"denial a: commands: - scan",
              "denial a: max_arguments: none -> 3",
              "denial a: max_value: 1KiB -> none",
              "denial a: hint: none -> no scans",
              "denial a: mode: enforce -> off",
              "denial b: removed: keys b"});
}
