#include "rules_rig.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Rate limits that all sidecars share (research/coherence.md §4).
namespace pannier::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool is_throttled(std::string_view reply) {
  return reply.starts_with("-THROTTLED ");
}

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

TEST_CASE("fleet: one sidecar admits the burst, and the primary keeps the limit", "[fleet]") {
  RulesRig rig(
      "limits:\n  - { name: search, keys: [\"search:{user}:*\"], per: { user }, rate: 1/24h, "
      "burst: 20, scope: fleet }\n");
  RawClient client = rig.connect();
  const std::string long_name(100, 'n');
  for (const std::string& user : {std::string("anna"), long_name}) {
    std::string pipeline;
    for (int i = 0; i < 30; ++i) {
      pipeline += request({"GET", "search:" + user + ":" + std::to_string(i)});
    }
    client.send(pipeline);
    for (int i = 0; i < 30; ++i) {
      const std::string reply = client.read();
      CAPTURE(i, reply);
      CHECK(is_throttled(reply) == (i > 20));
    }
  }
  CHECK(rig.direct.call({"EXISTS", "pannier:limit:search:anna"}) == ":1\r\n");
  CHECK(rig.direct.call({"KEYS", "pannier:limit:search:#????????????????"}).starts_with("*1\r\n"));
  CHECK(rig.limit("admitted", "search") == 42);
  CHECK(rig.limit("refused", "search") == 18);
  CHECK(rig.pannier.metric("pannier_limit_leased_tokens_total{limit=\"search\"}") == 42);
}

TEST_CASE("fleet: what this sidecar refuses itself does not ask the primary", "[fleet]") {
  RulesRig rig(
      "limits:\n"
      "  - { name: each, keys: [\"u:{user}\"], per: { user }, rate: 1/24h, burst: 9, scope: fleet "
      "}\n"
      "  - { name: all, keys: [\"u:*\"], rate: 1/24h, burst: 4 }\n");
  RawClient client = rig.connect();
  for (int i = 0; i < 5; ++i) {
    CHECK(client.call({"GET", "u:" + std::to_string(i)}) == "$-1\r\n");
  }
  const double asked = rig.pannier.metric("pannier_limit_asks_total{limit=\"each\"}");
  CHECK(asked == 5);
  for (int i = 5; i < 25; ++i) {
    const std::string refused = client.call({"GET", "u:" + std::to_string(i)});
    CHECK(refused.starts_with("-THROTTLED rate limit 'all' "));
  }
  CHECK(rig.pannier.metric("pannier_limit_asks_total{limit=\"each\"}") == asked);
  CHECK(rig.limit("admitted", "each") == 5);
}

TEST_CASE("fleet: a forgotten script is brought again", "[fleet]") {
  RulesRig rig("limits:\n  - { name: g, commands: [GET], rate: 1/24h, burst: 9, scope: fleet }\n");
  RawClient client = rig.connect();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(rig.direct.call({"SCRIPT", "FLUSH"}) == "+OK\r\n");
    CHECK(client.call({"GET", "k"}) == "$-1\r\n");
  }
  CHECK(is_throttled(client.call({"GET", "k"})));
  CHECK(rig.pannier.metric("pannier_limit_errors_total{limit=\"g\"}") == 0);
}

TEST_CASE("fleet: who waits for the primary waits with its session, not with others", "[fleet]") {
  RulesRig rig(
      "limits:\n  - { name: g, keys: [\"f:*\"], rate: 1/24h, burst: 9, scope: fleet, "
      "on_upstream_error: closed }\n");
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  REQUIRE(client.call({"GET", "f:1"}) == "$-1\r\n");
  rig.server.freeze();
  client.send(request({"GET", "f:2"}) + request({"PING"}));
  CHECK(other.call({"PING"}) == "+PONG\r\n");
  CHECK(client.read() ==
        "-THROTTLED rate limit 'g' is closed while the primary does not answer "
        "retry_after_ms=1000\r\n");
  CHECK(client.read() == "+PONG\r\n");
  rig.server.thaw();
  CHECK(wait_until([&] { return client.call({"GET", "f:3"}) == "$-1\r\n"; }));
  CHECK(rig.pannier.metric("pannier_limit_waits_total{limit=\"g\"}") >= 2);
}

