#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

// Reads that share one read of upstream (research/coherence.md §1.3 and §6). Who is to join is sent
// while Pannier is frozen: it sees all of them at once, whatever the machine does meanwhile.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

std::vector<RawClient> connect_many(const PannierProcess& pannier, std::size_t count) {
  std::vector<RawClient> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.emplace_back(pannier.port());
    REQUIRE(out.back().call({"PING"}) == "+PONG\r\n");
  }
  return out;
}

void ask_at_once(const PannierProcess& pannier,
                 std::vector<RawClient>& clients,
                 const Words& words) {
  const Frozen frozen(pannier);
  for (RawClient& client : clients) {
    client.ask(words);
  }
}

double joins(const PannierProcess& pannier) {
  return pannier.metric("pannier_near_cache_joins_total{class=\"product\"}");
}

}  // namespace

TEST_CASE("near cache case 50: the one who asked first leaves, the others get their answer") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const bool abruptly = GENERATE(false, true);
  CAPTURE(to_string(way), abruptly);
  ScriptedRig rig(way);
  std::vector<RawClient> clients = connect_many(rig.pannier, 6);
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  ask_at_once(rig.pannier, clients, {"GET", key});
  rig.server.wait_for_held(1);
  REQUIRE(wait_until([&] { return joins(rig.pannier) == 5; }));
  abruptly ? clients[0].reset() : clients[0].close();  // one that only sends no more may still read
  REQUIRE((!abruptly ||
           wait_until([&] { return rig.pannier.metric("pannier_client_connections") <= 5; })));
  rig.server.let({"GET", key});
  rig.server.answer(bulk("v1"));
  for (std::size_t i = 1; i < clients.size(); ++i) {
    CHECK(clients[i].read() == bulk("v1"));
  }
  settle(clients[1]);
  CHECK(rig.asked({"GET", key}) == 1);
}

TEST_CASE("near cache case 51: a lost connection: one retry for all who wait") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  std::vector<RawClient> clients = connect_many(rig.pannier, 101);
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  ask_at_once(rig.pannier, clients, {"GET", key});
  const int lane = rig.server.wait_for_held(1).front().connection;
  REQUIRE(wait_until([&] { return joins(rig.pannier) == 100; }));
  rig.server.close(lane);
  rig.server.wait_for_held(2);
  rig.server.let({"GET", key});
  rig.server.answer(bulk("v0"));  // of a connection that is gone
  rig.server.answer(bulk("v1"));
  for (RawClient& client : clients) {
    CHECK(client.read() == bulk("v1"));
  }
  CHECK(rig.asked({"GET", key}) == 2);
}

TEST_CASE("near cache case 51: the retry is lost too: all are told, nobody asks a third time") {
  ScriptedRig rig;
  std::vector<RawClient> clients = connect_many(rig.pannier, 21);
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  ask_at_once(rig.pannier, clients, {"GET", key});
  rig.server.close(rig.server.wait_for_held(1).front().connection);
  rig.server.close(rig.server.wait_for_held(2).back().connection);
  for (RawClient& client : clients) {
    CHECK(client.read().starts_with("-UPSTREAM"));
  }
  CHECK(rig.asked({"GET", key}) == 2);
  // Their sessions go on.
  rig.server.let({"GET", key});
  rig.server.set(key, "v1");
  for (RawClient& client : clients) {
    REQUIRE(wait_until([&] { return client.call({"GET", key}) == bulk("v1"); }));
  }
}

TEST_CASE("near cache case 52: one read per db and encoding, each client in its own") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.keep(client, "other", "o");
  for (const char* db : {"0", "1"}) {
    rig.foreign({"SELECT", db});
    rig.foreign({"HSET", rig.key("hash"), "db", db});
    rig.foreign({"SADD", rig.key("set"), db});
    rig.foreign({"ZADD", rig.key("zset"), "1.5", db});
    rig.foreign({"SET", rig.key("string"), db});
  }
  std::vector<RawClient> clients = connect_many(rig.pannier, 12);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    CHECK(clients[i].call({"SELECT", i % 2 == 0 ? "0" : "1"}) == "+OK\r\n");
    if (i % 4 >= 2) {
      CHECK(clients[i].call({"HELLO", "3"}).starts_with("%"));
    }
  }
  const auto check =
      [&](const Words& words, std::size_t reads, const std::vector<std::string>& replies) {
        for (int round = 0; round < 2; ++round) {
          ask_at_once(rig.pannier, clients, words);
          for (std::size_t i = 0; i < clients.size(); ++i) {
            CHECK(clients[i].read() == replies[i % 4]);
          }
        }
        CHECK(rig.asked(words) <= reads);
      };
  const std::string zero = bulk("0");
  const std::string one = bulk("1");
  check({"HGETALL", rig.key("hash")},
        4,
        {"*2\r\n" + bulk("db") + zero,
         "*2\r\n" + bulk("db") + one,
         "%1\r\n" + bulk("db") + zero,
         "%1\r\n" + bulk("db") + one});
  check({"SMEMBERS", rig.key("set")},
        4,
        {"*1\r\n" + zero, "*1\r\n" + one, "~1\r\n" + zero, "~1\r\n" + one});
  check({"GET", rig.key("string")}, 4, {zero, one, zero, one});
  ask_at_once(rig.pannier, clients, {"ZSCORE", rig.key("zset"), "0"});
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::vector<std::string> scores{bulk("1.5"), "$-1\r\n", ",1.5\r\n", "_\r\n"};
    CHECK(clients[i].read() == scores[i % 4]);
  }
  ask_at_once(rig.pannier, clients, {"GET", rig.key("none")});
  for (std::size_t i = 0; i < clients.size(); ++i) {
    CHECK(clients[i].read() == (i % 4 < 2 ? "$-1\r\n" : "_\r\n"));
  }
}

