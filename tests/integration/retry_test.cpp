#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "scripted_server.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

// Requests that are handled once more in the place they have (proxy/retries.hpp): nothing is lost
// that may be asked again, nothing is run twice, and the order of a session's requests holds.
namespace pannier::test {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kLoading = "-LOADING Redis is loading the dataset in memory\r\n";
constexpr std::string_view kReadOnly = "-READONLY You can't write against a read only replica.\r\n";

PannierOptions before(const ScriptedServer& server, std::string_view more = {}) {
  return {upstream_of({server.address()}, more), "", {}};
}

void wait_for_tries(const ScriptedServer& server, const Words& words, std::size_t count) {
  REQUIRE(wait_until([&] { return server.count(words) >= count; }));
}

TEST_CASE("a refused write is tried again, and what was sent behind it sees it", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  server.set("k", "old");
  server.say({"SET"}, GENERATE(as<std::string>{}, kLoading, kReadOnly, "-TRYAGAIN Later\r\n"));
  client.send(request({"SET", "k", "new"}) + request({"GET", "k"}) + request({"PING"}));
  wait_for_tries(server, {"SET"}, 2);
  REQUIRE_FALSE(client.has_input(50ms));
  server.let({"SET"});
  REQUIRE(client.read(3) == "+OK\r\n" + bulk("new") + "+PONG\r\n");
  REQUIRE(client.call({"GET", "k"}) == bulk("new"));
  REQUIRE(pannier.metric_sum("pannier_retries_total", "refused") >= 1);
}

TEST_CASE("a refused write is not tried again behind one that ran", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  server.say({"SET", "first"}, kReadOnly);
  client.send(request({"SET", "first", "1"}) + request({"SET", "second", "2"}) +
              request({"GET", "first"}));
  REQUIRE(client.read(2) == std::string(kReadOnly) + "+OK\r\n");
  REQUIRE(client.read() == "$-1\r\n");
  REQUIRE(server.count({"SET", "first"}) == 1);
}

TEST_CASE("a write that is refused for good ends no other one's tries", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  const std::string large(5000, 'x');  // more than is kept for a further try
  server.say({"SET"}, kReadOnly);
  client.send(request({"SET", "first", "1"}) + request({"SET", "large", large}) +
              request({"GET", "first"}));
  wait_for_tries(server, {"SET", "first"}, 2);
  server.let({"SET"});
  REQUIRE(client.read(2) == "+OK\r\n" + std::string(kReadOnly));
  REQUIRE(client.read() == bulk("1"));
  REQUIRE(server.count({"SET", "large"}) == 1);
}

TEST_CASE("a refusal reaches the client when the deadline has passed", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server, "timeouts: { read: 300ms, write: 300ms }"));
  RawClient client(pannier.port());
  server.say({"SET"}, kLoading);
  server.say({"GET"}, kLoading);
  REQUIRE(client.call({"SET", "k", "v"}) == kLoading);
  REQUIRE(server.count({"SET"}) > 1);
  REQUIRE(client.call({"GET", "k"}) == kLoading);
  REQUIRE(server.count({"GET"}) > 1);
  server.let({"SET"});
  REQUIRE(client.call({"SET", "k", "v"}) == "+OK\r\n");
}

TEST_CASE("without retries a refusal passes as it came", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server, "retries: 0%"));
  RawClient client(pannier.port());
  server.say({"SET"}, kLoading);
  REQUIRE(client.call({"SET", "k", "v"}) == kLoading);
  REQUIRE(server.count({"SET"}) == 1);
}

TEST_CASE("a refusal inside a script's error counts as one", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  server.say({"EVAL"},
             "-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY "
             "You can't write against a read only replica.\r\n");
  client.ask({"EVAL", "return redis.call('set', KEYS[1], 1)", "1", "k"});
  wait_for_tries(server, {"EVAL"}, 2);
  server.say({"EVAL"}, "-ERR a script that says -READONLY of its own\r\n");
  REQUIRE(client.read() == "-ERR a script that says -READONLY of its own\r\n");
}

TEST_CASE("a script that answers an error of its own runs once, whatever its first word",
          "[retry]") {
  RedisServer server;
  PannierProcess pannier({upstream_of({server.address()}), "", {}});
  RawClient client(pannier.port());
  int runs = 0;
  for (const std::string error : {"TRYAGAIN it is locked", "LOADING the shop", "READONLY today"}) {
    const std::string script =
        "redis.call('INCR', KEYS[1]) return redis.error_reply('" + error + "')";
    REQUIRE(client.call({"EVAL", script, "1", "runs"}).starts_with("-" + error));
    REQUIRE(client.call({"GET", "runs"}) == bulk(std::to_string(++runs)));
  }
}

TEST_CASE("an error that is no refusal is never tried again", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  const std::string error = GENERATE(as<std::string>{},
                                     "-WRONGTYPE Operation against a key\r\n",
                                     "-OOM command not allowed\r\n",
                                     "-BUSY Redis is busy\r\n",
                                     "-READONLYISH no\r\n");
  server.say({"SET"}, error);
  REQUIRE(client.call({"SET", "k", "v"}) == error);
  REQUIRE(server.count({"SET"}) == 1);
}

