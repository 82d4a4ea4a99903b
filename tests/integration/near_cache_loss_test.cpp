#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// Coherence that is lost, and what cannot be tracked (research/coherence.md §6): nothing is served
// from memory that nobody would say has changed.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kLosses = "pannier_coherence_losses_total";

// A key that is kept, and a read of another one that is under way.
struct Started {
  explicit Started(ScriptedRig& rig)
      : client(rig.connect()),
        reader(rig.connect()),
        kept(rig.key("kept")),
        read(rig.key("read")) {
    rig.server.set(kept, "v1");
    rig.keep(client, "kept");
    rig.server.hold({"GET", read});
    reader.ask({"GET", read});
    rig.server.wait_for_held(1);
    kept_reads = rig.asked({"GET", kept});
    rig.server.set(kept, "v2");
  }

  // The read is answered with what is old by now.
  void finish(ScriptedRig& rig) {
    rig.server.let({"GET", read});
    rig.server.set(read, "v2");
    rig.server.answer(bulk("v1"));
    CHECK(reader.read() == bulk("v1"));
    settle(reader);
  }

  RawClient client;
  RawClient reader;
  std::string kept;
  std::string read;
  std::size_t kept_reads = 0;
};

}  // namespace

TEST_CASE("near cache case 16: a write whose connection is reset: its key is gone from memory") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(client, "1", "v1");
  const std::size_t before = rig.asked({"GET", key});
  rig.server.hold({"SET", key});
  client.ask({"SET", key, "v2"});
  const int lane = rig.server.wait_for_held(1).front().connection;
  rig.server.close(lane);
  const std::string reply = client.read();
  CHECK(reply.starts_with("-UPSTREAM"));
  CHECK(reply.find("may have run") != std::string::npos);
  REQUIRE(wait_until([&] { return other.call({"GET", key}) == bulk("v1"); }));
  CHECK(rig.asked({"GET", key}) > before);
  // The server runs it after all, and tells of it.
  rig.server.set(key, "v2");
  rig.server.invalidate({key});
  CHECK(other.call({"GET", key}) == bulk("v2"));
  CHECK(client.call({"GET", key}) == bulk("v2"));
}

TEST_CASE("near cache case 22: the connection that hears is closed: no hits, nothing is kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  Started started(rig);
  const double losses = rig.pannier.metric_sum(kLosses);
  rig.server.refuse_hearers(true);
  rig.server.close_hearers();
  rig.wait_until_incoherent();
  CHECK(rig.pannier.metric_sum(kLosses) == losses + 1);
  started.finish(rig);
  for (std::size_t i = 1; i <= 3; ++i) {
    CHECK(started.client.call({"GET", started.kept}) == bulk("v2"));
    settle(started.client);
    CHECK(rig.asked({"GET", started.kept}) == started.kept_reads + i);
    CHECK(started.reader.call({"GET", started.read}) == bulk("v2"));
    settle(started.reader);
    CHECK(rig.asked({"GET", started.read}) == 1 + i);
  }
  rig.server.refuse_hearers(false);
  rig.wait_until_coherent();
  rig.server.set(started.kept, "v3");
  CHECK(started.client.call({"GET", started.kept}) == bulk("v3"));
  rig.keep(started.client, "kept");
}

TEST_CASE("near cache case 22: what was kept before a loss is not served after the recovery") {
  ScriptedRig rig;
  Started started(rig);
  rig.server.close_hearers();
  REQUIRE(wait_until([&] { return rig.pannier.metric_sum(kLosses) == 1; }));
  rig.wait_until_coherent();
  CHECK(started.client.call({"GET", started.kept}) == bulk("v2"));
  started.finish(rig);
  CHECK(started.reader.call({"GET", started.read}) == bulk("v2"));
}

