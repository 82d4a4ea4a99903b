#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

// What reads get while upstream is away (behaviour 3.2, 5.4, 6.2), and that nothing of it is left
// when it is back.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kAnswers = "pannier_away_answers_total";

constexpr const char* kPolicy = R"(version: 1
classes:
  - { name: miss, keys: ["miss:*"], on_error: miss }
  - { name: fail, keys: ["fail:*"], on_error: fail }
  - { name: stale, keys: ["stale:*"], reads: primary, on_error: stale }
  - { name: zone, keys: ["zone:*"], reads: replica, on_error: miss }
  - { name: observed, keys: ["observed:*"], mode: observe, on_error: miss }
  - name: kept
    keys: ["kept:*"]
    cache: { ttl: 60s, jitter: 0%, negative: 60s, stale_if_error: 5m, mget: true }
    miss: { lease: 10s, wait: 0ms }
    on_error: miss
  - name: capped
    keys: ["capped:*"]
    cache: { ttl: 60s, jitter: 0% }
    miss: { lease: 60s, wait: 10s, concurrent: 2 }
    on_error: miss
  - name: hasty
    keys: ["hasty:*"]
    cache: { ttl: 60s, jitter: 0% }
    miss: { lease: 60s, wait: 100ms, concurrent: 1 }
)";

PannierOptions options_of(const std::vector<std::string>& addresses) {
  PannierOptions out;
  out.upstream = upstream_of(addresses, "probe: 100ms");
  out.listeners = {R"({ address: "unix:@DIR/strong.sock", strong: true })"};
  out.policy = kPolicy;
  return out;
}

double answers(const PannierProcess& pannier,
               std::string_view key_class,
               std::string_view answer,
               std::string_view mode = "enforce") {
  return pannier.metric(std::string(kAnswers) + "{class=\"" + std::string(key_class) +
                        "\",answer=\"" + std::string(answer) + "\",mode=\"" + std::string(mode) +
                        "\"}");
}

bool is_refused(const std::string& reply) {
  return reply.starts_with("-UPSTREAM");
}

// One server, so that nothing is left when it goes.
struct Alone {
  Alone() : pannier(options_of({server.address()})) {}

  // Returns when Pannier knows.
  void go_away() {
    server.kill();
    RawClient client(pannier.port());
    REQUIRE(wait_until([&] {
      return is_refused(client.call({"GET", "fail:1"})) &&
             client.call({"GET", "miss:1"}) == "$-1\r\n";
    }));
  }

  // Returns when a write has passed: from now on upstream answers.
  void come_back() {
    server.restart();
    RawClient client(pannier.port());
    REQUIRE(wait_until([&] { return client.call({"SET", "other", "1"}) == "+OK\r\n"; }));
  }

  RedisServer server;
  PannierProcess pannier;
};

}  // namespace

TEST_CASE("away: on_error: miss has the nil of each command, in both versions of RESP") {
  Alone rig;
  rig.go_away();
  RawClient client(rig.pannier.port());
  const bool resp3 = GENERATE(false, true);
  const std::string null = resp3 ? "_\r\n" : "$-1\r\n";
  if (resp3) {
    static_cast<void>(client.call({"HELLO", "3"}));
  }
  CHECK(client.call({"GET", "miss:1"}) == null);
  CHECK(client.call({"HGET", "miss:1", "f"}) == null);
  CHECK(client.call({"HMGET", "miss:1", "f", "g"}) == "*2\r\n" + null + null);
  CHECK(client.call({"HGETALL", "miss:1"}) == (resp3 ? "%0\r\n" : "*0\r\n"));
  CHECK(client.call({"MGET", "miss:1", "miss:2", "miss:1"}) == "*3\r\n" + null + null + null);
}