TEST_CASE("of a lost connection reads are asked again, writes are not", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient reader(pannier.port());
  RawClient writer(pannier.port());
  server.set("k", "v");
  server.hold({"GET"});
  reader.send(request({"GET", "k"}) + request({"GET", "k"}));
  writer.ask({"SET", "other", "1"});
  const auto held = server.wait_for_held(1);
  REQUIRE(wait_until([&] { return pannier.metric_sum("pannier_upstream_inflight", "node") >= 3; }));
  server.let({"GET"});
  server.close(held[0].connection);
  REQUIRE(reader.read(2) == bulk("v") + bulk("v"));
  const std::string reply = writer.read();
  REQUIRE(reply.starts_with("-UPSTREAM lost node"));
  REQUIRE(reply.find("(may have run)") != std::string::npos);
  REQUIRE(server.count({"SET", "other"}) <= 1);
}

TEST_CASE("a read is asked again only once when its connections are lost", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  server.hold({"GET"});
  client.ask({"GET", "k"});
  server.close(server.wait_for_held(1)[0].connection);
  wait_for_tries(server, {"GET", "k"}, 2);
  int again = 0;
  for (const ScriptedServer::Request& each : server.requests()) {
    again = each.words[0] == "GET" ? each.connection : again;
  }
  server.close(again);
  REQUIRE(client.read().starts_with("-UPSTREAM lost node"));
  REQUIRE(server.count({"GET", "k"}) == 2);
}

TEST_CASE("those who share a read that is lost share the next one", "[retry]") {
  ScriptedServer server;
  PannierOptions options = before(server);
  options.policy =
      "version: 1\nclasses:\n  - { name: c, keys: [\"c:*\"], cache: { ttl: 30s, coherence: ttl } "
      "}\n";
  PannierProcess pannier(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(pannier.port());
  }
  server.set("c:1", "v");
  server.hold({"GET", "c:1"});
  for (RawClient& client : clients) {
    client.ask({"GET", "c:1"});
  }
  const auto held = server.wait_for_held(1);
  REQUIRE(wait_until([&] { return pannier.metric_sum("pannier_near_cache_joins_total") >= 19; }));
  server.let({"GET", "c:1"});
  server.close(held[0].connection);
  for (RawClient& client : clients) {
    REQUIRE(client.read() == bulk("v"));
  }
  REQUIRE(server.count({"GET", "c:1"}) == 2);
}

TEST_CASE("a further try keeps the database and the silence of its session", "[retry]") {
  ScriptedServer server;
  PannierProcess pannier(before(server));
  RawClient client(pannier.port());
  REQUIRE(client.call({"SELECT", "1"}) == "+OK\r\n");
  REQUIRE(client.call({"SELECT", "0"}) == "+OK\r\n");
  server.say({"SET", "k"}, kLoading);
  client.send(request({"CLIENT", "REPLY", "SKIP"}) + request({"SET", "k", "v"}) +
              request({"SELECT", "1"}) + request({"PING"}));
  wait_for_tries(server, {"SET", "k"}, 2);
  server.let({"SET", "k"});
  REQUIRE(client.read(2) == "+OK\r\n+PONG\r\n");
  int connection = 0;
  for (const ScriptedServer::Request& each : server.requests()) {
    if (each.words[0] == "SET" && each.words[1] == "k") {
      REQUIRE((connection == 0 || connection == each.connection));
      connection = each.connection;
    }
  }
}

TEST_CASE("SETNX that was sent as SET keeps its reply over a further try", "[retry]") {
  ScriptedServer server;
  PannierOptions options = before(server);
  options.policy =
      "version: 1\nclasses:\n  - { name: c, keys: [\"c:*\"], ttl: { default: 60s } }\n";
  PannierProcess pannier(options);
  RawClient client(pannier.port());
  server.say({"SET", "c:1"}, kReadOnly);
  client.ask({"SETNX", "c:1", "v"});
  wait_for_tries(server, {"SET", "c:1"}, 2);
  server.let({"SET", "c:1"});
  REQUIRE(client.read() == ":1\r\n");
}

TEST_CASE("a silent replica costs a read no more than timeouts.attempt", "[retry]") {
  RedisServer primary;
  RedisServer replica = RedisServer::start_replica_of(primary);
  PannierOptions options{
      upstream_of({primary.address(), replica.address()}, "kind: replicated, probe: 5s"),
      "reads: replica",
      {}};
  PannierProcess pannier(options);
  RawClient writer(pannier.port());
  for (int i = 0; i < 50; ++i) {
    REQUIRE(writer.call({"SET", "k" + std::to_string(i), "v" + std::to_string(i)}) == "+OK\r\n");
  }
  const std::string served = R"(pannier_upstream_requests_total{node=")" + replica.address();
  RawClient probe(pannier.port());
  REQUIRE(wait_until([&] {
    static_cast<void>(probe.call({"GET", "k1"}));
    return pannier.metric_sum("pannier_upstream_requests_total", replica.address()) > 0;
  }));
  replica.freeze();
  std::vector<RawClient> clients;
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += request({"GET", "k" + std::to_string(i)});
  }
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(pannier.port());
    clients.back().send(all);
  }
  for (RawClient& client : clients) {
    for (int i = 0; i < 50; ++i) {
      REQUIRE(client.read() == bulk("v" + std::to_string(i)));
    }
  }
  REQUIRE(pannier.metric_sum("pannier_retries_total", "silent") >= 1);
  replica.thaw();
  REQUIRE(
      wait_until([&] { return pannier.metric_sum("pannier_upstream_late_replies_total") > 0; }));
  REQUIRE(probe.call({"GET", "k7"}) == bulk("v7"));
}

}  // namespace
}  // namespace pannier::test
