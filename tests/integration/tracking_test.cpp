#include "redis_server.hpp"
#include "tracked.hpp"

#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>

#include <chrono>
#include <string>
#include <vector>

using namespace std::chrono_literals;
namespace base = pannier::base;
namespace config = pannier::config;
namespace upstream = pannier::upstream;
namespace test = pannier::test;
using test::command;
using test::RedisServer;
using test::Tracked;
using upstream::Rung;

namespace {

// A server whose user `app`, whom the tracker is, may do what `rules` say.
struct Restricted {
  explicit Restricted(const std::vector<std::string>& rules)
      : server([&] {
          std::vector<std::string> arguments{"--user", "app", "on", ">secret"};
          arguments.insert(arguments.end(), rules.begin(), rules.end());
          return arguments;
        }()) {}

  static config::Config config() {
    config::Config out;
    out.upstream.auth = config::Credentials{"app", "secret"};
    return out;
  }

  RedisServer server;
};

const std::vector<std::string> kNoHello{"--rename-command", "HELLO", ""};

}  // namespace

TEST_CASE("tracking: RESP3 pushes are heard, for the prefixes of the plan only") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  REQUIRE(tracked.state().redirect_id > 0);
  REQUIRE(tracked.state().address.to_string() == server.address());
  REQUIRE(tracked.state().reason.empty());

  command(server, {"SET", "other:1", "v"});
  command(server, {"SET", "product:1", "v"});
  REQUIRE(tracked.hears("k 0 product:1"));
  REQUIRE(tracked.count("k 0 other:1") == 0);
  REQUIRE(tracked.count("k 0 pannier:canary") == 0);
  REQUIRE(tracked.state().keys == 1);
  REQUIRE(tracked.hears("own 0"));
  REQUIRE(tracked.state().canary_lag > 0s);
  REQUIRE(tracked.state().canary_lag < 1s);

  command(server, {"FLUSHALL"});
  REQUIRE(tracked.hears("flush 0"));
  REQUIRE(tracked.state().flushes == 1);
  REQUIRE(tracked.state().rung == Rung::Resp3);
}

TEST_CASE("tracking: without HELLO 3 a RESP2 subscriber hears what is redirected to it") {
  const RedisServer server(kNoHello);
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:", "v1:"});
  REQUIRE(tracked.hears("coherent 0 redirect"));
  REQUIRE(tracked.state().reason.starts_with("resp3: HELLO 3 is refused: ERR unknown command"));
  REQUIRE(tracked.state().redirect_id > 0);

  command(server, {"MSET", "product:1", "v", "v1:2", "v", "other", "v"});
  REQUIRE(tracked.hears("k 0 product:1"));
  REQUIRE(tracked.hears("k 0 v1:2"));
  REQUIRE(tracked.count("k 0 other") == 0);
  REQUIRE(tracked.hears("own 0"));
  command(server, {"FLUSHDB"});
  REQUIRE(tracked.hears("flush 0"));
}

