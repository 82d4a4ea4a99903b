#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// The near cache where other parts of Pannier meet it: streamed requests, exclusive connections,
// blocking commands, a session that changes its protocol or db, a server that stands still.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kA = "product:a";
constexpr const char* kB = "product:b";

}  // namespace

TEST_CASE("near cache: nobody joins a read that has been under way for 50 ms") {
  ScriptedRig rig;
  std::vector<RawClient> clients = rig.connect_apart();
  rig.server.hold({"GET", kA});
  clients[0].ask({"GET", kA});
  rig.server.wait_for_held(1);
  const auto from = std::chrono::steady_clock::now();
  REQUIRE(wait_until([&] { return std::chrono::steady_clock::now() - from > 60ms; }));
  clients[1].ask({"GET", kA});
  REQUIRE(rig.server.wait_for_held(2).size() == 2);
  rig.server.answer(bulk("v"), 1);
  CHECK(clients[1].read() == bulk("v"));
  rig.server.answer(bulk("v"));
  CHECK(clients[0].read() == bulk("v"));
}

TEST_CASE("near cache: a server that stands still is asked little, and all get their answer") {
  CacheRig rig;
  RawClient first = rig.connect();
  rig.keep(first, "a", "v1");
  rig.foreign({"SET", kA, "v2"});
  const std::size_t before = rig.asked({"GET", kA});
  std::vector<RawClient> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(rig.connect());
  }
  rig.direct.ask({"DEBUG", "SLEEP", "0.3"});
  {
    const Frozen frozen(rig.pannier);
    for (RawClient& client : clients) {
      client.send(request({"GET", kA}) + request({"GET", kA}));
    }
  }
  for (RawClient& client : clients) {
    CHECK(client.read(2) == bulk("v2") + bulk("v2"));
  }
  CHECK(rig.direct.read() == kOk);
  CHECK(rig.asked({"GET", kA}) < before + 20);
}

TEST_CASE("near cache: what a read is answered with is in the protocol it was asked in") {
  const bool with_lease = GENERATE(false, true);
  CAPTURE(with_lease);
  CacheOptions options;
  options.rule = with_lease ? "miss: { lease: 2s, wait: 50ms }," : "";
  ScriptedRig rig(Way::Broadcast, options);
  RawClient client = rig.connect();
  rig.server.hold({"GET", kA});
  client.send(request({"GET", kA}) + request({"HELLO", "3"}));
  rig.server.wait_for_held(1);
  rig.server.let({"GET", kA});
  rig.server.answer("$-1\r\n");
  CHECK(client.read() == "$-1\r\n");
  CHECK(client.read().starts_with("%"));
  RawClient again = rig.connect();
  CHECK(again.call({"GET", kB}) == "$-1\r\n");
  CHECK(again.call({"HELLO", "3"}).starts_with("%"));
  CHECK(again.call({"GET", kB}) == "_\r\n");
}

TEST_CASE("near cache: who waits for a lease and changes its protocol gets nil in the old one") {
  CacheOptions options;
  options.rule = "miss: { lease: 2s, wait: 300ms, pipelined: hold },";
  ScriptedRig rig(Way::Broadcast, options);
  RawClient holder = rig.connect();
  RawClient client = rig.connect();
  CHECK(holder.call({"GET", kA}) == "$-1\r\n");
  client.send(request({"GET", kA}) + request({"HELLO", "3"}) + request({"GET", "no class"}));
  CHECK(client.read() == "$-1\r\n");
  CHECK(client.read().starts_with("%"));
  CHECK(client.read() == "_\r\n");
}

TEST_CASE("near cache: a pipeline that changes the db reads each in its own") {
  CacheRig rig;
  RawClient client = rig.connect();
  CHECK(client.call({"SET", kA, "of 0"}) == kOk);
  CHECK(client.call({"SELECT", "1"}) == kOk);
  CHECK(client.call({"SET", kA, "of 1"}) == kOk);
  std::string requests;
  std::string replies;
  for (int i = 0; i < 100; ++i) {
    const std::string db = std::to_string(i % 2);
    requests += request({"SELECT", db}) + request({"GET", kA}) + request({"STRLEN", kA});
    replies += kOk + bulk("of " + db) + ":4\r\n";
  }
  client.send(requests);
  CHECK(client.read(300) == replies);
}

TEST_CASE("near cache: a streamed write removes its keys") {
  const std::string large(1024UL * 1024, 'x');
  ScriptedRig rig;
  Kept kept(rig);
  SECTION("SET of a large value") {
    CHECK(kept.client.call({"SET", kA, large}) == kOk);
    CHECK((kept.other.call({"GET", kA}) == bulk(large)));
    CHECK(kept.other.call({"GET", kB}) == bulk("v1"));  // no reason to remove it
  }
  SECTION("MSET, whose later keys are not seen") {
    rig.server.say({"MSET"}, kOk);
    CHECK(kept.client.call({"MSET", "other", large, kA, "x", kB, "y"}) == kOk);
    CHECK(kept.other.call({"GET", kA}) == bulk("v2"));
    CHECK(kept.other.call({"GET", kB}) == bulk("v2"));
  }
  SECTION("EVAL with a large argument") {
    rig.server.say({"EVAL"}, kOk);
    CHECK(kept.client.call({"EVAL", "a script", "2", kA, kB, large}) == kOk);
    CHECK(kept.other.call({"GET", kA}) == bulk("v2"));
    CHECK(kept.other.call({"GET", kB}) == bulk("v2"));
  }
}

