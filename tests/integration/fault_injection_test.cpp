#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <string_view>

// Rehearsals of failure: what the admin port starts, what clients see of it, and that it ends.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

PannierOptions options_of(const RedisServer& server, bool allowed = true) {
  PannierOptions out;
  out.upstream = upstream_of({server.address()}, "timeouts: { read: 400ms, write: 600ms }");
  out.rest = allowed ? "fault_injection: true" : "";
  out.admin = true;
  out.policy =
      "version: 1\n"
      "classes:\n"
      "  - { name: product, keys: [\"product:*\"] }\n"
      "  - { name: kept, keys: [\"kept:*\"], cache: { ttl: 60s, jitter: 0% } }\n";
  return out;
}

struct Rig {
  Rig() : pannier(options_of(server)), client(pannier.port()) {
    REQUIRE(client.call({"MSET", "product:1", "v", "price:1", "v"}) == "+OK\r\n");
  }

  // Returns when it is on.
  void begin(std::string_view form) const {
    const std::string said = pannier.admin("POST", "/faults", form);
    CAPTURE(said);
    REQUIRE(said.starts_with("HTTP/1.1 200"));
  }

  // Both sessions of a test are to see it: what was posted to the worker before is done then.
  void clear() const {
    REQUIRE(pannier.admin("POST", "/faults/clear").starts_with("HTTP/1.1 200"));
  }

  [[nodiscard]] bool is_on() const {
    return pannier.admin("GET", "/faults").find("\"rule\"") != std::string::npos;
  }

  RedisServer server;
  PannierProcess pannier;
  RawClient client;
};

constexpr const char* kRefused = "-LOADING rehearsed\r\n";

}  // namespace

TEST_CASE("faults: without the configuration's leave there is no such page") {
  const RedisServer server;
  const PannierProcess pannier(options_of(server, false));
  CHECK(pannier.admin("GET", "/faults").starts_with("HTTP/1.1 404"));
  CHECK(pannier.admin("POST", "/faults", "action=drop&for=1s").starts_with("HTTP/1.1 404"));
  CHECK(pannier.admin("DELETE", "/faults").starts_with("HTTP/1.1 404"));
}

TEST_CASE("faults: an action needs the header, and what is wrong with a form is said") {
  const Rig rig;
  CHECK(rig.pannier.post("/faults?action=drop&for=1s", "X-Other: 1").starts_with("HTTP/1.1 403"));
  CHECK_FALSE(rig.is_on());
  const auto said = [&](std::string_view form) {
    return rig.pannier.admin("POST", "/faults", form);
  };
  CHECK(said("action=drop").starts_with("HTTP/1.1 400"));
  CHECK(said("action=drop").find("for is missing") != std::string::npos);
  CHECK(said("action=drop&for=1s&class=prodct").find("the policy has no 'prodct'") !=
        std::string::npos);
  CHECK(said("action=drop&for=1s&node=1.2.3.4:5").find("there is no '1.2.3.4:5'") !=
        std::string::npos);
  CHECK_FALSE(rig.is_on());
}

TEST_CASE("faults: error answers what fits and nothing else, and sends nothing") {
  Rig rig;
  RawClient direct(rig.server.port());
  rig.begin("class=product&command=SET&action=error:LOADING+rehearsed&for=60s");
  CHECK(rig.client.call({"SET", "product:1", "new"}) == kRefused);
  CHECK(direct.call({"GET", "product:1"}) == bulk("v"));
  CHECK(rig.client.call({"GET", "product:1"}) == bulk("v"));
  CHECK(rig.client.call({"SET", "price:1", "new"}) == "+OK\r\n");
  CHECK(rig.client.call({"PING"}) == "+PONG\r\n");
  const std::string listed = rig.pannier.admin("GET", "/faults");
  CHECK(listed.find("\"hits\":1,") != std::string::npos);
  CHECK(listed.find("error 'LOADING rehearsed': class product, command set") != std::string::npos);
  CHECK(rig.client.call({"PANNIER", "STATS"}).find("fault: 1 hits=1 ") != std::string::npos);
  CHECK(rig.pannier.admin("GET", "/").find("A rehearsal is on") != std::string::npos);
  CHECK(rig.pannier.metric("pannier_faults_active") == 1);
}

TEST_CASE("faults: each ends by itself, or is ended, and the log has both ends") {
  Rig rig;
  rig.begin("action=error:LOADING+rehearsed&for=300ms");
  CHECK(rig.client.call({"GET", "product:1"}) == kRefused);
  CHECK(wait_until([&] { return rig.client.call({"GET", "product:1"}) == bulk("v"); }));
  CHECK(wait_until([&] { return !rig.is_on(); }));
  rig.begin("node=" + rig.server.address() + "&action=error:LOADING+rehearsed&for=60s");
  CHECK(rig.client.call({"GET", "product:1"}) == kRefused);
  CHECK(rig.pannier.admin("DELETE", "/faults").find("ended 1") != std::string::npos);
  CHECK(wait_until([&] { return rig.client.call({"GET", "product:1"}) == bulk("v"); }));
  const std::string log = rig.pannier.log();
  CHECK(log.find("rehearsal 1 is on for 300ms") != std::string::npos);
  CHECK(log.find("rehearsal 1 is over") != std::string::npos);
  CHECK(log.find("rehearsal 2 was ended") != std::string::npos);
  CHECK(rig.pannier.metric("pannier_faults_active") == 0);
}

