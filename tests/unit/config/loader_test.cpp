#include "pannier/config/loader.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)
using pannier::base::Endpoint;
using pannier::base::LogFormat;
using pannier::base::LogLevel;

namespace {

// The example of the design, without what this version does not have (TLS) and the policy file.
constexpr std::string_view kDesign = R"(
version: 1
listen:
  - { address: "127.0.0.1:6379" }
  - { address: "127.0.0.1:6380", strong: true }
  - { address: "unix:/run/pannier/pannier.sock", mode: 0660 }
probe: { address: "127.0.0.1:9180" }
admin: { address: "127.0.0.1:9181" }
workers: 1
memory: auto
near_cache: auto
zone: auto
reads: primary
maxclients: 10000
upstream:
  kind: replicated
  nodes:
    - { address: "cache-001.abc.euw1.cache.amazonaws.com:6379", zone: eu-west-1a }
    - { address: "cache-002.abc.euw1.cache.amazonaws.com:6379", zone: eu-west-1b }
  auth: { user: app, password: "${REDIS_PASSWORD}" }
  lanes:    { min: 1, max: 2 }
  pinned:   { min: 1, max: 512, wait: 1s, reserved_for_multi: 32 }
  timeouts: { connect: 250ms, attempt: 150ms, read: 500ms, write: 2s, slow: 30s }
  probe:    400ms
  read_your_writes: 1s
log: { level: info, format: text }
)";

}  // namespace

TEST_CASE("loader: the smallest file gives a single node and every default", "[config]") {
  const auto result = load_text("upstream: \"127.0.0.1:7001\"");
  REQUIRE(result.config);
  CHECK(result.warnings.empty());
  const auto& config = *result.config;
  REQUIRE(config.listen.size() == 1);
  CHECK(config.listen[0].address == Endpoint{"127.0.0.1", 6379, ""});
  CHECK(config.listen[0].auth == AuthPolicy::Accept);
  CHECK(config.upstream.kind == UpstreamKind::Single);
  REQUIRE(config.upstream.nodes.size() == 1);
  CHECK(config.upstream.nodes[0].address == Endpoint{"127.0.0.1", 7001, ""});
  CHECK_FALSE(config.upstream.auth);
  CHECK(config.workers == 1);
  CHECK(config.workers_source == "default");
  CHECK(config.memory == 256U << 20);
  CHECK(config.memory_source == "default");
  CHECK(config.near_cache == 128U << 20);
  CHECK(config.probe.enabled);
  CHECK(config.admin.enabled);
}

TEST_CASE("loader: the design's example loads as it reads", "[config]") {
  variables() = {{"REDIS_PASSWORD", "hunter2"}};
  const auto result = load_text(kDesign);
  CHECK(texts(result.errors) == Texts{});
  CHECK(texts(result.warnings) == Texts{});
  REQUIRE(result.config);
  const auto& config = *result.config;
  REQUIRE(config.listen.size() == 3);
  CHECK(config.listen[1].strong);
  CHECK(config.listen[2].address.unix_path == "/run/pannier/pannier.sock");
  CHECK(config.listen[2].mode == 0660U);
  CHECK(config.upstream.kind == UpstreamKind::Replicated);
  REQUIRE(config.upstream.nodes.size() == 2);
  CHECK(config.upstream.nodes[1].zone == "eu-west-1b");
  REQUIRE(config.upstream.auth);
  CHECK(config.upstream.auth->user == "app");
  CHECK(config.upstream.auth->password == "hunter2");
}