TEST_CASE("away: what a nil could mislead gets an error, whatever its class says") {
  Alone rig;
  rig.go_away();
  RawClient client(rig.pannier.port());
  const double before = answers(rig.pannier, "miss", "nil");
  const std::vector<Words> refused{{"EXISTS", "miss:1"},
                                   {"SISMEMBER", "miss:1", "a"},
                                   {"TTL", "miss:1"},
                                   {"PTTL", "miss:1"},
                                   {"STRLEN", "miss:1"},
                                   {"HLEN", "miss:1"},
                                   {"HEXISTS", "miss:1", "f"},
                                   {"SCARD", "miss:1"},
                                   {"SMEMBERS", "miss:1"},
                                   {"TYPE", "miss:1"},
                                   {"EVAL", "return redis.call('GET', KEYS[1])", "1", "miss:1"},
                                   {"GETEX", "miss:1"},
                                   {"GETDEL", "miss:1"},
                                   {"SET", "miss:1", "v"},
                                   {"GET", "fail:1"},
                                   {"GET", "of-no-class"},
                                   {"MGET", "miss:1", "fail:1"},
                                   {"MGET", "fail:1", "miss:1"},
                                   {"MGET", "miss:1", "of-no-class"}};
  for (const Words& words : refused) {
    CAPTURE(words[0], words[1]);
    CHECK(is_refused(client.call(words)));
  }
  CHECK(client.call({"GET", "miss:1", "more"}).starts_with("-"));
  CHECK(answers(rig.pannier, "miss", "nil") == before);
}

