#include "near_cache_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// Who is not served from memory, and how memory is told what to do: sessions with a connection of
// their own, strong listeners, PANNIER BYPASS, INVALIDATE and WARM, and MGET.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kA = "product:a";
constexpr const char* kB = "product:b";
constexpr const char* kC = "product:c";

}  // namespace

TEST_CASE("near cache: PANNIER BYPASS ON and OFF") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  rig.keep_old(client, "a");
  CHECK(client.call({"PANNIER", "BYPASS", "ON", "10m"}) == kOk);
  std::size_t reads = rig.asked({"GET", kA});
  for (int i = 0; i < 3; ++i) {
    CHECK(client.call({"GET", kA}) == bulk("v2"));
    CHECK(rig.asked({"GET", kA}) == ++reads);
  }
  CHECK(client.call({"PANNIER", "BYPASS", "OFF"}) == kOk);
  // What was shown meanwhile is not followed by what was kept before.
  CHECK(client.call({"GET", kA}) == bulk("v2"));
  rig.keep(client, "a");
}

TEST_CASE("near cache: what changes during a bypass is not served after it") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.foreign({"SET", kA, "v1"});
  rig.foreign({"SET", kB, "v1"});
  rig.keep(client, "a");
  rig.keep(client, "b");
  CHECK(client.call({"PANNIER", "BYPASS", "ON", "1h"}) == kOk);
  rig.foreign({"SET", kA, "v2"});
  CHECK(client.call({"SET", kB, "v2"}) == kOk);
  CHECK(client.call({"PANNIER", "BYPASS", "OFF"}) == kOk);
  CHECK(client.call({"GET", kA}) == bulk("v2"));
  CHECK(client.call({"GET", kB}) == bulk("v2"));
}

TEST_CASE("near cache: a bypass ends by itself, and nonsense is refused") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.foreign({"SET", kA, "v1"});
  for (const Words& words : {Words{"PANNIER", "BYPASS"},
                             Words{"PANNIER", "BYPASS", "ON"},
                             Words{"PANNIER", "BYPASS", "ON", "10"},
                             Words{"PANNIER", "BYPASS", "ON", "-1s"},
                             Words{"PANNIER", "BYPASS", "ON", "25h"},
                             Words{"PANNIER", "BYPASS", "MAYBE"}}) {
    CHECK(client.call(words).starts_with("-ERR"));
  }
  rig.keep(client, "a");
  CHECK(client.call({"PANNIER", "BYPASS", "ON", "300ms"}) == kOk);
  const auto from = std::chrono::steady_clock::now();
  std::size_t reads = rig.asked({"GET", kA});
  for (;;) {
    CHECK(client.call({"GET", kA}) == bulk("v1"));
    const std::size_t now = rig.asked({"GET", kA});
    if (now == reads) {
      CHECK(std::chrono::steady_clock::now() - from >= 299ms);
      break;
    }
    reads = now;
    settle(client);
    REQUIRE(std::chrono::steady_clock::now() - from < 10s);
  }
}

TEST_CASE("near cache: PANNIER INVALIDATE removes the keys and says how many replies") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  rig.keep_old(client, "a");
  CHECK(client.call({"STRLEN", kA}) == ":2\r\n");
  settle(client);
  CHECK(client.call({"PANNIER", "INVALIDATE", kA, "unknown"}) == ":2\r\n");
  CHECK(client.call({"GET", kA}) == bulk("v2"));
  CHECK(client.call({"PANNIER", "INVALIDATE", "unknown"}) == ":0\r\n");
  CHECK(client.call({"PANNIER", "INVALIDATE"}).starts_with("-ERR"));
}

TEST_CASE("near cache: PANNIER WARM reads keys of cached classes ahead") {
  CacheRig rig;
  RawClient client = rig.connect();
  rig.foreign({"MSET", kA, "1", kB, "2", kC, "3"});
  rig.keep(client, "c");
  CHECK(client.call({"PANNIER", "WARM", kA, kB, "no class"}) == ":2\r\n");
  REQUIRE(wait_until([&] { return rig.asked({"PTTL", kB}) == 1; }));
  REQUIRE(wait_until([&] { return rig.pannier.metric("pannier_near_cache_entries") == 3; }));
  CHECK(client.call({"GET", kA}) == bulk("1"));
  CHECK(client.call({"GET", kB}) == bulk("2"));
  CHECK(rig.asked({"GET", kA}) == 1);
  CHECK(rig.asked({"GET", kB}) == 1);
}