TEST_CASE("loader: every value arrives where it belongs", "[config]") {
  const auto result = load_text(R"(
listen: [{address: "127.0.0.1:1", reads: replica, auth: reject}, "unix:/tmp/a"]
probe: { address: "0.0.0.0:80" }
admin: "[::1]:81"
workers: 3
memory: 1GiB
near_cache: 256KiB
zone: eu-west-1a
imds_address: "127.0.0.1:8080"
reads: nearest
maxclients: 7
upstream:
  nodes: ["a:1", {address: "b:2"}]
  lanes: { min: 3, max: 4 }
  pinned: { min: 5, max: 60, wait: 7s, reserved_for_multi: 8 }
  timeouts: { connect: 1ms, attempt: 2ms, read: 3s, write: 4m, slow: 5h }
  probe: 600ms
  read_your_writes: 70ms
  allow_monitor: true
service: shop
slowlog: { slower_than: 250us, max_entries: 9 }
log: { level: "off", format: json }
)");
  CHECK(texts(result.errors) == Texts{});
  REQUIRE(result.config);
  const auto& config = *result.config;
  CHECK(config.listen.at(0).reads == Reads::Replica);
  CHECK(config.listen.at(0).auth == AuthPolicy::Reject);
  CHECK(config.listen.at(1).address.unix_path == "/tmp/a");
  CHECK(config.probe.address == Endpoint{"0.0.0.0", 80, ""});
  CHECK(config.admin.address == Endpoint{"::1", 81, ""});
  CHECK(config.workers == 3);
  CHECK(config.workers_source == "line 5");
  CHECK(config.memory == 1U << 30);
  CHECK(config.memory_source == "line 6");
  CHECK(config.near_cache == 256U << 10);
  CHECK(config.zone == "eu-west-1a");
  CHECK(config.imds_address == "127.0.0.1:8080");
  CHECK(config.reads == Reads::Nearest);
  CHECK(config.maxclients == 7);
  const auto& upstream = config.upstream;
  CHECK(upstream.kind == UpstreamKind::Replicated);
  CHECK(upstream.lanes.min == 3);
  CHECK(upstream.lanes.max == 4);
  CHECK(upstream.pinned.min == 5);
  CHECK(upstream.pinned.max == 60);
  CHECK(upstream.pinned.wait == Milliseconds(7000));
  CHECK(upstream.pinned.reserved_for_multi == 8);
  CHECK(upstream.timeouts.connect == Milliseconds(1));
  CHECK(upstream.timeouts.attempt == Milliseconds(2));
  CHECK(upstream.timeouts.read == Milliseconds(3000));
  CHECK(upstream.timeouts.write == Milliseconds(240000));
  CHECK(upstream.timeouts.slow == Milliseconds(18000000));
  CHECK(upstream.probe == Milliseconds(600));
  CHECK(upstream.read_your_writes == Milliseconds(70));
  CHECK(upstream.allow_monitor);
  CHECK(config.service == "shop");
  CHECK(config.slowlog.slower_than == std::chrono::microseconds(250));
  CHECK(config.slowlog.max_entries == 9);
  CHECK(config.log.level == LogLevel::Off);
  CHECK(config.log.format == LogFormat::Json);
}

TEST_CASE("loader: ten mistakes in one file are told at once, in file order", "[config]") {
  const auto result = load_text(R"(version: 2
listen:
  - address: "127.0.0.1"
  - { address: "127.0.0.1:6380", strong: yes }
maxclients: 0
reads: closest
upstream:
  nodes:
    - { adress: "a:1", zone: x }
  timeouts:
    read: 500
    write: 2 s
  auth: { user: app, password: hunter2 }
memory: 64MB
)");
  CHECK_FALSE(result.config);
  CHECK(texts(result.errors) ==
        Texts{"f:1:10: version: must be 1, not 2",
              "f:3:14: listen[0].address: \"127.0.0.1\" is not an address; write host:port, "
              "[ipv6]:port or unix:/path",
              "f:4:42: listen[1].strong: \"yes\" is neither true nor false",
              "f:5:13: maxclients: 0 is out of range; allowed is 1 to 1000000",
              "f:6:8: reads: \"closest\" is not one of primary, replica, same-zone or nearest",
              "f:9:9: upstream.nodes[0].adress: unknown key; did you mean `address`?",
              "f:11:11: upstream.timeouts.read: \"500\" has no unit; write a whole number and one "
              "of ms, s, m or h, such as 500ms",
              "f:12:12: upstream.timeouts.write: \"2 s\" has no known unit; write a whole number "
              "and one of ms, s, m or h, such as 2s",
              "f:13:32: upstream.auth.password: never write a password here; use password_file, or "
              "${VARIABLE} alone",
              "f:14:9: memory: \"64MB\" has no known unit; write a whole number and one of B, KiB, "
              "MiB or GiB, such as 64MiB"});
}