TEST_CASE("tracking: a user without CLIENT TRACKING hears of what is published") {
  const Restricted restricted({"~*", "&*", "+@all", "-client|tracking"});
  Tracked tracked(Restricted::config());
  tracked.know({&restricted.server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 channel"));
  INFO(tracked.state().reason);
  REQUIRE(tracked.state().reason.find("grant +client|tracking") != std::string::npos);
  REQUIRE(tracked.state().redirect_id == 0);

  command(restricted.server, {"PUBLISH", "pannier:invalidate", "product:1"});
  command(restricted.server, {"PUBLISH", "pannier:invalidate", ""});
  command(restricted.server, {"PUBLISH", "pannier:flush", "all"});
  REQUIRE(tracked.hears("flush 0"));
  REQUIRE(tracked.count("k 0 product:1") == 1);
  REQUIRE(tracked.count("k 0 ") == 1);
  REQUIRE(tracked.hears("own 0"));
}

TEST_CASE("tracking: a user who may hear nothing has TTLs only, and is told what is missing") {
  const Restricted restricted({"~*", "&*", "+@all", "-client|tracking", "-subscribe"});
  Tracked tracked(Restricted::config());
  tracked.know({&restricted.server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 ttl"));
  const std::string& reason = tracked.state().reason;
  INFO(reason);
  for (const char* part : {"resp3: ", "redirect: ", "channel: SUBSCRIBE is refused: NOPERM"}) {
    REQUIRE(reason.find(part) != std::string::npos);
  }
}

TEST_CASE("tracking: where the canary may not be written, the reason says what to grant") {
  const Restricted restricted({"~product:*", "&pannier:*", "+@all"});
  Tracked tracked(Restricted::config());
  tracked.know({&restricted.server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 channel"));
  INFO(tracked.state().reason);
  REQUIRE(tracked.state().reason.find("resp3: SET of the canary is refused: NOPERM") == 0);
  REQUIRE(tracked.state().reason.find("grant +set +get ~pannier:*") != std::string::npos);
}

TEST_CASE("tracking: replicas tell of the primary's writes when they have applied them") {
  const auto arguments = GENERATE(std::vector<std::string>{}, kNoHello);
  const std::string rung = arguments.empty() ? "resp3" : "redirect";
  const RedisServer a(arguments);
  const RedisServer b = RedisServer::start_replica_of(a, arguments);
  Tracked tracked;
  tracked.know({&a, &b});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 " + rung));
  REQUIRE(tracked.hears("coherent 1 " + rung));
  command(a, {"SET", "product:1", "v"});
  REQUIRE(tracked.hears("k 0 product:1"));
  REQUIRE(tracked.hears("k 1 product:1"));
  REQUIRE(tracked.hears("own 0"));
  REQUIRE(tracked.hears("own 1"));
  REQUIRE(tracked.state(1).canary_lag > 0s);
}

TEST_CASE("tracking: replicas hear what is published on the primary") {
  std::vector<std::string> arguments{
      "--user", "app", "on", ">secret", "~*", "&*", "+@all", "-client|tracking"};
  const RedisServer a(arguments);
  const RedisServer b = RedisServer::start_replica_of(a, arguments);
  Tracked tracked(Restricted::config());
  tracked.know({&a, &b});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 channel"));
  REQUIRE(tracked.hears("coherent 1 channel"));
  command(a, {"PUBLISH", "pannier:invalidate", "product:1"});
  REQUIRE(tracked.hears("k 1 product:1"));
  REQUIRE(tracked.hears("own 1"));
}

TEST_CASE(
    "tracking: a killed server is lost at once, and trusted again when the topology knows it") {
  RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  server.kill();
  REQUIRE(tracked.run_until([&] { return tracked.count("lost 0") == 1; }, 1s));
  REQUIRE(tracked.state().losses == 1);
  REQUIRE(tracked.state().redirect_id == 0);

  server.restart();  // ids begin anew there: what the old server promised means nothing
  REQUIRE(tracked.run_until(
      [&] { return tracked.state().reason.starts_with("another server answers there"); }));
  REQUIRE(tracked.count("coherent 0 resp3") == 1);
  tracked.know({&server});
  REQUIRE(tracked.run_until([&] { return tracked.count("coherent 0 resp3") == 2; }));
  command(server, {"SET", "product:1", "v"});
  REQUIRE(tracked.hears("k 0 product:1"));
}

TEST_CASE("tracking: a frozen server is lost within 3 s") {
  RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  server.freeze();
  const auto from = base::Clock::now();
  REQUIRE(tracked.hears("lost 0"));
  REQUIRE(base::Clock::now() - from < 3s + 200ms);  // 200 ms for a busy machine
  REQUIRE(tracked.reasons.back() == "no canary for 3s");
  server.thaw();
  REQUIRE(tracked.run_until([&] { return tracked.count("coherent 0 resp3") == 2; }));
}

TEST_CASE("tracking: a frozen replica is lost, its primary is not") {
  const RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a);
  Tracked tracked;
  tracked.know({&a, &b});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  REQUIRE(tracked.hears("coherent 1 resp3"));
  b.freeze();
  REQUIRE(tracked.hears("lost 1"));
  REQUIRE(tracked.count("lost 0") == 0);
  b.thaw();
  REQUIRE(tracked.run_until([&] { return tracked.count("coherent 1 resp3") == 2; }));
}

TEST_CASE("tracking: a connection that is killed is lost and made again on the same rung") {
  const auto arguments = GENERATE(std::vector<std::string>{}, kNoHello);
  const std::string coherent = arguments.empty() ? "coherent 0 resp3" : "coherent 0 redirect";
  const RedisServer server(arguments);
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears(coherent));
  const auto id = tracked.state().redirect_id;
  command(server, {"CLIENT", "KILL", "ID", std::to_string(id)});
  REQUIRE(tracked.run_until([&] { return tracked.count(coherent) == 2; }));
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.state().redirect_id > id);
}

TEST_CASE("tracking: a failover loses both nodes, and both are heard again in their new roles") {
  const RedisServer a;
  const RedisServer b = RedisServer::start_replica_of(a);
  Tracked tracked;
  tracked.know({&a, &b}, 0);
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  REQUIRE(tracked.hears("coherent 1 resp3"));

  command(b, {"REPLICAOF", "NO", "ONE"});
  command(a, {"REPLICAOF", "127.0.0.1", std::to_string(b.port())});
  tracked.know({&a, &b}, 1);
  REQUIRE(tracked.count("lost 0") >= 1);
  REQUIRE(tracked.count("lost 1") >= 1);
  a.wait_for_info("master_link_status", "up");
  REQUIRE(tracked.run_until([&] {
    return tracked.state(0).rung == Rung::Resp3 && tracked.state(1).rung == Rung::Resp3;
  }));
  command(b, {"SET", "product:1", "v"});
  REQUIRE(tracked.hears("k 0 product:1"));
  REQUIRE(tracked.hears("k 1 product:1"));
}

TEST_CASE("tracking: a primary that was made a replica is found by its canary, before any probe") {
  const RedisServer a;
  const RedisServer b;
  Tracked tracked;
  tracked.know({&a});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  command(a, {"REPLICAOF", "127.0.0.1", std::to_string(b.port())});
  REQUIRE(tracked.hears("lost 0"));
  REQUIRE(tracked.reasons.back().starts_with("it is no primary any more: READONLY"));
}

TEST_CASE("tracking: a full copy on a replica tells that everything changed") {
  const RedisServer a;
  const RedisServer b = RedisServer::start_replica_of(a);
  const RedisServer c;
  Tracked tracked;
  tracked.know({&a, &b});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 1 resp3"));
  command(b, {"REPLICAOF", "127.0.0.1", std::to_string(c.port())});
  REQUIRE(tracked.hears("flush 1"));
}

TEST_CASE("tracking: one push of 100,000 keys is read in many turns") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.write_down = false;
  command(server,
          {"EVAL", "for i = 1, 100000 do redis.call('SET', 'product:' .. i, 'v') end", "0"});
  REQUIRE(tracked.run_until([&] { return tracked.invalidated == 100'000; }));
  REQUIRE(tracked.most_keys_in_turn == upstream::Tracking::kKeysPerTurn);
  REQUIRE(tracked.state().keys == 100'000);
  REQUIRE(tracked.count("lost 0") == 0);
}

TEST_CASE("tracking: keys may be binary, empty and a megabyte long") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({""});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  const std::string binary("\0\r\n*1\xff", 6);
  const std::string long_key(1024 * 1024, 'k');
  command(server, {"MSET", binary, "v", "", "v", long_key, "v"});
  REQUIRE(tracked.hears("k 0 " + binary));
  REQUIRE(tracked.hears("k 0 "));
  REQUIRE(tracked.hears("k 0 " + long_key));
}

TEST_CASE("tracking: overlapping prefixes are registered without the overlap") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"a:", "foo:", "foo:bar:", "pannier:canary:x"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  command(server, {"SET", "foo:bar:1", "v"});
  REQUIRE(tracked.hears("k 0 foo:bar:1"));
  REQUIRE(tracked.count("k 0 foo:bar:1") == 1);
}

TEST_CASE("tracking: another plan is registered anew, the same is nothing, none closes all") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({"product:"});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.plan({"product:"});
  REQUIRE(tracked.count("lost 0") == 0);

  tracked.plan({"price:"}, {3});
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.run_until([&] { return tracked.count("coherent 0 resp3") == 2; }));
  command(server, {"MSET", "price:1", "v", "product:1", "v"});
  REQUIRE(tracked.hears("k 0 price:1"));
  REQUIRE(tracked.count("k 0 product:1") == 0);

  tracked.plan({}, {3});  // key by key only: the canary is all that is registered
  REQUIRE(tracked.run_until([&] { return tracked.count("coherent 0 resp3") == 3; }));
  REQUIRE(tracked.hears("own 0"));

  tracked.plan({});
  REQUIRE(tracked.count("lost 0") == 3);
  REQUIRE(tracked.state().rung == Rung::None);
  server.wait_for_info("connected_clients", "1");
}

TEST_CASE("tracking: a key that another connection reads can be redirected to the one that hears") {
  const RedisServer server;
  Tracked tracked;
  tracked.know({&server});
  tracked.plan({}, {1});
  REQUIRE(tracked.hears("coherent 0 resp3"));
  redisContext* lane = redisConnect("127.0.0.1", server.port());
  const std::string id = std::to_string(tracked.state().redirect_id);
  for (const std::string& line : {"CLIENT TRACKING ON OPTIN REDIRECT " + id,
                                  std::string("CLIENT CACHING YES"),
                                  std::string("GET stock:1")}) {
    auto* reply = static_cast<redisReply*>(redisCommand(lane, line.c_str()));
    REQUIRE(reply != nullptr);
    REQUIRE(reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);
  }
  command(server, {"SET", "stock:1", "v"});
  REQUIRE(tracked.hears("k 0 stock:1"));
  redisFree(lane);
}
