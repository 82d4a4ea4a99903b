#include "pannier/policy/ttl_plan.hpp"

#include "ttl_rig.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What TTL rules do beside giving TTLs: transactions that fail, large requests, refusals, classes
// that are never stored, sliding, observing.
namespace pannier::test {
namespace {

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kQueued = "+QUEUED\r\n";

double applied(const TtlRig& rig, std::string_view name, std::string_view action) {
  return rig.pannier.metric("pannier_ttl_applied_total{class=\"" + std::string(name) +
                            "\",action=\"" + std::string(action) + "\"}");
}

double observed(const TtlRig& rig, std::string_view name, std::string_view action) {
  return rig.pannier.metric("pannier_ttl_observed_total{class=\"" + std::string(name) +
                            "\",action=\"" + std::string(action) + "\"}");
}

}  // namespace

TEST_CASE("ttl: EXEC with error elements, a conflict and a syntax error") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  SECTION("an element fails") {
    const std::string requests =
        request({"MULTI"}) + request({"SET", "all:s", "v"}) + request({"LPUSH", "all:s", "x"}) +
        request({"HSET", "all:h", "f", "v"}) + request({"SETNX", "all:s", "w"}) +
        request({"SETNX", "all:n", "w"}) + request({"HGETALL", "all:h"}) + request({"EXEC"});
    client.send(requests);
    rig.twin_client.send(requests);
    CHECK(client.read(8) == rig.twin_client.read(8));
    for (const char* key : {"all:s", "all:h", "all:n"}) {
      check_ttl(rig.direct.call_integer({"PTTL", key}), kDefault);
    }
  }
  SECTION("somebody else writes what is watched") {
    CHECK(client.call({"WATCH", "all:w"}) == kOk);
    CHECK(rig.direct.call({"SET", "all:w", "theirs"}) == kOk);
    client.send(request({"MULTI"}) + request({"HSET", "all:h", "f", "v"}) + request({"EXEC"}));
    CHECK(client.read(3) == std::string(kOk) + kQueued + "*-1\r\n");
    CHECK(client.call({"GET", "all:w"}) == bulk("theirs"));
    CHECK(client.call({"EXISTS", "all:h"}) == ":0\r\n");
  }
  SECTION("its own stores are no conflict") {
    CHECK(client.call({"HSETNX", "all:h", "f", "v"}) == ":1\r\n");
    CHECK(client.call({"WATCH", "all:h"}) == kOk);
    CHECK(client.call({"HGET", "all:h", "f"}) == bulk("v"));
    client.send(request({"MULTI"}) + request({"HSET", "all:h", "f", "w"}) + request({"EXEC"}));
    CHECK(client.read(3) == std::string(kOk) + kQueued + "*1\r\n:0\r\n");
  }
  SECTION("a command is refused by the server") {
    client.send(request({"MULTI"}) + request({"HSET", "all:h", "f", "v"}) +
                request({"HSET", "all:h"}) + request({"EXEC"}));
    const std::string replies = client.read(4);
    CHECK(replies.starts_with(std::string(kOk) + kQueued + "-ERR wrong number"));
    CHECK(replies.find("-EXECABORT") != std::string::npos);
    CHECK(client.call({"EXISTS", "all:h"}) == ":0\r\n");
  }
  SECTION("DISCARD, then another transaction") {
    client.send(request({"MULTI"}) + request({"HSET", "all:h", "f", "v"}) + request({"DISCARD"}) +
                request({"MULTI"}) + request({"INCR", "all:i"}) + request({"EXEC"}));
    CHECK(client.read(6) == std::string(kOk) + kQueued + kOk + kOk + kQueued + "*1\r\n:1\r\n");
  }
  SECTION("transactions behind each other, with a database between") {
    client.send(request({"MULTI"}) + request({"INCR", "all:i"}) + request({"EXEC"}) +
                request({"MULTI"}) + request({"SELECT", "1"}) + request({"INCR", "all:i"}) +
                request({"EXEC"}) + request({"INCR", "all:i"}));
    CHECK(client.read(8) == std::string(kOk) + kQueued + "*1\r\n:1\r\n" + kOk + kQueued + kQueued +
                                "*2\r\n+OK\r\n:1\r\n:2\r\n");
  }
}