TEST_CASE("loader: what is not one YAML map is refused with its place", "[config]") {
  CHECK(errors_of("") ==
        Texts{"f:1:1: the file must be a map; the smallest is: upstream: \"127.0.0.1:7001\""});
  CHECK(errors_of("- a\n") ==
        Texts{"f:1:1: the file must be a map; the smallest is: upstream: \"127.0.0.1:7001\""});
  CHECK(errors_of("{}") == Texts{"f:1:1: upstream: is missing; it must be given"});
  CHECK(errors_of("upstream: \"a:1\"\n---\nupstream: \"b:1\"\n") ==
        Texts{"f:3:1: a second document: one file holds one"});
  CHECK(errors_of("upstream: [a\nlog: b\n") ==
        Texts{"f:2:4: not valid YAML: end of sequence flow not found"});
  CHECK(errors_of("upstream: \"a:1\"\n\tlog: b\n").size() == 1);
  CHECK(errors_of("upstream: \"a\\\x01\"") ==
        Texts{"f:1:15: not valid YAML: unknown escape character: \\x01"});
}

TEST_CASE("loader: anchors, aliases and tags are refused, so that no alias can bomb", "[config]") {
  CHECK(errors_of("a: &x [1]\nb: *x\nupstream: !!str a\n") ==
        Texts{"f:1:4: anchors (`&name`) are not supported: write the value out",
              "f:2:4: aliases (`*name`) are not supported: write the value out",
              "f:3:11: tags (`!name`) are not supported"});
}

TEST_CASE("loader: hostile files do no harm", "[config]") {
  CHECK(errors_of(std::string(1U << 20, '[')).at(0).ends_with("nested too deeply"));
  std::string steps;
  for (std::size_t i = 0; i < 1000; ++i) {
    steps += std::string(i, ' ') + "a:\n";
  }
  CHECK(errors_of(steps) == Texts{"f:17:17: not valid YAML: nested too deeply"});
  CHECK(errors_of(std::string((1U << 20) + 1, ' ')) == Texts{"f: is larger than 1MiB"});
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += "k" + std::to_string(i) + ": 1\n";
  }
  const auto told = errors_of(many);
  REQUIRE(told.size() == 101);
  CHECK(told.back() == "f:99:1: and 901 more faults from here on");
}

TEST_CASE("loader: unknown keys get the best advice there is", "[config]") {
  CHECK(errors_with_upstream("Workers: 1") ==
        Texts{"f:1:1: Workers: unknown key; did you mean `workers`?"});
  CHECK(errors_with_upstream("nodes: []") ==
        Texts{"f:1:1: nodes: unknown key here; it belongs under `upstream`"});
  CHECK(errors_of("upstream: { nodes: [\"a:1\"], workers: 2 }") ==
        Texts{"f:1:29: upstream.workers: unknown key here; it belongs at the top of the file"});
  CHECK(errors_with_upstream("log: { colour: true }") ==
        Texts{"f:1:8: log.colour: unknown key; known here: level, format"});
  CHECK(errors_with_upstream("\"listen[]\": 1").size() == 1);
  CHECK(errors_with_upstream("upstream.nodes: 1").size() == 1);
  CHECK(errors_with_upstream("\"\": 1").size() == 1);
}

TEST_CASE("loader: a key is given once", "[config]") {
  CHECK(errors_with_upstream("reads: primary\nzone: a\nreads: replica") ==
        Texts{"f:3:1: reads: is given twice, first on line 1"});
}

TEST_CASE("loader: a value has the type of its key", "[config]") {
  CHECK(errors_with_upstream("workers: [1]") ==
        Texts{"f:1:10: workers: must be a single value, not a list"});
  CHECK(errors_with_upstream("listen: \"127.0.0.1:1\"") ==
        Texts{"f:1:9: listen: must be a list, not a single value"});
  CHECK(errors_with_upstream("log: info") ==
        Texts{"f:1:6: log: must be a map, not a single value"});
  CHECK(errors_with_upstream("log:\nzone: a") ==
        Texts{"f:1:1: log: has no value; give it one or leave the key out"});
  CHECK(errors_with_upstream("workers: many") ==
        Texts{"f:1:10: workers: \"many\" is not a whole number; write a number or auto"});
  CHECK(errors_with_upstream("listen: [~, \"127.0.0.1:1\"]") ==
        Texts{"f:1:1: listen[0]: has no value; give it one or leave the key out"});
}

