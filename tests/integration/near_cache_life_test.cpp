#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

// How long a reply may be served: TTLs, what is stale, what is absent, what is no value
// (research/coherence.md §6, behaviour 5.4).
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kNil = "$-1\r\n";

// Reads the key once, then as long as memory answers; every answer must be `reply`. What is served
// must be so for less than `life`, and read anew not before it.
void check_life(ScriptedRig& rig, const std::string& key, std::chrono::milliseconds life) {
  RawClient client = rig.connect();
  const std::size_t before = rig.asked({"GET", key});
  const auto first = Clock::now();
  const std::string reply = client.call({"GET", key});
  const auto answered = Clock::now();
  settle(client);
  std::size_t hits = 0;
  for (;;) {
    const auto sent = Clock::now();
    REQUIRE(client.call({"GET", key}) == reply);
    if (rig.asked({"GET", key}) > before + 1) {
      CHECK(Clock::now() - first >= life - 1ms);
      break;
    }
    ++hits;
    REQUIRE(sent - answered < life + 2ms);  // kept times are whole milliseconds
  }
  CHECK(hits > 0);
}

}  // namespace

TEST_CASE("near cache case 40: the key's own TTL bounds what is kept, without any push") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const auto life = GENERATE(150ms, 400ms);
  CAPTURE(to_string(way));
  ScriptedRig rig(way);
  rig.server.set(rig.key("1"), "v1");
  rig.server.set_pttl(":" + std::to_string(life.count()) + "\r\n");
  check_life(rig, rig.key("1"), life);
}

TEST_CASE("near cache case 40: on a real server, whose key expires between two looks") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way);
  RawClient client = rig.connect();
  rig.keep(client, "other", "o");
  for (int i = 0; i < 10; ++i) {
    const auto before = Clock::now();
    rig.foreign({"SET", rig.key("1"), "v1", "PX", "100"});
    const auto after = Clock::now();
    std::string reply;
    while ((reply = client.call({"GET", rig.key("1")})) == bulk("v1")) {
      REQUIRE(Clock::now() - after < 10s);
    }
    CHECK(reply == kNil);
    CHECK(Clock::now() - before >= 99ms);
  }
}

TEST_CASE("near cache case 41: PTTL -2, 0 and an error keep nothing, -1 is the class's own life") {
  const std::string cache = GENERATE(
      as<std::string>{}, "ttl: 300ms, jitter: 0%", "ttl: 300ms, jitter: 0%, negative: 200ms");
  CAPTURE(cache);
  ScriptedRig rig(Way::Broadcast, with(cache));
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  RawClient client = rig.connect();
  std::size_t reads = 0;
  for (const char* ttl : {":-2\r\n", ":0\r\n", "-ERR no\r\n"}) {
    CAPTURE(ttl);
    rig.server.set_pttl(ttl);
    for (int i = 0; i < 3; ++i) {
      CHECK(client.call({"GET", key}) == bulk("v1"));
      settle(client);
      CHECK(rig.asked({"GET", key}) == ++reads);
    }
  }
  rig.server.set_pttl(":-1\r\n");
  check_life(rig, key, 300ms);
}

TEST_CASE("near cache: a life is shortened by jitter, never lengthened") {
  ScriptedRig rig(Way::Broadcast, with("ttl: 400ms, jitter: 50%"));
  RawClient client = rig.connect();
  for (int i = 0; i < 20; ++i) {
    rig.server.set(rig.key(std::to_string(i)), "v");
    static_cast<void>(client.call({"GET", rig.key(std::to_string(i))}));
  }
  settle(client);
  const auto answered = Clock::now();
  // All are read a second time, and not all at once.
  std::vector<Clock::duration> lives;
  while (lives.size() < 20) {
    for (int i = 0; i < 20; ++i) {
      const std::string key = rig.key(std::to_string(i));
      if (rig.asked({"GET", key}) == 1) {
        static_cast<void>(client.call({"GET", key}));
        if (rig.asked({"GET", key}) == 2) {
          lives.push_back(Clock::now() - answered);
        }
      }
    }
    REQUIRE(Clock::now() - answered < 10s);
  }
  CHECK(rig.pannier.metric("pannier_near_cache_hits_total{class=\"product\"}") > 0);
}