TEST_CASE("near cache: a strong listener is not served from memory and joins nobody") {
  CacheOptions options;
  options.listeners = {"{ address: \"unix:@DIR/strong.sock\", strong: true }"};
  ScriptedRig rig(Way::Broadcast, options);
  RawClient client = rig.connect();
  RawClient strong((rig.pannier.directory() / "strong.sock").string());
  rig.keep_old(client, "a");
  std::size_t reads = rig.asked({"GET", kA});
  for (int i = 0; i < 3; ++i) {
    CHECK(strong.call({"GET", kA}) == bulk("v2"));
    CHECK(rig.asked({"GET", kA}) == ++reads);
  }
  CHECK(client.call({"GET", kA}) == bulk("v2"));  // no older than what was shown here
  rig.server.hold({"GET", kB});
  client.ask({"GET", kB});
  rig.server.wait_for_held(1);
  strong.ask({"GET", kB});
  rig.server.wait_for_held(2);
  rig.server.answer(bulk("v1"));
  rig.server.answer(bulk("v2"));
  CHECK(client.read() == bulk("v1"));
  CHECK(strong.read() == bulk("v2"));
}

TEST_CASE("near cache: a session in MULTI, WATCH or TRACKING reads past memory") {
  CacheRig rig;
  RawClient client = rig.connect();
  RawClient own = rig.connect();
  rig.keep(client, "a", "v1");
  std::size_t reads = rig.asked({"GET", kA});
  CHECK(own.call({"WATCH", kA}) == kOk);
  CHECK(own.call({"GET", kA}) == bulk("v1"));
  CHECK(rig.asked({"GET", kA}) == ++reads);
  CHECK(own.call({"MULTI"}) == kOk);
  CHECK(own.call({"GET", kA}) == "+QUEUED\r\n");
  CHECK(own.call({"EXEC"}) == "*1\r\n" + bulk("v1"));
  reads = rig.asked({"GET", kA});
  rig.keep(client, "a");
  reads = rig.asked({"GET", kA});
  CHECK(own.call({"GET", kA}) == bulk("v1"));  // like everybody again
  CHECK(rig.asked({"GET", kA}) == reads);

  CHECK(own.call({"HELLO", "3"}).starts_with("%"));
  CHECK(own.call({"CLIENT", "TRACKING", "ON"}) == kOk);
  CHECK(own.call({"GET", kA}) == bulk("v1"));
  CHECK(rig.asked({"GET", kA}) == reads + 1);
  rig.foreign({"SET", kA, "v2"});
  CHECK(own.read() == ">2\r\n" + bulk("invalidate") + "*1\r\n" + bulk(kA));
  CHECK(own.call({"GET", kA}) == bulk("v2"));
  CHECK(client.call({"GET", kA}) == bulk("v2"));
}

TEST_CASE("near cache: what EXEC shows is not followed by an older value") {
  ScriptedRig rig;
  RawClient client = rig.connect();
  rig.keep_old(client, "a");
  rig.server.say({"MULTI"}, kOk);
  rig.server.say({"EXEC"}, "*1\r\n" + bulk("v2"));
  CHECK(client.call({"MULTI"}) == kOk);
  rig.server.say({"GET", kA}, "+QUEUED\r\n");
  CHECK(client.call({"GET", kA}) == "+QUEUED\r\n");
  CHECK(client.call({"EXEC"}) == "*1\r\n" + bulk("v2"));
  rig.server.let({"GET", kA});
  CHECK(client.call({"GET", kA}) == bulk("v2"));
}

TEST_CASE("near cache: MGET is answered from memory when all its keys are kept") {
  const Way way = GENERATE(Way::Broadcast, Way::PerKey, Way::Redirect);
  CAPTURE(to_string(way));
  CacheRig rig(way, with("ttl: 60s, jitter: 0%, mget: true, negative: 60s"));
  RawClient client = rig.connect();
  const std::string a = rig.key("a");
  const std::string b = rig.key("b");
  const std::string none = rig.key("none");
  rig.foreign({"MSET", a, "1", b, "2"});
  rig.keep(client, "a");
  CHECK(client.call({"MGET", a, b, none}) == "*3\r\n" + bulk("1") + bulk("2") + "$-1\r\n");
  CHECK(rig.asked({"MGET", a, b, none}) == 1);  // whole: not only what was missing
  settle(client);
  // Its elements are kept: nil too.
  CHECK(client.call({"MGET", b, a}) == "*2\r\n" + bulk("2") + bulk("1"));
  CHECK(client.call({"MGET", a, b, none}) == "*3\r\n" + bulk("1") + bulk("2") + "$-1\r\n");
  CHECK(client.call({"GET", b}) == bulk("2"));
  CHECK(client.call({"GET", none}) == "$-1\r\n");
  CHECK(rig.asked({"MGET"}) == 1);
  CHECK(rig.asked({"GET", b}) == 0);
  CHECK(rig.asked({"GET", none}) == 0);
  if (way != Way::Redirect) {
    RawClient modern = rig.connect();
    CHECK(modern.call({"HELLO", "3"}).starts_with("%"));
    CHECK(modern.call({"MGET", a, none}) == "*2\r\n" + bulk("1") + "_\r\n");
    CHECK(rig.asked({"MGET"}) == 1);
  }
  rig.foreign({"SET", none, "3"});
  CHECK(client.call({"MGET", a, b, none}) == "*3\r\n" + bulk("1") + bulk("2") + bulk("3"));
  CHECK(rig.asked({"MGET"}) == 2);
}