TEST_CASE("ttl: what a connection is given behind its requests does not cost it") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  CHECK(client.call({"MULTI"}) == kOk);
  CHECK(client.call({"INCR", "all:i"}) == kQueued);
  CHECK(client.call({"EXEC"}) == "*1\r\n:1\r\n");
  const std::string before = rig.server.info("total_connections_received");
  for (int i = 0; i < 20; ++i) {
    client.send(request({"MULTI"}) + request({"INCR", "all:i"}) + request({"EXEC"}));
    static_cast<void>(client.read(3));
    CHECK(client.call({"BLMOVE", "free:l", "all:l", "LEFT", "LEFT", "0.01"}) == "*-1\r\n");
  }
  const long long opened =
      std::stoll(rig.server.info("total_connections_received")) - std::stoll(before);
  CHECK(opened < 10);  // INFO itself opens some
}

TEST_CASE("ttl: large requests") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  const std::string large(300'000, 'x');

  struct Case {
    Words words;
    long long seconds;
  };

  const std::vector<Case> cases{{{"SET", "all:l", large}, kDefault},
                                {{"SET", "all:l", large, "EX", "50"}, 50},
                                {{"SET", "all:l", large, "EX", "500"}, kMax},
                                {{"SETEX", "all:l", "500", large}, kMax},
                                {{"SETNX", "all:l", large}, kDefault},
                                {{"GETSET", "all:l", large}, kDefault},
                                {{"APPEND", "all:l", large}, kDefault},
                                {{"MSET", "all:l", large}, kDefault}};
  for (const bool in_multi : {false, true}) {
    for (const Case& each : cases) {
      CAPTURE(each.words[0], each.words.size(), in_multi);
      rig.both({"DEL", "all:l"});
      std::string requests = request(each.words) + request({"STRLEN", "all:l"});
      if (in_multi) {
        requests = request({"MULTI"}) + requests + request({"EXEC"});
      }
      client.send(requests);
      rig.twin_client.send(requests);
      const std::size_t frames = in_multi ? 4 : 2;
      CHECK(client.read(frames) == rig.twin_client.read(frames));
      check_ttl(client.call_integer({"PTTL", "all:l"}), each.seconds);
    }
  }
  static_cast<void>(rig.direct.call({"PERSIST", "all:l"}));
  CHECK(client.call({"SETNX", "all:l", large}) == ":0\r\n");
  CHECK(client.call({"SET", "all:l", large, "NX"}) == "$-1\r\n");
  CHECK(client.call({"PTTL", "all:l"}) == ":-1\r\n");
}

