#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

// What may be kept while changes come in between (research/coherence.md §6), on a scripted server:
// a kept reply is never older than the last change that was heard.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kNil = "$-1\r\n";

// One read that goes upstream and is answered so.
std::string read_as(ScriptedRig& rig,
                    RawClient& client,
                    const std::string& key,
                    const char* value) {
  rig.server.hold({"GET", key});
  client.ask({"GET", key});
  rig.server.wait_for_held(1);
  rig.server.let({"GET", key});
  rig.server.answer(bulk(value));
  std::string reply = client.read();
  settle(client);
  return reply;
}

}  // namespace

TEST_CASE("near cache case 1: a change heard between a read and its reply: it is not kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  client.ask({"GET", key});
  rig.server.wait_for_held(1);
  rig.server.invalidate({key});
  rig.server.let({"GET", key});
  rig.server.set(key, "v2");
  rig.server.answer(bulk("v1"));
  CHECK(client.read() == bulk("v1"));
  settle(client);
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 2);
  CHECK(rig.pannier.metric("pannier_near_cache_doomed_total{class=\"product\"}") == 1);
  settle(client);
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 2);  // the second one was kept
}

TEST_CASE("near cache case 2: a change heard behind the reply removes it") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(client, "1", "v1");
  const std::size_t before = rig.asked({"GET", key});
  CHECK(client.call({"GET", key}) == bulk("v1"));
  CHECK(rig.asked({"GET", key}) == before);
  rig.server.set(key, "v2");
  rig.server.invalidate({key});
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == before + 1);
}

TEST_CASE("near cache case 3: a change heard before the read: its reply is kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "v2");
  rig.server.invalidate({key});
  CHECK(client.call({"GET", key}) == bulk("v2"));
  settle(client);
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 1);
}

TEST_CASE("near cache cases 4 and 5: two reads with a change between: the older is not kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const bool older_first = GENERATE(false, true);
  CAPTURE(to_string(way), older_first);
  ScriptedRig rig(way);
  std::vector<RawClient> clients = rig.connect_apart();
  const std::string key = rig.key("1");
  rig.server.set(key, "v2");
  rig.server.hold({"GET", key});
  clients[0].ask({"GET", key});
  rig.server.wait_for_held(1);
  rig.server.invalidate({key});
  clients[1].ask({"GET", key});
  rig.server.wait_for_held(2);  // it does not join the doomed one
  if (older_first) {
    rig.server.answer(bulk("v1"), 0);
    CHECK(clients[0].read() == bulk("v1"));
    settle(clients[0]);
    CHECK(rig.pannier.metric("pannier_near_cache_entries") == 0);
    rig.server.answer(bulk("v2"));
    CHECK(clients[1].read() == bulk("v2"));
    settle(clients[1]);
  } else {
    rig.server.answer(bulk("v2"), 1);
    CHECK(clients[1].read() == bulk("v2"));
    settle(clients[1]);
    rig.server.answer(bulk("v1"));
    CHECK(clients[0].read() == bulk("v1"));
    settle(clients[0]);
  }
  rig.server.let({"GET", key});
  // Both were shown and differ: the one sent first may have run last, so neither is served on.
  CHECK(clients[0].call({"GET", key}) == bulk("v2"));
  settle(clients[0]);
  CHECK(clients[1].call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 3);
}

TEST_CASE("near cache case 7: pushes come only where no arrays are asked for") {
  // Servers before 6.2.7 can put a push inside an array: no connection that carries requests of
  // clients may be told of changes.
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  rig.keep(client, "1", "v1");
  std::vector<int> told;
  std::vector<int> asked;
  for (const ScriptedServer::Request& each : rig.server.requests()) {
    const auto has = [&](const char* word) {
      return std::find(each.words.begin(), each.words.end(), word) != each.words.end();
    };
    if (each.words[0] == "SUBSCRIBE" || (has("TRACKING") && !has("REDIRECT"))) {
      told.push_back(each.connection);
    } else if (has("TRACKING")) {
      const auto id = std::find(each.words.begin(), each.words.end(), "REDIRECT") + 1;
      CHECK(std::find(told.begin(), told.end(), std::stoi(*id)) != told.end());
    }
    if (each.words.size() > 1 && each.words[1] == rig.key("1")) {
      asked.push_back(each.connection);
    }
  }
  CHECK_FALSE(told.empty());
  CHECK_FALSE(asked.empty());
  for (const int connection : asked) {
    CHECK(std::find(told.begin(), told.end(), connection) == told.end());
  }
}

TEST_CASE("near cache cases 8 and 9: null in every encoding empties all and dooms what is read") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const std::string null = GENERATE(as<std::string>{}, "_\r\n", "$-1\r\n", "*-1\r\n");
  CAPTURE(to_string(way), null);
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  rig.keep(client, "kept", "v1");
  const std::size_t kept_reads = rig.asked({"GET", rig.key("kept")});
  rig.server.hold({"GET", rig.key("read")});
  client.ask({"GET", rig.key("read")});
  rig.server.wait_for_held(1);
  rig.server.push_payload(null);
  rig.server.let({"GET", rig.key("read")});
  rig.server.set(rig.key("kept"), "v2");
  rig.server.set(rig.key("read"), "v2");
  rig.server.answer(bulk("v1"));
  CHECK(client.read() == bulk("v1"));
  settle(client);
  CHECK(client.call({"GET", rig.key("read")}) == bulk("v2"));
  CHECK(client.call({"GET", rig.key("kept")}) == bulk("v2"));
  CHECK(rig.asked({"GET", rig.key("kept")}) == kept_reads + 1);
  CHECK(rig.asked({"GET", rig.key("read")}) == 2);
  CHECK(rig.is_coherent());  // it was understood
}

