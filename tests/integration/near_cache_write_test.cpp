#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// Writes through Pannier and what is kept of their keys (research/coherence.md §6). The scripted
// server tells nobody of a change: what is gone from memory, Pannier has removed by itself.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kA = "product:a";
constexpr const char* kB = "product:b";

void check_gone(Kept& kept) {
  CHECK(kept.other.call({"GET", kA}) == bulk("v2"));
  CHECK(kept.other.call({"GET", kB}) == bulk("v2"));
}

}  // namespace

TEST_CASE("near cache case 14: after a write is answered nobody reads the old value") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(client, "1", "v1");
  const std::size_t before = rig.asked({"GET", key});
  CHECK(client.call({"SET", key, "v2"}) == kOk);
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == before + 1);
  CHECK(other.call({"GET", key}) == bulk("v2"));
  settle(client);
  CHECK(other.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == before + 1);
  rig.server.invalidate({key});  // the news of the own write, late
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == before + 2);
}

TEST_CASE("near cache case 14: a pipeline of writes and reads reads its own writes") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way);
  RawClient client = rig.connect();
  std::string requests;
  std::string replies;
  for (int i = 0; i < 500; ++i) {
    const std::string key = rig.key(std::to_string(i % 5));
    const std::string value = std::to_string(i);
    requests += request({"GET", key}) + request({"SET", key, value}) + request({"GET", key});
    replies += (i < 5 ? "$-1\r\n" : bulk(std::to_string(i - 5))) + kOk + bulk(value);
  }
  client.send(requests);
  CHECK(client.read(1500) == replies);
}

TEST_CASE("near cache case 15: what is read while a write is under way is not kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  std::vector<RawClient> clients = rig.connect_apart();
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  rig.server.hold({"SET", key});
  clients[0].ask({"SET", key, "v2"});
  rig.server.wait_for_held(1);
  for (std::size_t i = 1; i <= 3; ++i) {
    CHECK(clients[1].call({"GET", key}) == bulk("v1"));
    settle(clients[1]);
    CHECK(rig.asked({"GET", key}) == i);
  }
  rig.server.answer_all();
  CHECK(clients[0].read() == kOk);
  CHECK(clients[1].call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 4);
}

TEST_CASE("near cache case 15: on a real server that pauses writes") {
  CacheRig rig;
  RawClient writer = rig.connect();
  RawClient reader = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(reader, "1", "v1");
  rig.foreign({"CLIENT", "PAUSE", "20000", "WRITE"});
  const std::size_t before = rig.asked({"GET", key});
  writer.ask({"SET", key, "v2"});
  // It is gone from memory as soon as the write has left, and stays so.
  REQUIRE(wait_until([&] {
    CHECK(reader.call({"GET", key}) == bulk("v1"));
    return rig.asked({"GET", key}) > before + 2;
  }));
  rig.foreign({"CLIENT", "UNPAUSE"});
  CHECK(writer.read() == kOk);
  CHECK(reader.call({"GET", key}) == bulk("v2"));
}

TEST_CASE("near cache case 17: EXEC removes what its transaction wrote, also when it ran nothing") {
  const std::string result = GENERATE(as<std::string>{}, "*2\r\n+OK\r\n+OK\r\n", "*-1\r\n");
  CAPTURE(result);
  ScriptedRig rig;
  Kept kept(rig);
  rig.server.say({"MULTI"}, kOk);
  rig.server.say({"SET", kA}, "+QUEUED\r\n");
  rig.server.say({"SET", kB}, "+QUEUED\r\n");
  CHECK(kept.client.call({"MULTI"}) == kOk);
  CHECK(kept.client.call({"SET", kA, "x"}) == "+QUEUED\r\n");
  CHECK(kept.client.call({"SET", kB, "x"}) == "+QUEUED\r\n");
  CHECK(kept.other.call({"GET", kA}) == bulk("v1"));  // nothing is written before EXEC
  rig.server.hold({"EXEC"});
  kept.client.ask({"EXEC"});
  rig.server.wait_for_held(1);
  check_gone(kept);
  const std::size_t before = rig.asked({"GET", kA});
  check_gone(kept);  // and is not kept again
  CHECK(rig.asked({"GET", kA}) == before + 1);
  rig.server.set(kA, "v3");
  rig.server.answer(result);
  CHECK(kept.client.read() == result);
  CHECK(kept.other.call({"GET", kA}) == bulk("v3"));
}

TEST_CASE("near cache case 17: EXEC of what empties or swaps dbs, or of a lost connection") {
  ScriptedRig rig;
  Kept kept(rig);
  const Words inner = GENERATE(Words{"FLUSHALL"},
                               Words{"FLUSHDB"},
                               Words{"SWAPDB", "0", "1"},
                               Words{"EVAL", "a script", "0"},
                               Words{"SET", kA, "x"});
  rig.server.say({"MULTI"}, kOk);
  rig.server.say({inner[0]}, "+QUEUED\r\n");
  CHECK(kept.client.call({"MULTI"}) == kOk);
  CHECK(kept.client.call(inner) == "+QUEUED\r\n");
  rig.server.hold({"EXEC"});
  kept.client.ask({"EXEC"});
  rig.server.close(rig.server.wait_for_held(1).front().connection);
  CHECK(kept.client.read().starts_with("-"));
  CHECK(kept.other.call({"GET", kA}) == bulk("v2"));
  if (inner[0] != "SET") {
    CHECK(kept.other.call({"GET", kB}) == bulk("v2"));
  }
}

TEST_CASE("near cache case 18: EVAL with keys removes these") {
  const bool by_hash = GENERATE(false, true);
  ScriptedRig rig;
  Kept kept(rig);
  const char* name = by_hash ? "EVALSHA" : "EVAL";
  rig.server.say({name}, ":1\r\n");
  CHECK(kept.client.call({name, "a script", "2", kA, kB}) == ":1\r\n");
  check_gone(kept);
}