TEST_CASE("near cache case 52: what one encoding has kept serves the other where it is the same") {
  CacheRig rig;
  RawClient old = rig.connect();
  RawClient modern = rig.connect();
  CHECK(modern.call({"HELLO", "3"}).starts_with("%"));
  rig.keep(old, "1", "v1");
  const std::size_t reads = rig.asked({"GET", rig.key("1")});
  CHECK(modern.call({"GET", rig.key("1")}) == bulk("v1"));
  CHECK(rig.asked({"GET", rig.key("1")}) == reads);
}

TEST_CASE("near cache case 53: values of all sizes to 20 clients, one of which does not read") {
  constexpr std::size_t kMebibyte = 1024UL * 1024;
  // The one who asked first does not read, or one who joined.
  const auto [keeps_large, slow] =
      GENERATE(std::pair(false, 0UL), std::pair(true, 0UL), std::pair(true, 7UL));
  CAPTURE(keeps_large, slow);
  CacheOptions options;
  options.cache = keeps_large ? "ttl: 60s, max_value: 16MiB" : "ttl: 60s";
  options.upstream = "probe: 2s";  // a server that sends 200 MiB on a busy machine is not away
  CacheRig rig(Way::Broadcast, options);
  for (const std::size_t size : {0UL,
                                 4095UL,
                                 4096UL,
                                 4097UL,
                                 65535UL,
                                 65536UL,
                                 65537UL,
                                 256UL * 1024,
                                 256UL * 1024 + 100,
                                 10 * kMebibyte}) {
    CAPTURE(size);
    const std::string key = rig.key(std::to_string(size));
    const std::string value(size, 'v');
    rig.foreign({"SET", key, value});
    std::vector<RawClient> clients = connect_many(rig.pannier, 20);
    ask_at_once(rig.pannier, clients, {"GET", key});
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (i != slow) {
        const std::string reply = clients[i].read();
        INFO(reply.substr(0, 200));
        CHECK((reply == bulk(value)));
      }
    }
    // Nobody else is held up, and what it has not read is still right.
    CHECK(clients[slow == 0 ? 1 : 0].call({"SET", rig.key("x"), "y"}) == "+OK\r\n");
    CHECK((clients[slow].read() == bulk(value)));
  }
}

TEST_CASE("near cache case 53: a large value is held once, however many wait for it") {
  constexpr std::size_t kSize = 10UL * 1024 * 1024;
  CacheOptions options;
  options.cache = "ttl: 60s, max_value: 16MiB";
  ScriptedRig rig(Way::Broadcast, options);
  std::vector<RawClient> clients = connect_many(rig.pannier, 200);
  const std::string key = rig.key("1");
  const std::string value(kSize, 'v');
  rig.server.hold({"GET", key});
  const std::size_t before = rig.pannier.resident_bytes();
  ask_at_once(rig.pannier, clients, {"GET", key});
  rig.server.wait_for_held(1);
  REQUIRE(wait_until([&] { return joins(rig.pannier) == 199; }));
  rig.server.answer(bulk(value));
  // Only the last one reads.
  CHECK((clients.back().read() == bulk(value)));
  const std::size_t after = rig.pannier.resident_bytes();
  INFO(before << " bytes before, " << after << " after");
  CHECK(after < before + 8 * kSize);
  CHECK(rig.asked({"GET", key}) == 1);
}

TEST_CASE("near cache case 53: a client that does not read what memory has for it") {
  constexpr std::size_t kSize = 512UL * 1024;
  constexpr std::size_t kReads = 500;
  CacheOptions options;
  options.cache = "ttl: 60s, max_value: 1MiB";
  CacheRig rig(Way::Broadcast, options);
  const std::string before(kSize, 'a');
  const std::string after(kSize, 'b');
  RawClient client = rig.connect();
  RawClient slow = rig.connect();
  rig.keep(client, "1", before);
  const std::size_t resident = rig.pannier.resident_bytes();
  std::string requests;
  for (std::size_t i = 0; i < kReads; ++i) {
    requests += request({"GET", rig.key("1")});
  }
  slow.send(requests);
  CHECK((client.call({"GET", rig.key("1")}) == bulk(before)));
  // What has been handed out stays as it was, though it is gone from memory.
  rig.foreign({"SET", rig.key("1"), after});
  CHECK((client.call({"GET", rig.key("1")}) == bulk(after)));
  CHECK(rig.pannier.resident_bytes() < resident + 100 * kSize);
  bool is_new = false;
  for (std::size_t i = 0; i < kReads; ++i) {
    const std::string reply = slow.read();
    const bool now_new = reply == bulk(after);
    if (!now_new) {
      REQUIRE((reply == bulk(before)));
      REQUIRE_FALSE(is_new);  // never back to the old one
    }
    is_new = now_new;
  }
}