TEST_CASE("faults: a delayed request keeps its place, and other sessions do not wait") {
  Rig rig;
  RawClient other(rig.pannier.port());
  rig.begin("class=product&command=GET&action=delay:1s&for=60s");
  const auto from = Clock::now();
  rig.client.send(request({"SET", "product:1", "w"}) + request({"GET", "product:1"}) +
                  request({"ECHO", "behind"}));
  CHECK(rig.client.read() == "+OK\r\n");
  CHECK(other.call({"GET", "price:1"}) == bulk("v"));
  CHECK(Clock::now() - from < 900ms);
  CHECK(rig.client.read() == bulk("w"));
  CHECK(Clock::now() - from >= 1s);
  CHECK(rig.client.read() == bulk("behind"));
  CHECK(rig.pannier.admin("GET", "/faults").find("\"hits\":1,") != std::string::npos);  // not again
}

TEST_CASE("faults: a dropped request is answered by its deadline, without being sent") {
  Rig rig;
  RawClient direct(rig.server.port());
  rig.begin("class=product&action=drop&for=60s");
  const auto from = Clock::now();
  rig.client.send(request({"SET", "product:1", "lost"}) + request({"GET", "price:1"}));
  const std::string reply = rig.client.read();
  CHECK(reply == "-UPSTREAM no reply within the deadline (may have run)\r\n");
  CHECK(Clock::now() - from >= 600ms);  // timeouts.write
  CHECK(rig.client.read() == bulk("v"));
  CHECK(direct.call({"GET", "product:1"}) == bulk("v"));
}

TEST_CASE("faults: close loses the lane that the request took, and a new one is opened") {
  Rig rig;
  rig.begin("class=product&command=SET&action=close&for=60s");
  const std::string lost = "pannier_upstream_connections_lost_total";
  const double before = rig.pannier.metric_sum(lost);
  const std::string reply = rig.client.call({"SET", "product:1", "w"});
  CAPTURE(reply);
  CHECK((reply == "+OK\r\n" || reply.starts_with("-UPSTREAM lost node")));
  CHECK(wait_until([&] { return rig.pannier.metric_sum(lost) > before; }));
  rig.clear();
  CHECK(wait_until([&] { return rig.client.call({"GET", "price:1"}) == bulk("v"); }));
}

TEST_CASE("faults: all workers meet a rehearsal, from its answer to that of its end") {
  const RedisServer server;
  PannierOptions options = options_of(server);
  options.rest += "\nworkers: 2";
  const PannierProcess pannier(options);
  RawClient a(pannier.port());  // a new session goes to the worker with fewer of them
  RawClient b(pannier.port());
  REQUIRE(a.call({"SET", "product:1", "v"}) == "+OK\r\n");
  REQUIRE(b.call({"GET", "product:1"}) == bulk("v"));
  for (int i = 0; i < 20; ++i) {
    REQUIRE(pannier.admin("POST", "/faults", "action=error:LOADING+rehearsed&for=60s")
                .starts_with("HTTP/1.1 200"));
    REQUIRE(a.call({"GET", "product:1"}) == kRefused);
    REQUIRE(b.call({"GET", "product:1"}) == kRefused);
    REQUIRE(pannier.admin("DELETE", "/faults").starts_with("HTTP/1.1 200"));
    REQUIRE(a.call({"GET", "product:1"}) == bulk("v"));
    REQUIRE(b.call({"GET", "product:1"}) == bulk("v"));
  }
}

TEST_CASE("faults: memory answers on, its misses meet the rehearsal") {
  Rig rig;
  REQUIRE(rig.client.call({"SET", "kept:1", "v"}) == "+OK\r\n");
  REQUIRE(wait_until([&] {
    return rig.client.call({"GET", "kept:1"}) == bulk("v") &&
           rig.pannier.metric("pannier_near_cache_class_entries{class=\"kept\"}") == 1;
  }));
  rig.begin("class=kept&action=error:LOADING+rehearsed&for=60s");
  CHECK(rig.client.call({"GET", "kept:1"}) == bulk("v"));
  CHECK(rig.client.call({"GET", "kept:2"}) == kRefused);
}

TEST_CASE("faults: percent is a share of the requests") {
  Rig rig;
  rig.begin("percent=50&action=error:LOADING+rehearsed&for=60s");
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    refused += rig.client.call({"GET", "product:1"}) == kRefused ? 1 : 0;
  }
  CHECK(refused > 120);  // eight standard deviations
  CHECK(refused < 280);
}

}  // namespace pannier::test