TEST_CASE("near cache case 45: what is stale is served while it is read anew, and read anew once") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const bool invalidated = GENERATE(false, true);
  CAPTURE(to_string(way), invalidated);
  ScriptedRig rig(way, with("ttl: 200ms, jitter: 0%, stale_while_revalidate: 60s"));
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  CHECK(client.call({"GET", key}) == bulk("v1"));
  settle(client);
  rig.server.hold({"GET", key});
  REQUIRE(wait_until([&] {
    CHECK(client.call({"GET", key}) == bulk("v1"));
    return rig.asked({"GET", key}) == 2;
  }));
  for (int i = 0; i < 50; ++i) {
    CHECK(client.call({"GET", key}) == bulk("v1"));
    CHECK(other.call({"GET", key}) == bulk("v1"));
  }
  CHECK(rig.server.wait_for_held(1).size() == 1);
  if (invalidated) {
    rig.server.set(key, "v2");
    rig.server.invalidate({key});
    client.ask({"GET", key});  // v1 is never served again
    REQUIRE(rig.server.wait_for_held(2).size() == 2);
    rig.server.let({"GET", key});
    rig.server.answer(bulk("v1"));  // nor is it kept
    rig.server.answer(bulk("v2"));
    CHECK(client.read() == bulk("v2"));
    settle(client);
    CHECK(other.call({"GET", key}) == bulk("v2"));
  } else {
    rig.server.let({"GET", key});
    rig.server.answer(bulk("v2"));
    REQUIRE(wait_until([&] { return client.call({"GET", key}) == bulk("v2"); }));
  }
}

TEST_CASE("near cache: stale_while_revalidate ends") {
  ScriptedRig rig(Way::Broadcast, with("ttl: 100ms, jitter: 0%, stale_while_revalidate: 300ms"));
  RawClient client = rig.connect();
  RawClient probe = rig.connect();
  rig.server.set(rig.key("1"), "v1");
  CHECK(client.call({"GET", rig.key("1")}) == bulk("v1"));
  const auto answered = Clock::now();
  settle(client);
  rig.server.hold({"GET", rig.key("1")});
  for (;;) {
    const auto sent = Clock::now();
    client.ask({"GET", rig.key("1")});
    if (!client.has_input(50ms) && Clock::now() - sent > 40ms) {
      break;  // it waits for the server
    }
    CHECK(client.read() == bulk("v1"));
    REQUIRE(sent - answered < 402ms);
  }
  rig.server.answer_all();
  CHECK(client.read() == bulk("v1"));
}

TEST_CASE("near cache: what a refresh has disproved is not served on, though it is not kept") {
  ScriptedRig rig(Way::Broadcast,
                  with("ttl: 50ms, jitter: 0%, stale_while_revalidate: 10m, "
                       "max_value: 1KiB"));
  RawClient client = rig.connect();
  const std::string large(4096, 'x');
  rig.server.set(rig.key("1"), "v1");
  CHECK(client.call({"GET", rig.key("1")}) == bulk("v1"));
  settle(client);
  rig.server.set(rig.key("1"), large);
  CHECK(wait_until([&] { return client.call({"GET", rig.key("1")}) == bulk(large); }));
}

TEST_CASE("near cache: refresh_ahead reads anew once, before the end, while memory answers") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way, with("ttl: 20s, jitter: 0%, refresh_ahead: 1%"));
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  CHECK(client.call({"GET", key}) == bulk("v1"));
  settle(client);
  rig.server.hold({"GET", key});
  REQUIRE(wait_until([&] {
    CHECK(client.call({"GET", key}) == bulk("v1"));
    return rig.asked({"GET", key}) == 2;
  }));
  for (int i = 0; i < 100; ++i) {
    CHECK(other.call({"GET", key}) == bulk("v1"));
  }
  CHECK(rig.asked({"GET", key}) == 2);
  rig.server.answer(bulk("v2"));
  REQUIRE(wait_until([&] { return client.call({"GET", key}) == bulk("v2"); }));
  CHECK(rig.asked({"GET", key}) == 2);
  CHECK(rig.pannier.metric("pannier_near_cache_refreshes_total{class=\"product\"}") == 1);
}

TEST_CASE(
    "near cache case 46: upstream is dead: what is stale is served, what was changed is not") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way, with("ttl: 300ms, jitter: 0%, stale_if_error: 60s"));
  RawClient client = rig.connect();
  const std::string kept = rig.key("kept");
  const std::string changed = rig.key("changed");
  const std::string written = rig.key("written");
  for (const std::string& key : {kept, changed, written}) {
    rig.foreign({"SET", key, "v1"});
  }
  rig.keep(client, "kept");
  rig.keep(client, "changed");
  rig.keep(client, "written");
  rig.foreign({"SET", changed, "v2"});
  CHECK(client.call({"SET", written, "v2"}) == "+OK\r\n");
  // Past its time it is read from upstream while that answers.
  const std::size_t reads = rig.asked({"GET", kept});
  REQUIRE(wait_until([&] {
    CHECK(client.call({"GET", kept}) == bulk("v1"));
    return rig.asked({"GET", kept}) > reads;
  }));
  settle(client);
  rig.server.kill();
  const auto end = Clock::now() + 600ms;  // until its time has passed for long
  while (Clock::now() < end) {
    REQUIRE(client.call({"GET", kept}) == bulk("v1"));
    REQUIRE(client.call({"GET", changed}).starts_with("-UPSTREAM"));
    REQUIRE(client.call({"GET", written}).starts_with("-UPSTREAM"));
    REQUIRE(client.call({"STRLEN", kept}).starts_with("-UPSTREAM"));
  }
  CHECK(rig.pannier.metric_sum("pannier_near_cache_stale_hits_total", "kind=\"error\"") > 0);
  // The server comes back, empty: nothing of before is served.
  rig.server.restart();
  REQUIRE(wait_until([&] { return client.call({"GET", changed}) == kNil; }));
  REQUIRE(wait_until([&] { return client.call({"GET", kept}) == kNil; }));
}