TEST_CASE(
    "near cache: two reads of a key overlap: after the newer reply nobody sees the older one") {
  const std::string newer = GENERATE(as<std::string>{}, "$-1\r\n", bulk("v2"), "-ERR not now\r\n");
  const bool is_kept = GENERATE(false, true);  // that there is no key
  CAPTURE(newer, is_kept);
  CacheOptions options;
  options.cache = is_kept ? "ttl: 60s, negative: 60s" : "ttl: 60s";
  options.rest = "workers: 2";
  ScriptedRig rig(Way::Broadcast, options);
  std::vector<RawClient> clients = connect_many(rig.pannier, 4);  // by turns on the one and other
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  clients[0].ask({"GET", key});
  rig.server.wait_for_held(1);
  clients[1].ask({"GET", key});
  rig.server.wait_for_held(2);
  rig.server.answer(newer, 1);
  CHECK(clients[1].read() == newer);
  settle(clients[1]);
  if (newer[0] == '$' && (is_kept || newer != "$-1\r\n")) {
    CHECK(clients[2].call({"GET", key}) == newer);  // from memory
  } else {
    clients[2].ask({"GET", key});
    REQUIRE(rig.server.wait_for_held(2).size() == 2);  // it has not joined the older one
  }
  rig.server.let({"GET", key});
  rig.server.answer(bulk("v1"));
  CHECK(clients[0].read() == bulk("v1"));
  if (!rig.server.wait_for_held(0).empty()) {
    rig.server.answer(newer);
    CHECK(clients[2].read() == newer);
  }
  settle(clients[0]);  // the older one's PTTL is there
  rig.server.set(key, "v3");
  for (RawClient& client : clients) {
    CHECK(client.call({"GET", key}) != bulk("v1"));
  }
}

TEST_CASE("near cache: CLIENT REPLY OFF and SKIP among those who wait") {
  ScriptedRig rig;
  std::vector<RawClient> clients = connect_many(rig.pannier, 6);
  const std::string key = rig.key("1");
  const std::size_t quiet = GENERATE(0U, 3U);  // the one who asked first, or one who joined
  CAPTURE(quiet);
  rig.server.hold({"GET", key});
  {
    const Frozen frozen(rig.pannier);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (i == quiet) {
        clients[i].ask({"CLIENT", "REPLY", "OFF"});
      } else if (i == 5) {
        clients[i].ask({"CLIENT", "REPLY", "SKIP"});
      }
      clients[i].ask({"GET", key});
    }
  }
  rig.server.wait_for_held(1);
  REQUIRE(wait_until([&] { return joins(rig.pannier) == 5; }));
  rig.server.let({"GET", key});
  rig.server.answer(bulk("v1"));
  for (std::size_t i = 0; i < 5; ++i) {
    if (i != quiet) {
      CHECK(clients[i].read() == bulk("v1"));
    }
  }
  clients[quiet].ask({"GET", key});  // from memory: not a word either
  clients[quiet].ask({"CLIENT", "REPLY", "ON"});
  CHECK(clients[quiet].read() == "+OK\r\n");
  CHECK(clients[5].call({"PING"}) == "+PONG\r\n");
  CHECK(clients[quiet].call({"GET", key}) == bulk("v1"));
  CHECK(rig.asked({"GET", key}) == 1);
}

TEST_CASE("near cache: keys of no bytes, of any bytes and of 1 MB") {
  // "p*" is not the empty key's class: this one takes every key.
  CacheOptions options;
  options.classes = "  - { name: every, keys: [\"*\"], cache: { ttl: 60s } }\n";
  CacheRig rig(Way::Broadcast, options);
  RawClient client = rig.connect();
  const std::string binary("\0\r\n*1\xff", 6);
  const std::string huge(1024UL * 1024, 'k');
  rig.keep(client, "1", "v");
  for (const std::string& key : {std::string(), binary, huge}) {
    for (const char* value : {"v1", "v2", "v3"}) {
      rig.foreign({"SET", key, value});
      CHECK(client.call({"GET", key}) == bulk(value));
      static_cast<void>(client.call({"GET", rig.key("1")}));
      CHECK(client.call({"GET", key}) == bulk(value));
    }
    CHECK(client.call({"SET", key, "own"}) == "+OK\r\n");
    CHECK(client.call({"GET", key}) == bulk("own"));
  }
}

}  // namespace pannier::test