TEST_CASE("ttl: require, and scripts that are denied") {
  TtlRig rig(
      "  - { name: must, keys: [\"must:*\"], ttl: { require: true } }\n"
      "  - { name: plain, keys: [\"plain:*\"], scripts: deny }\n");
  RawClient client = rig.connect();
  CHECK(client.call({"SET", "must:k", "v"}).starts_with("-NOTSTORED [pannier class=must]"));
  CHECK(client.call({"SET", "must:k", "v", "EX", "9"}) == kOk);
  CHECK(client.call({"HSET", "must:h", "f", "v"}) == ":1\r\n");
  CHECK(client.call({"INCR", "must:i"}) == ":1\r\n");
  const std::string large(100'000, 'x');
  CHECK(client.call({"SET", "must:k", large}).starts_with("-NOTSTORED [pannier class=must]"));
  CHECK(client.call({"STRLEN", "must:k"}) == ":1\r\n");
  CHECK(client.call({"EVAL", "return 1", "1", "plain:k"})
            .starts_with("-NOPERM [pannier class=plain]"));
  CHECK(client.call({"EVAL", "return 1", "1", "other:k"}) == ":1\r\n");
  client.send(request({"MULTI"}) + request({"SET", "must:z", "v"}) +
              request({"SET", "free:z", "v"}) + request({"EXEC"}));
  CHECK(client.read() == kOk);
  CHECK(client.read().starts_with("-NOTSTORED"));
  CHECK(client.read() == kQueued);
  CHECK(client.read().starts_with("-EXECABORT"));
  CHECK(client.call({"EXISTS", "free:z"}) == ":0\r\n");
  CHECK(applied(rig, "must", "required") == 3);
  CHECK(applied(rig, "plain", "script") == 1);
}

TEST_CASE("ttl: store never") {
  TtlRig rig(
      "  - { name: live, keys: [\"live:*\"], store: never, mode: enforce }\n"
      "  - { name: said, keys: [\"said:*\"], store: never }\n");
  const std::vector<Words> writes{{"SET", "live:k", "v"},
                                  {"HSET", "live:k", "f", "v"},
                                  {"INCR", "live:k"},
                                  {"MSET", "free:k", "v", "live:k", "v"},
                                  {"RENAME", "free:k", "live:k"}};
  const std::vector<Words> passes{
      {"DEL", "live:k"}, {"UNLINK", "live:k"}, {"EXPIRE", "live:k", "5"}};
  const std::vector<Words> reads{
      {"GET", "live:k"},
      {"MGET", "live:k", "live:l"},
      {"STRLEN", "live:k"},
      {"GETRANGE", "live:k", "0", "-1"},
      {"GETRANGE", "live:k", "a", "b"},
      {"EXISTS", "live:k", "live:l"},
      {"TYPE", "live:k"},
      {"TTL", "live:k"},
      {"PTTL", "live:k"},
      {"EXPIRETIME", "live:k"},
      {"GETBIT", "live:k", "7"},
      {"BITCOUNT", "live:k"},
      {"BITPOS", "live:k", "1"},
      {"BITPOS", "live:k", "0"},
      {"BITFIELD_RO", "live:k", "GET", "u8", "0"},
      {"DUMP", "live:k"},
      {"OBJECT", "ENCODING", "live:k"},
      {"MEMORY", "USAGE", "live:k"},
      {"TOUCH", "live:k"},
      {"HGET", "live:k", "f"},
      {"HMGET", "live:k", "f", "g"},
      {"HGETALL", "live:k"},
      {"HKEYS", "live:k"},
      {"HVALS", "live:k"},
      {"HLEN", "live:k"},
      {"HEXISTS", "live:k", "f"},
      {"HSTRLEN", "live:k", "f"},
      {"HRANDFIELD", "live:k"},
      {"HRANDFIELD", "live:k", "2"},
      {"HSCAN", "live:k", "0"},
      {"LRANGE", "live:k", "0", "-1"},
      {"LLEN", "live:k"},
      {"LINDEX", "live:k", "0"},
      {"LPOS", "live:k", "a"},
      {"LPOS", "live:k", "a", "COUNT", "2"},
      {"SMEMBERS", "live:k"},
      {"SISMEMBER", "live:k", "a"},
      {"SMISMEMBER", "live:k", "a", "b"},
      {"SCARD", "live:k"},
      {"SRANDMEMBER", "live:k"},
      {"SRANDMEMBER", "live:k", "2"},
      {"SSCAN", "live:k", "0"},
      {"SINTER", "live:k", "live:l"},
      {"SUNION", "live:k", "live:l"},
      {"SDIFF", "live:k", "live:l"},
      {"ZRANGE", "live:k", "0", "-1", "WITHSCORES"},
      {"ZREVRANGE", "live:k", "0", "-1"},
      {"ZRANGEBYSCORE", "live:k", "-inf", "+inf"},
      {"ZRANGEBYLEX", "live:k", "-", "+"},
      {"ZSCORE", "live:k", "a"},
      {"ZMSCORE", "live:k", "a", "b"},
      {"ZRANK", "live:k", "a"},
      {"ZREVRANK", "live:k", "a"},
      {"ZCARD", "live:k"},
      {"ZCOUNT", "live:k", "0", "1"},
      {"ZLEXCOUNT", "live:k", "-", "+"},
      {"ZRANDMEMBER", "live:k"},
      {"ZRANDMEMBER", "live:k", "2"},
      {"ZSCAN", "live:k", "0"},
      {"GEOPOS", "live:k", "a", "b"},
      {"GEOHASH", "live:k", "a", "b"},
      {"GEODIST", "live:k", "a", "b"},
      {"GEOSEARCH", "live:k", "FROMLONLAT", "1", "1", "BYRADIUS", "1", "m"},
      {"GEORADIUS_RO", "live:k", "1", "1", "1", "m"},
      {"PFCOUNT", "live:k"},
      {"SORT_RO", "live:k"},
      {"XLEN", "live:k"},
      {"XRANGE", "live:k", "-", "+"},
      {"XREVRANGE", "live:k", "+", "-"}};
  RawClient client = rig.connect();
  for (const char* version : {"2", "3"}) {
    static_cast<void>(client.call({"HELLO", version}));
    static_cast<void>(rig.twin_client.call({"HELLO", version}));
    for (const Words& words : reads) {
      CAPTURE(version, words[0], words[1]);
      CHECK(client.call(words) == rig.twin_client.call(words));
    }
  }
  CHECK(applied(rig, "live", "not_read") >= 2.0 * static_cast<double>(reads.size()) - 6);
  rig.both({"SET", "live:k", "v"});  // it is there, whoever brought it
  CHECK(client.call({"GET", "live:k"}) == "_\r\n");
  for (const Words& words : writes) {
    CAPTURE(words[0]);
    CHECK(client.call(words).starts_with("-NOTSTORED [pannier class=live]"));
  }
  client.send(request({"MULTI"}) + request({"GET", "live:k"}) + request({"EXEC"}));
  CHECK(client.read(3) == std::string(kOk) + kQueued + "*1\r\n" + bulk("v"));
  for (const Words& words : passes) {
    CAPTURE(words[0]);
    CHECK(client.call(words) == rig.twin_client.call(words));
  }
  CHECK(client.call({"SET", "said:k", "v"}) == kOk);
  CHECK(client.call({"GET", "said:k"}) == bulk("v"));
  CHECK(observed(rig, "said", "not_stored") == 1);
  CHECK(rig.pannier.log().find("counts in it with incr") != std::string::npos);
}

TEST_CASE("ttl: observing changes nothing and counts what enforcing does") {
  const std::vector<Words> commands{{"SET", "all:a", "v"},
                                    {"SET", "all:b", "v", "EX", "5"},
                                    {"SETEX", "all:c", "500", "v"},
                                    {"HSET", "all:h", "f", "v"},
                                    {"SETNX", "all:n", "v"},
                                    {"EXPIRE", "all:h", "500"},
                                    {"PERSIST", "all:h"}};
  TtlRig watched(kAllClass, "observe");
  TtlRig strict(kAllClass);
  RawClient client = watched.connect();
  RawClient other = strict.connect();
  for (const Words& words : commands) {
    CAPTURE(words[0]);
    CHECK(client.call(words) == watched.twin_client.call(words));
    static_cast<void>(other.call(words));
    const long long pttl = watched.twin_client.call_integer({"PTTL", words[1]});
    check_ttl(client.call_integer({"PTTL", words[1]}), pttl < 0 ? pttl : (pttl + 999) / 1000);
  }
  for (const char* action : {"default", "raised", "shortened"}) {
    CAPTURE(action);
    CHECK(observed(watched, "all", action) > 0);
    CHECK(observed(watched, "all", action) == applied(strict, "all", action));
    CHECK(applied(watched, "all", action) == 0);
  }
}

TEST_CASE("ttl: reads renew a sliding TTL in its second half") {
  TtlRig rig("  - { name: s, keys: [\"s:*\"], ttl: { default: 2s, sliding: true } }\n");
  CommandWatch watch(rig.server);
  RawClient client = rig.connect();
  const auto pttl = [&](const char* key) {
    return rig.direct.call_integer({"PTTL", key});
  };
  const auto wait_below = [&](const char* key, long long ms) {
    CHECK(wait_until([&] { return pttl(key) < ms; }));
  };
  SECTION("not before, then once") {
    CHECK(client.call({"SET", "s:k", "v"}) == kOk);
    for (int i = 0; i < 20; ++i) {
      CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    }
    CHECK(watch.count({"EVAL"}) == 0);
    wait_below("s:k", 950);
    for (int i = 0; i < 20; ++i) {
      CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    }
    CHECK(pttl("s:k") > 1500);
    CHECK(watch.count({"EVAL"}) == 1);
    CHECK(applied(rig, "s", "renewed") == 1);
  }
  SECTION("a key that another has stored") {
    static_cast<void>(rig.direct.call({"HSET", "s:h", "f", "v"}));
    static_cast<void>(rig.direct.call({"PEXPIRE", "s:h", "900"}));
    CHECK(client.call({"HGETALL", "s:h"}) == "*2\r\n" + bulk("f") + bulk("v"));
    CHECK(wait_until([&] { return pttl("s:h") > 1500; }));
  }
  SECTION("what a client has shortened stays so") {
    CHECK(client.call({"SET", "s:k", "v"}) == kOk);
    CHECK(client.call({"PEXPIRE", "s:k", "700"}) == ":1\r\n");
    CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    CHECK(client.call({"SET", "s:e", "v", "PX", "600"}) == kOk);
    CHECK(client.call({"GET", "s:e"}) == bulk("v"));
    wait_below("s:k", 0);
    CHECK(watch.count({"EVAL"}) == 0);
  }
  SECTION("a TTL that was asked for in vain ends nothing") {
    CHECK(client.call({"SET", "s:k", "v"}) == kOk);
    CHECK(client.call({"SET", "s:k", "v", "NX", "EX", "60"}) == "$-1\r\n");
    CHECK(client.call({"EXPIRE", "s:k", "60", "NX"}) == ":0\r\n");
    wait_below("s:k", 950);
    CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    CHECK(wait_until([&] { return pttl("s:k") > 1500; }));
  }
  SECTION("a condition that held ends it") {
    CHECK(client.call({"SET", "s:k", "v"}) == kOk);
    CHECK(client.call({"PEXPIRE", "s:k", "900", "LT"}) == ":1\r\n");
    CHECK(client.call({"SET", "s:e", "v", "NX", "PX", "900"}) == kOk);
    CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    CHECK(client.call({"GET", "s:e"}) == bulk("v"));
    wait_below("s:e", 0);
    CHECK(watch.count({"EVAL"}) == 0);
  }
  SECTION("what somebody else has shortened stays so") {
    CHECK(client.call({"SET", "s:k", "v"}) == kOk);
    wait_below("s:k", 950);
    static_cast<void>(rig.direct.call({"PEXPIRE", "s:k", "300"}));
    CHECK(client.call({"GET", "s:k"}) == bulk("v"));
    wait_below("s:k", 0);
    CHECK(watch.count({"EVAL"}) == 1);
  }
  SECTION("nothing revives what is gone, or gives a TTL to what has none") {
    CHECK(client.call({"GET", "s:none"}) == "$-1\r\n");
    static_cast<void>(rig.direct.call({"SET", "s:p", "v"}));
    CHECK(client.call({"GET", "s:p"}) == bulk("v"));
    CHECK(wait_until([&] { return watch.count({"EVAL"}) == 2; }));
    CHECK(pttl("s:p") == -1);
    CHECK(pttl("s:none") == -2);
  }
  SECTION("a watched key is left alone") {
    static_cast<void>(rig.direct.call({"SET", "s:w", "v", "PX", "900"}));
    CHECK(client.call({"WATCH", "s:w"}) == kOk);
    CHECK(client.call({"GET", "s:w"}) == bulk("v"));
    client.send(request({"MULTI"}) + request({"GET", "s:w"}) + request({"EXEC"}));
    CHECK(client.read(3) == std::string(kOk) + kQueued + "*1\r\n" + bulk("v"));
  }
}

TEST_CASE("ttl: the script for old servers does what PEXPIRE does") {
  RedisServer server;
  RawClient client(server.port());
  for (const char* word : {"NX", "LT", "XX"}) {
    for (const char* state : {"-2", "-1", "20000", "900000"}) {
      CAPTURE(word, state);
      std::vector<std::pair<std::string, long long>> seen;
      for (const bool by_script : {false, true}) {
        static_cast<void>(client.call({"DEL", "k"}));
        if (std::string_view(state) != "-2") {
          static_cast<void>(client.call({"SET", "k", "v"}));
          static_cast<void>(client.call({"PEXPIRE", "k", state, "GT"}));
        }
        if (state[0] != '-') {
          static_cast<void>(client.call({"PEXPIRE", "k", state}));
        }
        const std::string reply =
            by_script ? client.call({"EVAL", policy::kExpireScript, "1", "k", "100000", word})
                      : client.call({"PEXPIRE", "k", "100000", word});
        const long long pttl = client.call_integer({"PTTL", "k"});
        seen.emplace_back(reply, pttl < 0 ? pttl : (pttl + 5000) / 10000);
      }
      CHECK(seen[0] == seen[1]);
    }
  }
}

TEST_CASE("ttl: an addition that the server refuses is counted, and fails a transaction") {
  const RedisServer server({"--rename-command", "PEXPIRE", ""});
  const PannierProcess pannier(
      {upstream_of({server.address()}, TtlRig::kPatient), {}, {}, policy_of(kAllClass)});
  RawClient client(pannier.port());
  CHECK(client.call({"INCR", "all:a"}) == ":1\r\n");
  CHECK(wait_until([&] { return pannier.metric_sum("pannier_ttl_unapplied_total") > 0; }));
  CHECK(client.call({"MULTI"}) == "+OK\r\n");
  CHECK(client.call({"INCR", "all:a"}) == "+QUEUED\r\n");
  CHECK(client.call({"EXEC"}).starts_with("-EXECABORT"));
  CHECK(client.call({"GET", "all:a"}) == bulk("1"));
}

TEST_CASE("ttl: a connection that is lost between a store and its TTL") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  CHECK(client.call({"INCR", "all:warm"}) == ":1\r\n");
  rig.server.freeze();
  client.ask({"HSETNX", "all:h", "f", "v"});
  client.ask({"INCR", "all:i"});
  CHECK(wait_until(  // both are on their way
      [&] { return rig.pannier.metric_sum("pannier_commands_total", "cmd=\"incr\"") == 2; }));
  rig.server.kill();
  CHECK(client.read().starts_with("-UPSTREAM"));
  CHECK(client.read().starts_with("-UPSTREAM"));
  CHECK(rig.pannier.metric_sum("pannier_ttl_unapplied_total") > 0);
  rig.server.restart();
  CHECK(wait_until([&] { return client.call({"HSETNX", "all:h", "f", "v"}) == ":1\r\n"; }));
  check_ttl(client.call_integer({"PTTL", "all:h"}), kDefault);
  CHECK(client.call({"INCR", "all:i"}) == ":1\r\n");
}

}  // namespace pannier::test