TEST_CASE("near cache: a key that an MGET names twice is kept as well") {
  CacheRig rig(Way::Broadcast, with("ttl: 60s, mget: true"));
  RawClient client = rig.connect();
  rig.foreign({"MSET", kA, "1", kB, "2"});
  rig.keep(client, "b");
  for (int i = 0; i < 2; ++i) {
    CHECK(client.call({"MGET", kA, kB, kA, kB}) ==
          "*4\r\n" + bulk("1") + bulk("2") + bulk("1") + bulk("2"));
    settle(client);
  }
  CHECK(rig.asked({"MGET"}) == 1);
}

TEST_CASE("near cache: what MGET cannot show of a key of another type is not kept as missing") {
  CacheRig rig(Way::Broadcast, with("ttl: 60s, mget: true, negative: 60s"));
  RawClient client = rig.connect();
  rig.keep(client, "other");
  rig.foreign({"LPUSH", kA, "1"});
  CHECK(client.call({"MGET", kA, kB}) == "*2\r\n$-1\r\n$-1\r\n");
  settle(client);
  CHECK(client.call({"GET", kA}).rfind("-WRONGTYPE", 0) == 0);
  CHECK(client.call({"GET", kB}) == "$-1\r\n");
  CHECK(rig.asked({"GET", kB}) == 0);
}

TEST_CASE("near cache: MGET goes upstream for other keys, other classes and without the option") {
  const bool option = GENERATE(false, true);
  CacheRig rig(Way::Broadcast, with(option ? "ttl: 60s, mget: true" : "ttl: 60s"));
  RawClient client = rig.connect();
  rig.foreign({"MSET", kA, "1", kB, "2", "plain", "3"});
  rig.keep(client, "a");
  rig.keep(client, "b");
  CHECK(client.call({"MGET", kA, "plain"}) == "*2\r\n" + bulk("1") + bulk("3"));
  CHECK(rig.asked({"MGET"}) == 1);
  rig.keep(client, "a");
  CHECK(client.call({"MGET", kA, kB, kA}) == "*3\r\n" + bulk("1") + bulk("2") + bulk("1"));
  CHECK(rig.asked({"MGET"}) == (option ? 1 : 2));
}

TEST_CASE("near cache: what MGET has shown is not followed by an older value, nor kept if doomed") {
  ScriptedRig rig(Way::Broadcast, with("ttl: 60s, mget: true"));
  RawClient client = rig.connect();
  rig.keep_old(client, "a");
  rig.server.say({"MGET", kA, kC}, "*2\r\n" + bulk("v2") + bulk("c"));
  CHECK(client.call({"MGET", kA, kC}) == "*2\r\n" + bulk("v2") + bulk("c"));
  CHECK(client.call({"GET", kA}) == bulk("v2"));
  // In one packet, too.
  rig.keep(client, "b", "v1");
  rig.server.set(kB, "v2");
  rig.server.say({"MGET", kB, "product:d"}, "*2\r\n" + bulk("v2") + bulk("d"));
  client.send(request({"MGET", kB, "product:d"}) + request({"GET", kB}));
  CHECK(client.read(2) == "*2\r\n" + bulk("v2") + bulk("d") + bulk("v2"));
  // A change between the request and its reply.
  rig.server.hold({"MGET", "product:e"});
  client.ask({"MGET", "product:e", "product:f"});
  rig.server.wait_for_held(1);
  rig.server.invalidate({"product:e"});
  rig.server.set("product:e", "new");
  rig.server.set("product:f", "f");
  rig.server.answer("*2\r\n" + bulk("old") + bulk("f"));
  CHECK(client.read() == "*2\r\n" + bulk("old") + bulk("f"));
  settle(client);
  CHECK(client.call({"GET", "product:e"}) == bulk("new"));
  CHECK(client.call({"GET", "product:f"}) == bulk("f"));
  CHECK(rig.asked({"GET", "product:f"}) == 0);
}

}  // namespace pannier::test
