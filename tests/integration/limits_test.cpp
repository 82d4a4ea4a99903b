#include "rules_rig.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <string>
#include <string_view>

// Rate limits of one sidecar through the whole program (behaviour §7).
namespace pannier::test {
namespace {

constexpr const char* kOk = "+OK\r\n";

bool is_throttled(std::string_view reply, std::string_view name) {
  INFO(reply);
  const std::string begin = "-THROTTLED rate limit '" + std::string(name) + "' ";
  return reply.starts_with(begin) && reply.ends_with("\r\n");
}

// Of "... retry_after_ms=812".
long long retry_after(std::string_view reply) {
  const auto at = reply.find("retry_after_ms=");
  REQUIRE(at != std::string_view::npos);
  return std::stoll(std::string(reply.substr(at + 15)));
}

std::string requests(std::size_t count, const Words& words) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += request(words);
  }
  return out;
}

}  // namespace

TEST_CASE("limits: what is over the burst is refused, the rest of a pipeline is not", "[limits]") {
  RulesRig rig("limits:\n  - { name: gets, commands: [GET], rate: 1/24h, burst: 2 }\n");
  REQUIRE(rig.direct.call({"SET", "k", "v"}) == kOk);
  RawClient client = rig.connect();
  client.send(requests(5, {"GET", "k"}) + request({"SET", "a", "1"}) + request({"GET", "k"}) +
              request({"STRLEN", "k"}));
  CHECK(client.read(3) == bulk("v") + bulk("v") + bulk("v"));
  for (int i = 0; i < 2; ++i) {
    const std::string refused = client.read();
    CHECK(is_throttled(refused, "gets"));
    CHECK(refused.find("exceeded retry_after_ms=") != std::string::npos);
    CHECK(retry_after(refused) > 86'000'000);
    CHECK(retry_after(refused) <= 86'400'000);
  }
  CHECK(client.read() == kOk);
  CHECK(is_throttled(client.read(), "gets"));
  CHECK(client.read() == ":1\r\n");
  CHECK(rig.limit("admitted", "gets") == 3);
  CHECK(rig.limit("refused", "gets") == 3);
  CHECK(rig.pannier.metric("pannier_refusals_total{reason=\"throttled\"}") == 3);
}

TEST_CASE("limits: hits of the near cache count", "[limits]") {
  RulesRig rig(
      "classes:\n  - { name: product, keys: [\"product:*\"], cache: { ttl: 60s } }\n"
      "limits:\n  - { name: reads, class: product, commands: [GET], rate: 1/24h, burst: 99 }\n");
  REQUIRE(rig.direct.call({"SET", "product:a", "v"}) == kOk);
  RawClient client = rig.connect();
  int admitted = 0;
  REQUIRE(wait_until([&] {
    admitted += client.call({"GET", "product:a"}) == bulk("v") ? 1 : 0;
    return rig.pannier.metric_sum("pannier_near_cache_hits_total", "class=\"product\"") > 0;
  }));
  for (; admitted < 100; ++admitted) {
    CHECK(client.call({"GET", "product:a"}) == bulk("v"));
  }
  CHECK(is_throttled(client.call({"GET", "product:a"}), "reads"));
}

TEST_CASE("limits: per capture each subject has its own", "[limits]") {
  RulesRig rig(
      "limits:\n  - { name: search, keys: [\"search:{user}:*\"], per: { user }, rate: 1/24h, "
      "burst: 1 }\n");
  RawClient client = rig.connect();
  for (const std::string user : {"anna", "ben"}) {
    CHECK(client.call({"GET", "search:" + user + ":1"}) == "$-1\r\n");
    CHECK(client.call({"GET", "search:" + user + ":2"}) == "$-1\r\n");
    CHECK(is_throttled(client.call({"GET", "search:" + user + ":3"}), "search"));
  }
  CHECK(client.call({"GET", "other"}) == "$-1\r\n");
  CHECK(rig.pannier.metric("pannier_limit_entries") == 2);
  CHECK(rig.pannier.metric("pannier_limit_evictions_total") == 0);
}

TEST_CASE("limits: per client counts by its name, else by the listener", "[limits]") {
  RulesRig rig(
      "limits:\n  - { name: each, commands: [GET], per: client, rate: 1/24h, burst: 0 }\n");
  RawClient first = rig.connect();
  RawClient second = rig.connect();
  CHECK(first.call({"GET", "k"}) == "$-1\r\n");
  CHECK(is_throttled(second.call({"GET", "k"}), "each"));
  REQUIRE(second.call({"CLIENT", "SETNAME", "worker"}) == kOk);
  CHECK(second.call({"GET", "k"}) == "$-1\r\n");
  REQUIRE(first.call({"CLIENT", "SETNAME", "worker"}) == kOk);
  CHECK(is_throttled(first.call({"GET", "k"}), "each"));
}