TEST_CASE("near cache case 18: a script that does not name its keys removes all") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.keep(client, "1", "v1");
  CHECK(client.call({"EVAL", "return redis.call('SET', ARGV[1], 'v2')", "0", rig.key("1")}) == kOk);
  CHECK(client.call({"GET", rig.key("1")}) == bulk("v2"));
}

TEST_CASE("near cache case 19: commands with two keys remove both") {
  const Words words = GENERATE(Words{"RENAME", kA, kB},
                               Words{"COPY", kA, kB},
                               Words{"SMOVE", kA, kB, "m"},
                               Words{"SORT", kA, "STORE", kB},
                               Words{"MSET", kA, "x", kB, "y"},
                               Words{"DEL", kA, kB},
                               Words{"LMOVE", kA, kB, "LEFT", "RIGHT"},
                               Words{"SUNIONSTORE", kA, kB});
  ScriptedRig rig;
  Kept kept(rig);
  rig.server.say({words[0]}, ":1\r\n");
  CHECK(kept.client.call(words) == ":1\r\n");
  check_gone(kept);
}

TEST_CASE("near cache case 20: FLUSHDB of another db removes all") {
  const std::string command = GENERATE(as<std::string>{}, "FLUSHDB", "FLUSHALL");
  ScriptedRig rig;
  Kept kept(rig);
  rig.server.say({command}, kOk);
  CHECK(kept.client.call({"SELECT", "3"}) == kOk);
  CHECK(kept.client.call({command}) == kOk);
  check_gone(kept);
}

TEST_CASE("near cache case 20: FLUSHALL by somebody else empties all") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const std::string command = GENERATE(as<std::string>{}, "FLUSHDB", "FLUSHALL");
  CAPTURE(to_string(way), command);
  CacheRig rig(way);
  RawClient client = rig.connect();
  rig.keep(client, "1", "v1");
  rig.foreign({command});
  CHECK(client.call({"GET", rig.key("1")}) == "$-1\r\n");
}

TEST_CASE("near cache case 21: SWAPDB through Pannier removes all: the server tells nobody") {
  CacheRig rig;
  RawClient zero = rig.connect();
  RawClient one = rig.connect();
  CHECK(one.call({"SELECT", "1"}) == kOk);
  CHECK(zero.call({"SET", rig.key("1"), "of 0"}) == kOk);
  CHECK(one.call({"SET", rig.key("1"), "of 1"}) == kOk);
  rig.keep(zero, "1");
  rig.keep(one, "1");
  CHECK(zero.call({"GET", rig.key("1")}) == bulk("of 0"));
  CHECK(one.call({"GET", rig.key("1")}) == bulk("of 1"));
  CHECK(zero.call({"SWAPDB", "0", "1"}) == kOk);
  CHECK(zero.call({"GET", rig.key("1")}) == bulk("of 1"));
  CHECK(one.call({"GET", rig.key("1")}) == bulk("of 0"));
}

TEST_CASE("near cache: what others do to a key on a real server is heard") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  const std::string to = rig.key("2");
  const auto begin = [&] {
    rig.foreign({"SET", key, "v1"});
    rig.foreign({"SET", to, "w"});
    rig.keep(client, "1");
    rig.keep(client, "2");
  };
  begin();
  rig.foreign({"RENAME", key, to});
  CHECK(client.call({"GET", key}) == "$-1\r\n");
  CHECK(client.call({"GET", to}) == bulk("v1"));
  begin();
  rig.foreign({"MULTI"});
  rig.foreign({"SET", key, "v2"});
  CHECK(client.call({"GET", key}) == bulk("v1"));
  rig.direct.ask({"EXEC"});
  static_cast<void>(rig.direct.read());
  rig.foreign({"PING"});
  CHECK(client.call({"GET", key}) == bulk("v2"));
  begin();
  rig.foreign({"EVAL", "return redis.call('APPEND', KEYS[1], 'x')", "1", key});
  CHECK(client.call({"GET", key}) == bulk("v1x"));
  begin();
  rig.foreign({"PEXPIRE", key, "1"});
  REQUIRE(wait_until([&] { return client.call({"GET", key}) == "$-1\r\n"; }));
}

TEST_CASE("near cache case 36: what was shown past the cache is not followed by an older value") {
  const Words words = GENERATE(
      Words{"MGET", kA, kB}, Words{"EVAL_RO", "a script", "2", kA, kB}, Words{"SINTER", kA, kB});
  ScriptedRig rig;
  Kept kept(rig);
  rig.server.say({words[0]}, "*2\r\n" + bulk("v2") + bulk("v2"));
  CHECK(kept.client.call(words).find("v2") != std::string::npos);
  check_gone(kept);
}

TEST_CASE("near cache case 49: a read after a write does not join one from before it") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  std::vector<RawClient> clients = rig.connect_apart();
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  clients[0].ask({"GET", key});
  rig.server.wait_for_held(1);
  CHECK(clients[1].call({"SET", key, "v2"}) == kOk);
  clients[1].ask({"GET", key});
  rig.server.wait_for_held(2);
  rig.server.let({"GET", key});
  rig.server.answer(bulk("v2"), 1);
  CHECK(clients[1].read() == bulk("v2"));
  settle(clients[1]);
  rig.server.answer(bulk("v1"));
  CHECK(clients[0].read() == bulk("v1"));
  settle(clients[0]);
  CHECK(clients[0].call({"GET", key}) == bulk("v2"));
  settle(clients[0]);
  CHECK(clients[1].call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 3);  // v1 was shown last: v2 was not served on
}

}  // namespace pannier::test