TEST_CASE("loader: durations and sizes need a unit and a range", "[config]") {
  const auto duration = [](const std::string& text) {
    return errors_of("upstream: { nodes: [\"a:1\"], probe: " + text + " }");
  };
  CHECK(duration("10ms").empty());
  CHECK(duration("1h").empty());
  CHECK(duration("1.5s").size() == 1);
  CHECK(duration("-5s").size() == 1);
  CHECK(duration("5us").size() == 1);
  CHECK(duration("99999999999999999999h").size() == 1);
  CHECK(duration("9223372036854775807h") ==
        Texts{"f:1:36: upstream.probe: 9223372036854775807us is out of range; allowed is 10ms to "
              "1h"});
  CHECK(duration("9ms") ==
        Texts{"f:1:36: upstream.probe: 9ms is out of range; allowed is 10ms to 1h"});
  CHECK(errors_with_upstream("memory: 16777216B").empty());
  CHECK(errors_with_upstream("memory: 1MiB")
            .at(0)
            .starts_with("f:1:9: memory: 1MiB is out of range; allowed is 16MiB to "));
  CHECK(errors_with_upstream("memory: 64mib").size() == 1);
  CHECK(errors_with_upstream("slowlog: { slower_than: 0us }").empty());
}

TEST_CASE("loader: file modes are octal", "[config]") {
  const auto mode = [](const std::string& text) {
    return errors_with_upstream("listen: [{ address: \"unix:/a\", mode: " + text + " }]");
  };
  CHECK(mode("0600").empty());
  CHECK(mode("\"0660\"").empty());
  CHECK(mode("660") ==
        Texts{"f:1:38: listen[0].mode: \"660\" is not a file mode; write it in octal "
              "with a leading 0, such as 0660"});
  CHECK(mode("0888").size() == 1);
}

TEST_CASE("loader: what this version does not have is said, not ignored", "[config]") {
  const auto upstream = [](const std::string& text) {
    return errors_of("upstream: { nodes: [\"a:1\"], " + text + " }");
  };
  CHECK(upstream("kind: cluster") ==
        Texts{"f:1:35: upstream.kind: not available in this version: write single or replicated, "
              "and list the nodes under `nodes:`"});
  CHECK(upstream("kind: serverless").size() == 1);
  CHECK(upstream("tls: { verify: true }") ==
        Texts{"f:1:34: upstream.tls: not available in this version: connections to the nodes are "
              "plain TCP"});
  CHECK(upstream("iam: { user: a }").size() == 1);
  CHECK(upstream("endpoint: \"a:1\"").size() == 1);
  CHECK(errors_with_upstream("listen: [{ address: \"127.0.0.1:1\", tls: {} }]").size() == 1);
}

TEST_CASE("loader: an issue without a place names only the file", "[config]") {
  CHECK(Issue{0, 0, "", "cannot be read"}.to_string("a.yaml") == "a.yaml: cannot be read");
  CHECK(Issue{3, 4, "", "bad"}.to_string("a.yaml") == "a.yaml:3:4: bad");
}

TEST_CASE("loader: a file that cannot be read is one error", "[config]") {
  const auto missing = load_file("/nonexistent/pannier.yaml", fake_environment());
  CHECK(texts(missing.errors) == Texts{"f: cannot be read: No such file or directory"});
  CHECK(texts(load_file("/", fake_environment()).errors) ==
        Texts{"f: cannot be read: is not a regular file"});
}

TEST_CASE("loader: a misspelt key is not missing as well, an absent one is", "[config]") {
  CHECK(errors_of("upsteam: \"a:1\"") ==
        Texts{"f:1:1: upsteam: unknown key; did you mean `upstream`?"});
  CHECK(errors_of("upstream: { nodes: [{ zone: a }] }") ==
        Texts{"f:1:21: upstream.nodes[0].address: is missing; it must be given"});
}