TEST_CASE("near cache case 46: stale_if_error ends, and without it there is none") {
  CacheRig rig(Way::Broadcast, with("ttl: 100ms, jitter: 0%, stale_if_error: 1s"));
  RawClient client = rig.connect();
  rig.keep(client, "1", "v1");
  const auto read = Clock::now();
  rig.server.kill();
  REQUIRE(wait_until([&] { return client.call({"GET", rig.key("1")}).starts_with("-UPSTREAM"); }));
  // Counted from its own end, or from when coherence was last proven: up to 1.5 s before the death.
  CHECK(Clock::now() - read < 5s);
}

TEST_CASE("near cache case 47: what is absent is kept as such, and a foreign SET is heard") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way, with("ttl: 60s, jitter: 0%, negative: 60s"));
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.keep(client, "1");
  const std::size_t reads = rig.asked({"GET", key});
  CHECK(client.call({"GET", key}) == kNil);
  CHECK(rig.asked({"GET", key}) == reads);
  if (way != Way::Redirect) {
    RawClient modern = rig.connect();
    CHECK(modern.call({"HELLO", "3"}).starts_with("%"));
    CHECK(modern.call({"GET", key}) == "_\r\n");
    CHECK(rig.asked({"GET", key}) == reads);
  }
  rig.foreign({"SET", key, "v1"});
  CHECK(client.call({"GET", key}) == bulk("v1"));
  CHECK(rig.asked({"GET", key}) == reads + 1);
  rig.foreign({"DEL", key});
  CHECK(client.call({"GET", key}) == kNil);
}

TEST_CASE("near cache case 47: without `negative` what is absent is read every time") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.keep(client, "other", "o");
  for (std::size_t i = 1; i <= 5; ++i) {
    CHECK(client.call({"GET", rig.key("1")}) == kNil);
    CHECK(rig.asked({"GET", rig.key("1")}) == i);
    CHECK(client.call({"HGETALL", rig.key("1")}) == "*0\r\n");
    CHECK(rig.asked({"HGETALL", rig.key("1")}) == i);
  }
}

TEST_CASE("near cache case 48: error replies are passed on and not kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  ScriptedRig rig(way, with("ttl: 60s, jitter: 0%, negative: 60s"));
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  std::size_t reads = 0;
  for (const char* error : {"-WRONGTYPE Operation against a key\r\n",
                            "-MOVED 3999 127.0.0.1:6381\r\n",
                            "-OOM command not allowed\r\n"}) {
    rig.server.say({"GET", key}, error);
    for (int i = 0; i < 2; ++i) {
      CHECK(client.call({"GET", key}) == error);
      settle(client);
      CHECK(rig.asked({"GET", key}) == ++reads);
    }
    rig.server.let({"GET", key});
  }
  CHECK(client.call({"GET", key}) == bulk("v1"));
}

TEST_CASE("near cache case 48: a refusal is asked again, and only the value is kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  const std::string error = GENERATE(as<std::string>{},
                                     "-LOADING Redis is loading the dataset in memory\r\n",
                                     "-CLUSTERDOWN The cluster is down\r\n");
  CAPTURE(to_string(way), error);
  ScriptedRig rig(way, with("ttl: 60s, jitter: 0%, negative: 60s"));
  RawClient client = rig.connect();
  const std::string key = rig.key("1");
  rig.server.set(key, "v1");
  rig.server.say({"GET", key}, error);
  client.ask({"GET", key});
  REQUIRE(wait_until([&] { return rig.asked({"GET", key}) >= 2; }));
  rig.server.let({"GET", key});
  CHECK(client.read() == bulk("v1"));
  CHECK(client.call({"GET", key}) == bulk("v1"));
}

TEST_CASE("near cache: replies over max_value are not kept, others are") {
  CacheRig rig(Way::Broadcast, with("ttl: 60s, max_value: 1KiB"));
  RawClient client = rig.connect();
  rig.foreign({"SET", rig.key("fits"), std::string(1024, 'x')});
  rig.foreign({"SET", rig.key("large"), std::string(1200, 'x')});
  rig.foreign({"SET", rig.key("huge"), std::string(1024UL * 1024, 'x')});
  rig.keep(client, "fits");
  for (std::size_t i = 1; i <= 3; ++i) {
    CHECK(client.call({"GET", rig.key("large")}) == bulk(std::string(1200, 'x')));
    CHECK(rig.asked({"GET", rig.key("large")}) == i);
    CHECK((client.call({"GET", rig.key("huge")}) == bulk(std::string(1024UL * 1024, 'x'))));
    CHECK(rig.asked({"GET", rig.key("huge")}) == i);
  }
}

}  // namespace pannier::test