TEST_CASE("near cache case 11: pushes of unknown kinds are passed over, replies stay in step") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  static_cast<void>(client.call({"HELLO", "3"}));
  rig.server.set(rig.key("1"), "v1");
  rig.server.hold({"GET", rig.key("1")});
  client.ask({"GET", rig.key("1")});
  const int lane = rig.server.wait_for_held(1).front().connection;
  const std::string foo = ">3\r\n" + bulk("foo") + ":1\r\n" + bulk("bar");
  rig.server.push_to(lane, foo);
  rig.server.push(foo);
  rig.server.let({"GET", rig.key("1")});
  rig.server.answer(bulk("v1") + foo);
  CHECK(client.read() == bulk("v1"));
  settle(client);
  CHECK(client.call({"GET", rig.key("1")}) == bulk("v1"));
  CHECK(rig.asked({"GET", rig.key("1")}) == 1);
  CHECK(rig.is_coherent());
}

TEST_CASE("near cache case 12: a change removes the key's replies of every db") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient zero = rig.connect();
  RawClient five = rig.connect();
  REQUIRE(five.call({"SELECT", "5"}) == "+OK\r\n");
  const std::string key = rig.key("1");
  CHECK(read_as(rig, zero, key, "of 0") == bulk("of 0"));
  CHECK(read_as(rig, five, key, "of 5") == bulk("of 5"));
  CHECK(zero.call({"GET", key}) == bulk("of 0"));
  CHECK(five.call({"GET", key}) == bulk("of 5"));
  CHECK(rig.asked({"GET", key}) == 2);
  rig.server.set(key, "new");
  rig.server.invalidate({key});
  CHECK(zero.call({"GET", key}) == bulk("new"));
  CHECK(five.call({"GET", key}) == bulk("new"));
  CHECK(rig.asked({"GET", key}) == 4);
}

TEST_CASE("near cache case 13: a change removes the replies of all commands on the key") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "four");
  rig.server.say({"HGET", key, "a"}, bulk("1"));
  rig.server.say({"HGET", key, "b"}, bulk("2"));
  rig.server.say({"GETRANGE", key}, bulk("fo"));
  const std::vector<Words> reads{{"GET", key},
                                 {"STRLEN", key},
                                 {"HGET", key, "a"},
                                 {"HGET", key, "b"},
                                 {"GETRANGE", key, "0", "1"}};
  const std::vector<std::string> replies{bulk("four"), ":4\r\n", bulk("1"), bulk("2"), bulk("fo")};
  for (std::size_t round = 1; round <= 2; ++round) {
    for (int again = 0; again < 2; ++again) {
      for (std::size_t i = 0; i < reads.size(); ++i) {
        CHECK(client.call(reads[i]) == replies[i]);
        settle(client);
        CHECK(rig.asked(reads[i]) == round);
      }
    }
    rig.server.invalidate({key});
  }
}

TEST_CASE("near cache case 10: one push of 100,000 keys, binary, empty and huge ones among them") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  const std::string binary("product:\0\r\n*1\xff", 15);
  const std::string huge = "product:" + std::string(1024 * 1024, 'k');
  std::vector<std::string> keys{binary, "product:", rig.key("1")};
  for (const std::string& key : keys) {
    rig.server.set(key, "v1");
    CHECK(client.call({"GET", key}) == bulk("v1"));
  }
  rig.keep(client, "other", "o");
  const std::size_t others = rig.asked({"GET", rig.key("other")});
  std::vector<std::string> changed{huge, ""};
  for (int i = 0; i < 100'000; ++i) {
    changed.push_back("product:filler:" + std::to_string(i));
  }
  for (const std::string& key : keys) {
    rig.server.set(key, "v2");
    changed.push_back(key);
  }
  rig.server.invalidate(Words(changed.begin(), changed.end()));
  REQUIRE(wait_until([&] { return client.call({"GET", keys.back()}) == bulk("v2"); }));
  for (const std::string& key : keys) {
    CHECK(client.call({"GET", key}) == bulk("v2"));
  }
  CHECK(client.call({"GET", rig.key("other")}) == bulk("o"));
  CHECK(rig.asked({"GET", rig.key("other")}) == others);
  CHECK(rig.is_coherent());
}

TEST_CASE("near cache case 54: one client asks twice, the first is doomed between: both in order") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.hold({"GET", key});
  client.ask({"GET", key});
  rig.server.wait_for_held(1);
  rig.server.invalidate({key});
  client.ask({"GET", key});
  rig.server.wait_for_held(2);
  rig.server.let({"GET", key});
  rig.server.set(key, "v2");
  rig.server.answer(bulk("v1"));
  rig.server.answer(bulk("v2"));
  CHECK(client.read(2) == bulk("v1") + bulk("v2"));
  settle(client);
  // v1 was shown while the second was under way, so that one is not kept.
  CHECK(client.call({"GET", key}) == bulk("v2"));
  settle(client);
  CHECK(client.call({"GET", key}) == bulk("v2"));
  CHECK(rig.asked({"GET", key}) == 3);
}

TEST_CASE("near cache case 54: what is pipelined in one packet is answered in order") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  rig.server.set(rig.key("1"), "v1");
  std::string requests;
  std::string replies;
  for (int i = 0; i < 100; ++i) {
    requests += request({"GET", rig.key("1")}) + request({"GET", rig.key("none")}) +
                request({"GET", "plain"});
    replies += bulk("v1") + kNil + kNil;
  }
  client.send(requests);
  CHECK(client.read(300) == replies);
}

}  // namespace pannier::test