TEST_CASE("near cache case 23: the one that hears is silent: no hits after 3 s") {
  const Way way = GENERATE(Way::Broadcast, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  Started started(rig);
  const auto from = std::chrono::steady_clock::now();
  rig.server.silence_hearers(true);
  rig.wait_until_incoherent();
  CHECK(std::chrono::steady_clock::now() - from < 5s);  // 3 s, and a busy machine
  CHECK(started.client.call({"GET", started.kept}) == bulk("v2"));
  started.finish(rig);
  CHECK(started.reader.call({"GET", started.read}) == bulk("v2"));
  rig.server.silence_hearers(false);
  rig.wait_until_coherent();
  rig.keep(started.client, "kept");
}

TEST_CASE("near cache case 24: PING is answered but nothing is told: the canary finds it out") {
  ScriptedRig rig;
  Started started(rig);
  const auto from = std::chrono::steady_clock::now();
  rig.server.drop_canaries(true);
  REQUIRE(wait_until([&] { return !rig.is_coherent(); }));
  CHECK(std::chrono::steady_clock::now() - from < 5s);
  CHECK(started.client.call({"GET", started.kept}) == bulk("v2"));
  started.finish(rig);
  CHECK(started.reader.call({"GET", started.read}) == bulk("v2"));
  CHECK(rig.pannier.metric_sum(kLosses) >= 1);
}

TEST_CASE("near cache case 25: a read sent before the connection hears again is not kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  rig.server.refuse_hearers(true);
  rig.server.close_hearers();
  rig.wait_until_incoherent();
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  client.ask({"GET", key});
  rig.server.wait_for_held(1);
  rig.server.refuse_hearers(false);
  rig.wait_until_coherent();
  rig.server.let({"GET", key});
  rig.server.set(key, "v2");
  rig.server.answer(bulk("v1"));
  CHECK(client.read() == bulk("v1"));
  settle(client);
  CHECK(client.call({"GET", key}) == bulk("v2"));
}

TEST_CASE("near cache case 27: tracking-redir-broken where it is heard is a loss") {
  const Way way = GENERATE(Way::Broadcast, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  Started started(rig);
  rig.server.push(">2\r\n" + bulk("tracking-redir-broken") + ":7\r\n");
  REQUIRE(wait_until([&] { return rig.pannier.metric_sum(kLosses) == 1; }));
  CHECK(started.client.call({"GET", started.kept}) == bulk("v2"));
  started.finish(rig);
  rig.wait_until_coherent();
  CHECK(started.reader.call({"GET", started.read}) == bulk("v2"));
}

TEST_CASE("near cache case 27: tracking-redir-broken on a lane drops what it has filled") {
  ScriptedRig rig(Way::PerKey);
  RawClient client = rig.connect();
  REQUIRE(client.call({"HELLO", "3"}).starts_with("%"));
  const std::string key = rig.key("1");
  rig.keep(client, "1", "v1");
  rig.server.forget_requests();
  settle(client);
  const int lane = rig.server.requests().back().connection;
  rig.server.set(key, "v2");
  rig.server.push_to(lane, ">2\r\n" + bulk("tracking-redir-broken") + ":7\r\n");
  settle(client);  // its answer comes behind that push
  CHECK(client.call({"GET", key}) == bulk("v2"));
  // The lane is pointed to the one that hears anew.
  CHECK(rig.asked({"CLIENT", "TRACKING", "ON", "REDIRECT"}) == 1);
}

TEST_CASE("near cache: a lane is closed: the server has forgotten what was read on it") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(client, "1", "v1");
  // All but the one that hears of changes, which goes on hearing.
  static_cast<void>(client.call({"STRLEN", key}));
  std::string lane;
  std::string list = text_of(rig.direct.call({"CLIENT", "LIST"}));
  for (std::size_t at = 0; (at = list.find("id=", at)) != std::string::npos; ++at) {
    const std::string line = list.substr(at, list.find('\n', at) - at);
    if (line.find(" cmd=pttl ") != std::string::npos) {
      lane = line.substr(3, line.find(' ') - 3);
    }
  }
  REQUIRE_FALSE(lane.empty());
  constexpr const char* kLost = "pannier_upstream_connections_lost_total";
  const double lost = rig.pannier.metric_sum(kLost);
  CHECK(rig.foreign({"CLIENT", "KILL", "ID", lane}) == ":1\r\n");
  REQUIRE(wait_until([&] { return rig.pannier.metric_sum(kLost) > lost; }));
  CHECK(client.call({"PING"}) == "+PONG\r\n");  // the turn that counted it is over
  rig.foreign({"SET", key, "v2"});
  CHECK(client.call({"GET", key}) == bulk("v2"));
}

TEST_CASE("near cache case 29: CLIENT CACHING YES stands right before its read, under load") {
  ScriptedRig rig(Way::PerKey);
  constexpr int kClients = 64;
  constexpr int kReads = 50;
  std::vector<RawClient> clients;
  std::vector<std::string> requests(kClients);
  std::vector<std::string> replies(kClients);
  for (int c = 0; c < kClients; ++c) {
    clients.push_back(rig.connect());
    for (int i = 0; i < kReads; ++i) {
      const std::string key = rig.key(std::to_string(c) + ":" + std::to_string(i));
      const std::string plain = "plain" + std::to_string(i % 7);
      rig.server.set(key, "of " + key);
      requests[static_cast<std::size_t>(c)] +=
          request({"GET", key}) + request({"SET", plain, "x"}) + request({"GET", key});
      replies[static_cast<std::size_t>(c)] += bulk("of " + key) + "+OK\r\n" + bulk("of " + key);
    }
  }
  for (std::size_t c = 0; c < kClients; ++c) {
    clients[c].send(requests[c]);
  }
  for (std::size_t c = 0; c < kClients; ++c) {
    CHECK(clients[c].read(3UL * kReads) == replies[c]);
  }
  std::vector<std::string> asking(1000);  // by connection: the last CACHING YES is open
  std::size_t tracked = 0;
  for (const ScriptedServer::Request& each : rig.server.requests()) {
    std::string& open = asking.at(static_cast<std::size_t>(each.connection));
    if (!open.empty()) {
      CHECK(each.words.at(0) == "GET");
      CHECK(each.words.at(1).starts_with("p:"));
      ++tracked;
    }
    open = each.words.size() == 3 && each.words[1] == "CACHING" ? "open" : "";
  }
  CHECK(tracked >= std::size_t{kClients} * kReads);
}

TEST_CASE("near cache case 30: a read whose CLIENT CACHING is refused is not kept") {
  ScriptedRig rig(Way::PerKey);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  const Words refused =
      GENERATE(Words{"CLIENT", "CACHING"}, Words{"CLIENT", "TRACKING", "ON", "REDIRECT"});
  rig.server.set(key, "v1");
  rig.server.say(refused, "-ERR not now\r\n");
  for (std::size_t i = 1; i <= 3; ++i) {
    CHECK(client.call({"GET", key}) == bulk("v1"));
    settle(client);
    CHECK(rig.asked({"GET", key}) == i);
  }
  rig.server.let(refused);
  rig.keep(client, "1");
}

}  // namespace pannier::test