TEST_CASE("limits: per all counts over sessions", "[limits]") {
  RulesRig rig("limits:\n  - { name: writes, commands: [\"@write\"], rate: 1/24h, burst: 3 }\n");
  for (int i = 0; i < 4; ++i) {
    RawClient client = rig.connect();
    CHECK(client.call({"SET", "k", "v"}) == kOk);
  }
  RawClient client = rig.connect();
  CHECK(is_throttled(client.call({"DEL", "k"}), "writes"));
  CHECK(client.call({"GET", "k"}) == bulk("v"));
}

TEST_CASE("limits: bytes are those of the request; what never fits is told so", "[limits]") {
  RulesRig rig(
      "limits:\n  - { name: volume, commands: [SET], cost: bytes, rate: 1B/1s, burst: 100KiB }\n");
  RawClient client = rig.connect();
  const std::string half(50 * 1024, 'x');
  CHECK(client.call({"SET", "k", half}) == kOk);
  const std::string refused = client.call({"SET", "k", half + half});
  CHECK(refused ==
        "-THROTTLED rate limit 'volume' never admits this request of 102431 bytes: burst allows "
        "102401 at once\r\n");
  CHECK(client.call({"SET", "k", half.substr(200)}) == kOk);
  CHECK(is_throttled(client.call({"SET", "k", half}), "volume"));
  CHECK(client.call({"GET", "k"}) == bulk(half.substr(200)));
}

TEST_CASE("limits: an upload that is refused is read and dropped", "[limits]") {
  RulesRig rig(
      "limits:\n  - { name: volume, commands: [SET], cost: bytes, rate: 1B/1s, burst: 300KiB }\n");
  RawClient client = rig.connect();
  const std::string value(200 * 1024, 'x');
  client.send(request({"SET", "a", value}) + request({"SET", "b", value}) + request({"PING"}) +
              request({"EXISTS", "a", "b"}));
  CHECK(client.read() == kOk);
  CHECK(is_throttled(client.read(), "volume"));
  CHECK(client.read() == "+PONG\r\n");
  CHECK(client.read() == ":1\r\n");
}

TEST_CASE("limits: several limits on one request charge all or none", "[limits]") {
  RulesRig rig(
      "limits:\n"
      "  - { name: wide, commands: [GET], rate: 1/24h, burst: 3 }\n"
      "  - { name: narrow, keys: [\"n:*\"], rate: 1/24h, burst: 0 }\n");
  RawClient client = rig.connect();
  CHECK(client.call({"GET", "n:1"}) == "$-1\r\n");
  for (int i = 0; i < 10; ++i) {
    CHECK(is_throttled(client.call({"GET", "n:1"}), "narrow"));
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(client.call({"GET", "k"}) == "$-1\r\n");
  }
  CHECK(is_throttled(client.call({"GET", "k"}), "wide"));
  CHECK(is_throttled(client.call({"GET", "n:1"}), "wide"));
  CHECK(rig.limit("refused", "narrow") == 10);
  CHECK(rig.limit("admitted", "wide") == 4);
}

