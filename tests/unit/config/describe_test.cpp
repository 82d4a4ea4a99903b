#include "pannier/config/describe.hpp"

#include "pannier/config/policy_loader.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

TEST_CASE("describe: tells what a reader of the start wants to know", "[config]") {
  variables() = {{"PW", "hunter2"}};
  const auto result = load_text(R"(
listen: ["127.0.0.1:6379", {address: "127.0.0.1:6380", strong: true},
         {address: "unix:/run/p.sock", mode: 0660, reads: nearest, auth: reject}]
admin: off
workers: 2
reads: same-zone
upstream:
  nodes: [{address: "a:1", zone: z1}, "b:1"]
  auth: { user: app, password: "${PW}" }
)");
  REQUIRE(result.config);
  const auto lines = describe(*result.config);
  CHECK(std::vector(lines.begin(), lines.end() - 1) ==
        Texts{"listen 127.0.0.1:6379",
              "listen 127.0.0.1:6380, strong: primary only",
              "listen unix:/run/p.sock, mode 0660, reads nearest, AUTH is rejected",
              "probe 127.0.0.1:9180",
              "admin off",
              "upstream replicated, reads same-zone, own zone auto",
              "node a:1, zone z1",
              "node b:1, zone not known",
              "upstream login as app",
              "workers 2 (line 5)",
              "memory 256MiB (default), near cache 128MiB of it",
              "output limits: normal none, pubsub 32MiB or 8MiB for 1m",
              "connections per node: at most 4 shared (2 workers x 2 lanes, for each database and "
              "protocol version in use); with all nodes together at most 512 exclusive",
              "timeouts connect 250ms, attempt 150ms, read 500ms, write 2s, slow 30s; probe 400ms, "
              "read_your_writes 1s, retries 20%",
              "policy none: transparent"});
  CHECK(lines.back().starts_with("ACL upstream"));
  CHECK(std::none_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("hunter2") != std::string::npos;
  }));
}

TEST_CASE("describe: reads are named as in the file", "[config]") {
  CHECK(std::string(to_string(Reads::Primary)) == "primary");
  CHECK(std::string(to_string(Reads::Replica)) == "replica");
  CHECK(std::string(to_string(Reads::SameZone)) == "same-zone");
  CHECK(std::string(to_string(Reads::Nearest)) == "nearest");
}

TEST_CASE("describe: a policy, class by class as it counts", "[config]") {
  const auto policy = load_policy(R"(
mode: observe
defaults: { reads: nearest }
classes:
  - name: product
    keys: ["product:*", "v?:product:*", a, b, c, d]
    tier: application
    mode: off
    cache: { negative: 2s, refresh_ahead: 80%, stale_while_revalidate: 10s, stale_if_error: 5m,
             mget: true, sample: 0.1% }
    on_error: miss
  - { name: price, keys: ["price:*"], cache: { ttl: 1s, coherence: ttl, mode: observe } }
  - { name: stock, keys: ["stock:*"], tier: operational, on_error: stale }
)")
                          .policy;
  REQUIRE(policy);
  CHECK(describe(*policy) ==
        Texts{"policy has 3 classes, mode observe, reads nearest",
              "class product: product:* v?:product:* a b and 2 more; mode off; reads same-zone; "
              "cache 30s tracking, negative 2s, values to 256KiB, refreshed after 80%, stale while "
              "refreshed 10s, stale if error 5m, MGET too, 0.1% of hits compared; misses wait 50ms "
              "for a lease of 2s; on error miss",
              "class price: price:*; cache 1s ttl, values to 256KiB (observe)",
              "class stock: stock:*; reads primary; not cached; on error stale",
              "ACL upstream for the near cache: +client|tracking +info +ping +get +set +touch "
              "~pannier:canary; without RESP3 also +subscribe &__redis__:invalidate; for pub/sub "
              "instead of tracking +subscribe +publish &pannier:*"});
  CHECK(describe(Policy{}) == Texts{"policy has 0 classes, mode enforce"});
}

TEST_CASE("describe: a policy's TTL rules, limits and denials in words", "[config]") {
  const auto policy = load_policy(R"(
read_only: true
classes:
  - { name: price, keys: ["price:*"], scripts: deny,
      ttl: { default: 20s, min: 1s, max: 30s, jitter: 10%, sliding: true, require: true } }
  - { name: stock, keys: ["stock:*"], mode: enforce, store: never }
  - { name: plain, keys: ["plain:*"], ttl: { mode: observe } }
limits:
  - { name: search, keys: ["search:{user}:*"], per: { user }, rate: 60/1m, burst: 20, scope: fleet }
  - { name: cart, commands: [GET, "@write"], class: price, per: client, rate: 5/1s, mode: observe }
  - { name: bytes, cost: bytes, rate: 10MiB/1s, burst: 1MiB, scope: fleet, on_upstream_error: open }
deny:
  - { name: scans, commands: [KEYS], hint: no }
  - { name: large, keys: ["a:*"], max_value: 1MiB, mode: observe }
  - { name: long, max_arguments: 5, max_value: 1MiB, mode: off }
)")
                          .policy;
  REQUIRE(policy);
  CHECK(
      describe(*policy) ==
      Texts{"policy has 3 classes, 3 limits, 3 denials, mode enforce, read-only",
            "class price: price:*; TTL default 20s, at least 1s, at most 30s, shortened by up to "
            "10%, renewed by reads, required; not cached; no scripts",
            "class stock: stock:*; never stored, reads find nothing; not cached",
            "class plain: plain:*; TTL as clients say (observe); not cached",
            "limit search: keys search:{user}:*; 60/1m and 20 more at once per {user}, over all "
            "sidecars; without primary local",
            "limit cart: commands get @write, class price; 5/1s per client, in this sidecar "
            "(observe)",
            "limit bytes: all requests; 10MiB/1s and 1MiB more at once in all, over all sidecars; "
            "without primary open",
            "denial scans: commands keys",
            "denial large: keys a:*; only with an argument over 1MiB (observe)",
            "denial long: all requests; only over 5 arguments or an argument over 1MiB (off)",
            "ACL upstream for TTL rules, on the keys of their classes: +set +pexpire; for sliding, "
            "and for servers before 7.0, also +eval +pttl",
            "ACL upstream for limits over all sidecars: +eval +evalsha +time +get +set "
            "~pannier:*"});
}