TEST_CASE("near cache: a write on an exclusive connection removes its keys") {
  ScriptedRig rig;
  Kept kept(rig);
  rig.server.say({"WATCH"}, kOk);
  rig.server.say({"UNWATCH"}, kOk);
  CHECK(kept.client.call({"WATCH", "something"}) == kOk);
  CHECK(kept.client.call({"SET", kA, "v2"}) == kOk);
  CHECK(kept.other.call({"GET", kA}) == bulk("v2"));
  CHECK(kept.client.call({"UNWATCH"}) == kOk);
  rig.server.say({"BLMOVE"}, bulk("moved"));
  CHECK(kept.client.call({"BLMOVE", kB, "elsewhere", "LEFT", "LEFT", "0"}) == bulk("moved"));
  CHECK(kept.other.call({"GET", kB}) == bulk("v2"));
}

TEST_CASE("near cache: while a command blocks on a key the key is not kept") {
  CacheRig rig;
  RawClient blocked = rig.connect();
  RawClient client = rig.connect();
  rig.keep(client, "b", "v");
  blocked.ask({"BLPOP", kA, "0"});
  rig.server.wait_for_info("blocked_clients", "1");
  CHECK(client.call({"LLEN", kA}) == ":0\r\n");
  // A pushed element goes to the one who waits at once.
  CHECK(client.call({"RPUSH", kA, "one"}) == ":1\r\n");
  CHECK(blocked.read() == "*2\r\n" + bulk(kA) + bulk("one"));
  CHECK(client.call({"LLEN", kA}) == ":0\r\n");
  blocked.ask({"BLPOP", kA, "0"});
  rig.server.wait_for_info("blocked_clients", "1");
  CHECK(rig.foreign({"RPUSH", kA, "two", "three"}) == ":2\r\n");
  CHECK(client.call({"LLEN", kA}) == ":1\r\n");
  CHECK(blocked.read() == "*2\r\n" + bulk(kA) + bulk("two"));
  CHECK(client.call({"LRANGE", kA, "0", "-1"}) == "*1\r\n" + bulk("three"));
}

TEST_CASE("near cache: a frozen server: what is stale is served after the deadline, changed not") {
  CacheOptions options;
  options.cache = "ttl: 200ms, jitter: 0%, stale_if_error: 60s";
  PannierOptions with = options_of(options, Way::Broadcast, {});
  RedisServer server;
  CommandWatch watch(server);
  with.upstream = upstream_of({server.address()}, "timeouts: { read: 300ms, connect: 300ms }");
  const PannierProcess pannier(with);
  RawClient client(pannier.port());
  RawClient direct(server.port());
  CHECK(direct.call({"MSET", kA, "v1", kB, "v1"}) == kOk);
  REQUIRE(wait_until([&] {
    static_cast<void>(client.call({"GET", kA}));
    static_cast<void>(client.call({"GET", kB}));
    settle(client);
    return pannier.metric("pannier_near_cache_class_entries{class=\"product\"}") == 2;
  }));
  CHECK(direct.call({"SET", kB, "v2"}) == kOk);
  CHECK(direct.call({"PING"}) == "+PONG\r\n");
  settle(client);
  server.freeze();
  for (int i = 0; i < 5; ++i) {
    const std::string reply = client.call({"GET", kA});
    CHECK(reply == bulk("v1"));
    CHECK(client.call({"GET", kB}).starts_with("-UPSTREAM"));
  }
  server.thaw();
  REQUIRE(wait_until([&] { return client.call({"GET", kB}) == bulk("v2"); }));
}

TEST_CASE("near cache: sessions that read and write one key see their own writes in order") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const std::string workers = GENERATE(as<std::string>{}, "1", "2");
  CAPTURE(to_string(way), workers);
  CacheOptions options;
  options.rest = "workers: " + workers;
  CacheRig rig(way, options);
  constexpr int kClients = 20;
  constexpr int kRounds = 20;
  std::vector<RawClient> clients;
  std::vector<std::string> requests(kClients);
  for (int c = 0; c < kClients; ++c) {
    clients.push_back(rig.connect());
    for (int i = 0; i < kRounds; ++i) {
      const std::string own = rig.key("own:" + std::to_string(c));
      requests[static_cast<std::size_t>(c)] +=
          request({"GET", rig.key("shared")}) + request({"INCR", rig.key("shared")}) +
          request({"GET", rig.key("shared")}) + request({"SET", own, std::to_string(i)}) +
          request({"GET", own}) + request({"GET", own});
    }
  }
  for (std::size_t c = 0; c < kClients; ++c) {
    clients[c].send(requests[c]);
  }
  for (RawClient& client : clients) {
    long long seen = 0;
    for (int i = 0; i < kRounds; ++i) {
      const auto value = [&] {
        const std::string text = text_of(client.read());
        return text.empty() ? 0 : std::stoll(text);
      };
      const long long before = value();
      CHECK(before >= seen);  // never older than what this session has seen
      const long long mine = std::stoll(client.read().substr(1));
      CHECK(mine > before);
      seen = value();
      CHECK(seen >= mine);
      CHECK(client.read() == kOk);
      CHECK(client.read(2) == bulk(std::to_string(i)) + bulk(std::to_string(i)));
    }
  }
  CHECK(clients[0].call({"GET", rig.key("shared")}) == bulk(std::to_string(kClients * kRounds)));
}

}  // namespace pannier::test