TEST_CASE("limits: a refused command of MULTI fails EXEC, and nothing of it is charged",
          "[limits]") {
  RulesRig rig("limits:\n  - { name: sets, commands: [SET], rate: 1/24h, burst: 2 }\n");
  RawClient client = rig.connect();
  const std::string set = request({"SET", "k", "v"});
  client.send(request({"WATCH", "k"}) + request({"MULTI"}) + set + set + set + set +
              request({"GET", "k"}) + request({"EXEC"}));
  CHECK(client.read(4) == "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  CHECK(client.read() == "+QUEUED\r\n");
  CHECK(is_throttled(client.read(), "sets"));
  CHECK(client.read() == "+QUEUED\r\n");
  CHECK(client.read() == "-EXECABORT Transaction discarded because of previous errors.\r\n");
  CHECK(rig.direct.call({"EXISTS", "k"}) == ":0\r\n");

  // All three are there again, and WATCH has ended.
  REQUIRE(rig.direct.call({"SET", "k", "else"}) == kOk);
  client.send(request({"MULTI"}) + set + set + request({"EXEC"}));
  CHECK(client.read(4) == "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n");
  client.send(request({"MULTI"}) + set + set + request({"DISCARD"}));
  CHECK(client.read(2) == "+OK\r\n+QUEUED\r\n");
  CHECK(is_throttled(client.read(), "sets"));
  CHECK(client.read() == kOk);
  CHECK(is_throttled(client.call({"SET", "k", "v"}), "sets"));
  CHECK(rig.pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0);
}

TEST_CASE("limits: behind a refused MULTI nothing of the pipeline runs", "[limits]") {
  RulesRig rig("limits:\n  - { name: multis, commands: [MULTI], rate: 1/24h, burst: 0 }\n");
  RawClient client = rig.connect();
  client.send(request({"MULTI"}) + request({"INCR", "n"}) + request({"EXEC"}));
  CHECK(client.read(3) == "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
  client.send(request({"MULTI"}) + request({"INCR", "n"}) + request({"EXEC"}));
  CHECK(client.read() == kOk);
  CHECK(is_throttled(client.read(), "multis"));
  CHECK(client.read().starts_with("-EXECABORT "));
  CHECK(client.call({"INCR", "n"}) == ":2\r\n");
}

TEST_CASE("limits: what ends things is never limited", "[limits]") {
  RulesRig rig("limits:\n  - { name: all, rate: 1/24h, burst: 0 }\n");
  RawClient client = rig.connect();
  CHECK(client.call({"GET", "k"}) == "$-1\r\n");
  CHECK(is_throttled(client.call({"GET", "k"}), "all"));
  for (int i = 0; i < 3; ++i) {
    CHECK(client.call({"PING"}) == "+PONG\r\n");
    CHECK(client.call({"UNWATCH"}) == kOk);
    CHECK(client.call({"EXEC"}) == "-ERR EXEC without MULTI\r\n");
    CHECK(client.call({"DISCARD"}) == "-ERR DISCARD without MULTI\r\n");
    CHECK(client.call({"UNSUBSCRIBE"}) == "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    CHECK(client.call({"RESET"}) == "+RESET\r\n");
  }
  CHECK(client.call({"QUIT"}) == kOk);
}

TEST_CASE("limits: a request that has to wait is charged once", "[limits]") {
  RulesRig rig("limits:\n  - { name: all, rate: 1/24h, burst: 999 }\n",
               "pinned: { min: 1, max: 1, wait: 10s, reserved_for_multi: 0 }, "
               "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }");
  RawClient client = rig.connect();
  RawClient holder = rig.connect();
  double charged = 0;
  const auto charged_since = [&] {
    const double before = charged;
    charged = rig.limit("admitted", "all");
    return charged - before;
  };

  SECTION("for CLIENT PAUSE") {
    REQUIRE(holder.call({"CLIENT", "PAUSE", "60000", "ALL"}) == kOk);
    static_cast<void>(charged_since());
    client.ask({"SET", "k", "v"});
    CHECK_FALSE(client.has_input(std::chrono::milliseconds(50)));
    CHECK(charged_since() == 0);
    REQUIRE(holder.call({"CLIENT", "UNPAUSE"}) == kOk);
    CHECK(client.read() == kOk);
    CHECK(charged_since() == 2);  // with CLIENT UNPAUSE
  }
  SECTION("for an exclusive connection") {
    REQUIRE(holder.call({"WATCH", "k"}) == kOk);
    static_cast<void>(charged_since());
    client.ask({"BLPOP", "list", "0"});
    CHECK_FALSE(client.has_input(std::chrono::milliseconds(50)));
    REQUIRE(rig.direct.call({"RPUSH", "list", "v"}) == ":1\r\n");
    REQUIRE(holder.call({"UNWATCH"}) == kOk);
    CHECK(client.read() == "*2\r\n" + bulk("list") + bulk("v"));
    CHECK(charged_since() == 1);
  }
  SECTION("for what its session has in flight") {
    static_cast<void>(charged_since());
    client.send(request({"GET", "k"}) + request({"WATCH", "k"}) + request({"SET", "k", "v"}) +
                request({"UNWATCH"}) + request({"SELECT", "3"}) + request({"GET", "k"}));
    CHECK(client.read(6) == "$-1\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n$-1\r\n");
    CHECK(charged_since() == 5);  // UNWATCH is free
  }
}

TEST_CASE("limits: observe counts what enforce would do and changes nothing", "[limits]") {
  const std::string rules =
      "limits:\n"
      "  - { name: gets, commands: [GET], rate: 1/24h, burst: 2 }\n"
      "  - { name: shared, commands: [GET], rate: 1/24h, burst: 1, scope: fleet }\n"
      "deny:\n  - { name: no-keys, commands: [KEYS] }\n";
  RulesRig rig("mode: observe\n" + rules);
  CommandWatch watch(rig.server);
  RawClient client = rig.connect();
  std::string pipeline;
  for (int i = 0; i < 5; ++i) {
    pipeline += request({"GET", "k"});
  }
  pipeline += request({"MULTI"}) + request({"GET", "k"}) + request({"KEYS", "*"}) +
              request({"EXEC"}) + request({"KEYS", "*"}) + request({"DBSIZE"});
  client.send(pipeline);
  rig.direct.send(pipeline);
  CHECK(client.read(11) == rig.direct.read(11));
  CHECK(rig.limit("admitted", "gets", "observe") == 2);
  CHECK(rig.limit("admitted", "shared", "observe") == 2);
  CHECK(rig.limit("refused", "shared", "observe") == 4);
  CHECK(rig.limit("refused", "gets") == 0);
  CHECK(rig.denied("no-keys", "observe") == 2);
  CHECK(rig.denied("no-keys") == 0);
  CHECK(watch.count({"EVAL"}) + watch.count({"EVALSHA"}) == 0);
}

}  // namespace pannier::test