TEST_CASE("fleet: without the primary each limit does as it says", "[fleet]") {
  RulesRig rig(
      "limits:\n"
      "  - { name: l, keys: [\"l:*\"], rate: 1/24h, burst: 2, scope: fleet }\n"
      "  - { name: o, keys: [\"o:*\"], rate: 1/24h, burst: 2, scope: fleet, "
      "on_upstream_error: open }\n"
      "  - { name: c, keys: [\"c:*\"], rate: 1/24h, burst: 2, scope: fleet, "
      "on_upstream_error: closed }\n");
  RawClient client = rig.connect();
  REQUIRE(client.call({"GET", "l:1"}) == "$-1\r\n");
  rig.server.kill();
  REQUIRE(wait_until([&] { return client.call({"GET", "x"}).starts_with("-UPSTREAM "); }));
  int passed = 0;
  for (int i = 0; i < 10; ++i) {
    passed += is_throttled(client.call({"GET", "l:1"})) ? 0 : 1;
    CHECK(client.call({"GET", "o:1"}).starts_with("-UPSTREAM "));
    CHECK(is_throttled(client.call({"GET", "c:1"})));
  }
  CHECK(passed == 3);
  CHECK(rig.pannier.metric_sum("pannier_limit_errors_total") > 0);
  rig.server.restart();
  CHECK(wait_until([&] { return client.call({"GET", "c:1"}) == "$-1\r\n"; }, 20s));
}

TEST_CASE("fleet: eight sidecars under overload admit the rate, within the bound", "[fleet]") {
  constexpr double kRate = 400;
  constexpr double kLimit = 81;
  constexpr double kTau = 0.1;
  constexpr std::size_t kSidecars = 8;
  constexpr int kPipeline = 4;
  const std::string policy =
      "version: 1\nlimits:\n  - { name: all, commands: [GET], rate: 400/1s, burst: 80, scope: "
      "fleet, "
      "on_upstream_error: closed }\n";
  const RedisServer server;
  RawClient direct(server.port());
  std::vector<std::unique_ptr<PannierProcess>> panniers;
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kSidecars; ++i) {
    panniers.push_back(std::make_unique<PannierProcess>(
        PannierOptions{upstream_of({server.address()}, kPatientUpstream), {}, {}, policy}));
    clients.emplace_back(panniers.back()->port());
  }
  std::string pipeline;
  for (int i = 0; i < kPipeline; ++i) {
    pipeline += request({"GET", "k"});
  }
  std::vector<int> admitted(kSidecars, 0);
  int total = 0;
  int refused = 0;
  const auto begin = Clock::now();
  while (Clock::now() - begin < 5s) {
    for (RawClient& client : clients) {
      client.send(pipeline);
    }
    for (std::size_t i = 0; i < kSidecars; ++i) {
      for (int k = 0; k < kPipeline; ++k) {
        const bool passed = clients[i].read() == "$-1\r\n";
        admitted[i] += passed ? 1 : 0;
        total += passed ? 1 : 0;
        refused += passed ? 0 : 1;
      }
    }
  }
  const double span = seconds(Clock::now() - begin);
  double asks = 0;
  for (const auto& pannier : panniers) {
    asks += pannier->metric("pannier_limit_asks_total{limit=\"all\"}");
  }
  CAPTURE(span, total, refused, asks, admitted);
  REQUIRE(refused > total);
  CHECK(total <= kLimit + kRate * (span + kTau));
  CHECK(total >= 0.95 * kRate * span);
  for (const int each : admitted) {
    CHECK(each > 0);
  }
}

}  // namespace pannier::test