TEST_CASE("away: a strong listener, a transaction and a watching session are told the truth") {
  Alone rig;
  RawClient watching(rig.pannier.port());
  RawClient tracking(rig.pannier.port());
  CHECK(watching.call({"WATCH", "miss:1"}) == "+OK\r\n");
  static_cast<void>(tracking.call({"HELLO", "3"}));
  CHECK(tracking.call({"CLIENT", "TRACKING", "ON"}) == "+OK\r\n");
  rig.go_away();
  RawClient strong((rig.pannier.directory() / "strong.sock").string());
  CHECK(is_refused(strong.call({"GET", "miss:1"})));
  CHECK(is_refused(strong.call({"GET", "kept:1"})));
  RawClient multi(rig.pannier.port());
  CHECK(multi.call({"MULTI"}) == "+OK\r\n");
  CHECK(is_refused(multi.call({"GET", "miss:1"})));
  CHECK(multi.call({"EXEC"}).starts_with("-EXECABORT "));
  CHECK(watching.call({"GET", "miss:1"}).starts_with("-"));
  CHECK(watching.call({"MULTI"}) + watching.call({"GET", "miss:1"}) + watching.call({"EXEC"}) !=
        "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
  CHECK(tracking.read_to_end().find("_\r\n") == std::string::npos);  // it held state: closed
}

TEST_CASE("away: what is kept goes before on_error, element by element for MGET") {
  Alone rig;
  RawClient client(rig.pannier.port());
  REQUIRE(client.call({"SET", "kept:a", "v"}) == "+OK\r\n");
  REQUIRE(wait_until([&] {
    return client.call({"GET", "kept:a"}) == bulk("v") &&
           rig.pannier.metric("pannier_near_cache_class_entries{class=\"kept\"}") == 1;
  }));
  rig.go_away();
  REQUIRE(wait_until([&] {
    return client.call({"GET", "kept:a"}) == bulk("v") && answers(rig.pannier, "kept", "stale") > 0;
  }));
  CHECK(client.call({"GET", "kept:b"}) == "$-1\r\n");
  CHECK(client.call({"MGET", "kept:a", "kept:b", "miss:1"}) ==
        "*3\r\n" + bulk("v") + "$-1\r\n$-1\r\n");
  CHECK(is_refused(client.call({"MGET", "kept:a", "fail:1"})));
  CHECK(client.call({"PANNIER", "STATS"}).find("away: kept replica=0 stale=") != std::string::npos);
}

TEST_CASE("away: when upstream is back not one answer more is made up or stale") {
  Alone rig;
  RawClient client(rig.pannier.port());
  REQUIRE(client.call({"SET", "kept:a", "v1"}) == "+OK\r\n");
  REQUIRE(wait_until([&] {
    return client.call({"GET", "kept:a"}) == bulk("v1") &&
           rig.pannier.metric("pannier_near_cache_class_entries{class=\"kept\"}") == 1;
  }));
  rig.go_away();
  REQUIRE(client.call({"GET", "kept:a"}) == bulk("v1"));
  REQUIRE(client.call({"GET", "kept:b"}) == "$-1\r\n");  // must not become a negative entry
  REQUIRE(client.call({"GET", "miss:b"}) == "$-1\r\n");
  rig.come_back();
  RawClient direct(rig.server.port());
  for (const std::string_view key : {"kept:a", "kept:b", "miss:b"}) {
    REQUIRE(direct.call({"SET", key, "v2"}) == "+OK\r\n");
  }
  const double made_up = rig.pannier.metric_sum(kAnswers);
  for (int i = 0; i < 200; ++i) {
    REQUIRE(client.call({"GET", "kept:a"}) == bulk("v2"));
    REQUIRE(client.call({"GET", "kept:b"}) == bulk("v2"));
    REQUIRE(client.call({"MGET", "miss:b", "kept:a"}) == "*2\r\n" + bulk("v2") + bulk("v2"));
  }
  CHECK(rig.pannier.metric_sum(kAnswers) == made_up);
}

TEST_CASE("away: mode observe counts the nils and gives none") {
  Alone rig;
  rig.go_away();
  RawClient client(rig.pannier.port());
  CHECK(is_refused(client.call({"GET", "observed:1"})));
  CHECK(is_refused(client.call({"HGETALL", "observed:1"})));
  CHECK(is_refused(client.call({"EXISTS", "observed:1"})));
  CHECK(answers(rig.pannier, "observed", "nil", "observe") == 2);
  CHECK(answers(rig.pannier, "observed", "nil") == 0);
}

TEST_CASE("away: nils over the class's cap are errors") {
  Alone rig;
  rig.go_away();
  RawClient client(rig.pannier.port());
  CHECK(client.call({"GET", "capped:1"}) == "$-1\r\n");
  const std::string mget = client.call({"MGET", "capped:2", "capped:3"});  // one too many
  CHECK(is_refused(mget));
  CHECK(mget.find("miss.concurrent") != std::string::npos);
  CHECK(client.call({"HGET", "capped:4", "f"}) == "$-1\r\n");  // the MGET took no room
  CHECK(is_refused(client.call({"GET", "capped:5"})));
  CHECK(client.call({"GET", "miss:1"}) == "$-1\r\n");
  CHECK(answers(rig.pannier, "capped", "nil") == 2);
  CHECK(answers(rig.pannier, "capped", "capped") == 2);
}

TEST_CASE(
    "away: with the primary gone a replica serves on_error: stale, also of a primary's class") {
  RedisServer primary;
  RedisServer replica = RedisServer::start_replica_of(primary);
  const PannierProcess pannier(options_of({primary.address(), replica.address()}));
  RawClient client(pannier.port());
  REQUIRE(client.call({"MSET", "stale:1", "v", "zone:1", "v", "fail:1", "v", "miss:1", "v"}) ==
          "+OK\r\n");
  // Read-your-writes: until the replica is known to have it.
  REQUIRE(wait_until([&] {
    static_cast<void>(client.call({"GET", "zone:1"}));
    return client.call({"PANNIER", "EXPLAIN", "GET", "zone:1"})
               .find("node: " + replica.address()) != std::string::npos;
  }));
  CHECK(client.call({"PANNIER", "EXPLAIN", "GET", "stale:1"}).find("node: " + primary.address()) !=
        std::string::npos);
  primary.kill();
  REQUIRE(wait_until([&] { return client.call({"GET", "stale:1"}) == bulk("v"); }));
  CHECK(client.call({"PANNIER", "EXPLAIN", "GET", "stale:1"}).find("because: primary_away") !=
        std::string::npos);
  CHECK(answers(pannier, "stale", "replica") > 0);
  CHECK(is_refused(client.call({"GET", "fail:1"})));
  CHECK(client.call({"GET", "zone:1"}) == bulk("v"));     // as ever
  CHECK(client.call({"GET", "zone:none"}) == "$-1\r\n");  // the replica says so
  CHECK(answers(pannier, "zone", "nil") == 0);
  CHECK(client.call({"GET", "miss:1"}) == "$-1\r\n");  // reads: primary, and that is away
  RawClient strong((pannier.directory() / "strong.sock").string());
  CHECK(is_refused(strong.call({"GET", "stale:1"})));
}

TEST_CASE("away: a replica in the primary's place never shows less than was written through here") {
  RedisServer primary;
  RedisServer replica = RedisServer::start_replica_of(primary);
  const PannierProcess pannier(options_of({primary.address(), replica.address()}));
  RawClient client(pannier.port());
  REQUIRE(client.call({"SET", "stale:1", "v1"}) == "+OK\r\n");
  replica.wait_for_info("master_link_status", "up");
  replica.freeze();
  REQUIRE(client.call({"SET", "stale:1", "v2"}) == "+OK\r\n");
  primary.kill();
  replica.thaw();
  for (int i = 0; i < 100; ++i) {
    const std::string reply = client.call({"GET", "stale:1"});
    CAPTURE(reply);
    REQUIRE((reply == bulk("v2") || is_refused(reply)));
  }
}

TEST_CASE("miss cap: a miss waits until one of those at their database has stored its key") {
  Alone rig;
  RawClient a(rig.pannier.port());
  RawClient b(rig.pannier.port());
  RawClient c(rig.pannier.port());
  CHECK(a.call({"GET", "capped:1"}) == "$-1\r\n");
  CHECK(a.call({"GET", "capped:2"}) == "$-1\r\n");
  b.ask({"GET", "capped:3"});
  c.ask({"GET", "capped:4"});
  REQUIRE(wait_until(
      [&] { return rig.pannier.metric("pannier_miss_cap_waits_total{class=\"capped\"}") == 2; }));
  CHECK_FALSE(b.has_input(200ms));
  CHECK(a.call({"SET", "capped:1", "v"}) == "+OK\r\n");
  CHECK(b.read() == "$-1\r\n");
  CHECK_FALSE(c.has_input(200ms));
  CHECK(a.call({"DEL", "capped:2"}) == ":0\r\n");
  CHECK(c.read() == "$-1\r\n");
  CHECK(rig.pannier.metric("pannier_miss_over_cap_total{class=\"capped\"}") == 0);
}

TEST_CASE("miss cap: it counts over all workers, and a write on one makes room on another") {
  const RedisServer server;
  PannierOptions options = options_of({server.address()});
  options.rest = "workers: 2";
  const PannierProcess pannier(options);
  RawClient a(pannier.port());  // a new session goes to the worker with fewer of them
  RawClient b(pannier.port());
  CHECK(a.call({"GET", "capped:1"}) == "$-1\r\n");
  CHECK(b.call({"GET", "capped:2"}) == "$-1\r\n");
  for (RawClient* waiting : {&a, &b}) {
    RawClient& writing = waiting == &a ? b : a;
    const double waits = pannier.metric("pannier_miss_cap_waits_total{class=\"capped\"}");
    waiting->ask({"GET", waiting == &a ? "capped:3" : "capped:4"});
    REQUIRE(wait_until([&] {
      return pannier.metric("pannier_miss_cap_waits_total{class=\"capped\"}") == waits + 1;
    }));
    CHECK(writing.call({"SET", waiting == &a ? "capped:1" : "capped:2", "v"}) == "+OK\r\n");
    CHECK(waiting->read() == "$-1\r\n");
  }
  CHECK(pannier.metric("pannier_miss_over_cap_total{class=\"capped\"}") == 0);
}

TEST_CASE("miss cap: who waits for room gets the value if somebody stores it meanwhile") {
  Alone rig;
  RawClient a(rig.pannier.port());
  RawClient b(rig.pannier.port());
  CHECK(a.call({"GET", "capped:1"}) == "$-1\r\n");
  CHECK(a.call({"GET", "capped:2"}) == "$-1\r\n");
  b.ask({"GET", "capped:3"});
  REQUIRE(wait_until(
      [&] { return rig.pannier.metric("pannier_miss_cap_waits_total{class=\"capped\"}") == 1; }));
  CHECK(a.call({"SET", "capped:3", "v"}) == "+OK\r\n");
  CHECK(a.call({"SET", "capped:1", "v"}) == "+OK\r\n");
  CHECK(b.read() == bulk("v"));
}

TEST_CASE("miss cap: a miss is never turned into an error, and a pipeline is not held up") {
  Alone rig;
  RawClient a(rig.pannier.port());
  RawClient b(rig.pannier.port());
  CHECK(a.call({"GET", "hasty:1"}) == "$-1\r\n");
  const auto from = std::chrono::steady_clock::now();
  CHECK(b.call({"GET", "hasty:2"}) == "$-1\r\n");
  CHECK(std::chrono::steady_clock::now() - from >= 90ms);  // `wait`, on a coarse clock
  CHECK(rig.pannier.metric("pannier_miss_over_cap_total{class=\"hasty\"}") == 1);
  CHECK(a.call({"GET", "capped:1"}) + a.call({"GET", "capped:2"}) == "$-1\r\n$-1\r\n");
  b.send(request({"GET", "capped:3"}) + request({"PING"}));  // would wait for 10 s
  b.set_limit(5s);
  CHECK(b.read(2) == "$-1\r\n+PONG\r\n");
  CHECK(rig.pannier.metric("pannier_miss_over_cap_total{class=\"capped\"}") == 1);
}

}  // namespace pannier::test
