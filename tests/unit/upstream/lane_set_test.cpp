#include "lane_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pannier;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::kDb1;
using test::kPlain;
using test::Lanes;
using test::Peer;
using test::Server;
using upstream::Connection;
using upstream::ConnectionSpec;

TEST_CASE("lane_set: lanes.min lanes to a node that answers are opened ahead", "[upstream]") {
  config::Config config;
  config.upstream.lanes = {2, 3};
  Lanes lanes(config);
  lanes.reach();
  REQUIRE(lanes.gauge() == 2);
  for (int i = 0; i < 2; ++i) {
    lanes.peers.push_back(test::welcome_next(lanes.up, lanes.server, kPlain));
  }
  Connection* even = lanes.lanes.pick(kPlain, 0, false);
  Connection* odd = lanes.lanes.pick(kPlain, 1, false);
  REQUIRE(even != odd);
  REQUIRE(lanes.lanes.pick(kPlain, 4, false) == even);
  REQUIRE(lanes.gauge() == 2);
  lanes.reach();  // nothing new
  REQUIRE(lanes.gauge() == 2);
}

TEST_CASE("lane_set: heavy sessions, databases and versions have lanes of their own",
          "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection* light = lanes.pick();
  Connection* heavy = lanes.pick(kPlain, true);
  Connection* other = lanes.pick(kDb1);
  Connection* resp3 = lanes.pick({0, 0, resp::Version::Resp3});
  REQUIRE(lanes.gauge() == 4);
  REQUIRE(light != heavy);
  REQUIRE(other != light);
  REQUIRE(resp3 != light);
  REQUIRE(lanes.pick(kPlain, true) == heavy);
  REQUIRE(lanes.pick(kDb1) == other);
}

TEST_CASE("lane_set: where lanes.max allows no more, heavy sessions share", "[upstream]") {
  config::Config config;
  config.upstream.lanes = {1, 1};
  Lanes lanes(config);
  lanes.know();
  REQUIRE(lanes.pick(kPlain, true) == lanes.pick(kPlain, false));
}

TEST_CASE("lane_set: a node that refuses is asked again ever more seldom", "[upstream]") {
  Lanes lanes;
  lanes.know();
  lanes.server.stop();
  REQUIRE(lanes.try_in_vain(kDb1));
  for (int wait : {50, 100, 200, 400, 800, 1600, 2000, 2000}) {
    lanes.up.runtime.now += milliseconds(wait / 2 - 1);
    REQUIRE_FALSE(lanes.try_in_vain(kDb1));
    REQUIRE(lanes.pick(kDb1) == nullptr);
    REQUIRE(lanes.lanes.why_not() == "Connection refused");
    lanes.up.runtime.now += milliseconds(wait - wait / 2 + 2);
    REQUIRE(lanes.try_in_vain(kDb1));
  }
}

TEST_CASE("lane_set: a node that is back is forgiven", "[upstream]") {
  Lanes lanes;
  lanes.know();
  for (int i = 0; i < 5; ++i) {
    Connection* lane = lanes.pick(kDb1);
    REQUIRE(lane != nullptr);
    Peer silent = test::meet(lanes.up, lanes.server, *lane);
    lanes.up.pass(milliseconds(250));
    REQUIRE(lane->is_closed());
    REQUIRE(lanes.pick(kDb1) == nullptr);
    lanes.up.pass(seconds(2));
  }
  lanes.open(kDb1);
  lanes.server.stop();
  const ConnectionSpec db2{0, 2, resp::Version::Resp2};
  REQUIRE(lanes.try_in_vain(db2));
  lanes.up.runtime.now += milliseconds(51);  // as after a first failure
  REQUIRE(lanes.try_in_vain(db2));
}

TEST_CASE("lane_set: a lost warm lane is opened again, though a request failed meanwhile",
          "[upstream]") {
  Lanes lanes;
  lanes.reach();
  lanes.peers.push_back(test::welcome_next(lanes.up, lanes.server, kPlain));
  const route::TopologyPtr there = test::topology_of(lanes.server.address());
  lanes.server.stop();
  lanes.peers[0].close();
  REQUIRE(lanes.up.run_until([&] { return lanes.gauge() == 0; }));
  for (int i = 0; i < 50; ++i) {  // requests and timers, both in vain
    lanes.up.runtime.now += milliseconds(13);
    static_cast<void>(lanes.try_in_vain(kPlain));
    lanes.up.pass(milliseconds(1));
    lanes.up.settle();
  }
  const auto failures = lanes.up.node().connect_failures.value();
  lanes.up.pass(seconds(3));  // nobody asks
  lanes.up.settle();
  REQUIRE(lanes.up.node().connect_failures.value() > failures);
}

TEST_CASE("lane_set: the server's refusal of a database is remembered for a second", "[upstream]") {
  Lanes lanes;
  lanes.know();
  const ConnectionSpec spec{0, 99, resp::Version::Resp2};
  Connection* lane = lanes.pick(spec);
  Peer peer = test::meet(lanes.up, lanes.server, *lane);
  peer.say("+OK\r\n+OK\r\n:1\r\n-ERR DB index is out of range\r\n");
  REQUIRE(lanes.up.run_until([&] { return lane->is_closed(); }));
  REQUIRE(lanes.lanes.refusal(0, 99) == "-ERR DB index is out of range\r\n");
  REQUIRE(lanes.lanes.refusal(0, 98).empty());
  REQUIRE(lanes.lanes.refusal(1, 99).empty());
  lanes.open();  // the node itself is fine
  lanes.up.runtime.now += seconds(1);
  REQUIRE(lanes.lanes.refusal(0, 99).empty());
}

TEST_CASE("lane_set: a retired lane takes nothing new and closes with its last reply",
          "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& lane = lanes.open();
  lanes.up.ask(lane, "one");
  lanes.up.ask(lane, "two");
  lanes.up.flush();
  lanes.lanes.retire(lane);
  lanes.lanes.retire(lane);
  REQUIRE(lane.is_retired());
  REQUIRE(lanes.up.node().lanes_retired.value() == 1);
  lanes.up.pass(milliseconds(1));  // housekeeping leaves it alone; a new one is opened
  REQUIRE_FALSE(lane.is_closed());
  REQUIRE(lanes.gauge() == 2);
  REQUIRE(lanes.pick() != &lane);
  lanes.peers[0].say("+1\r\n+2\r\n");
  REQUIRE(lanes.up.run_until([&] { return lane.is_closed(); }));
  REQUIRE(lanes.gauge() == 1);
  REQUIRE(lanes.up.node().connections_lost.value() == 0);
}

TEST_CASE("lane_set: a retired lane without requests closes at once", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& lane = lanes.open(kDb1);
  lanes.lanes.retire(lane);
  lanes.up.pass(milliseconds(0));
  REQUIRE(lane.is_closed());
}

TEST_CASE("lane_set: a node at another address gets new lanes", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& old = lanes.open();
  Connection* opening = lanes.pick(kDb1);
  Server elsewhere;
  lanes.lanes.set_topology(test::topology_of(elsewhere.address()));
  REQUIRE(old.is_retired());
  REQUIRE(opening->is_retired());
  Connection* fresh = lanes.pick();
  REQUIRE(fresh != &old);
  lanes.peers.push_back(test::welcome(lanes.up, elsewhere, *fresh));
  lanes.up.pass(milliseconds(0));
  REQUIRE(old.is_closed());
  lanes.up.pass(milliseconds(250));
  REQUIRE(opening->is_closed());
  REQUIRE(lanes.gauge() == 1);
  REQUIRE(lanes.pick(kDb1) != nullptr);  // the closed one was no failure
}

TEST_CASE("lane_set: lanes that nobody uses close after 60 s, warm ones stay", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& warm = lanes.open();
  Connection& other = lanes.open(kDb1);
  lanes.up.runtime.now += seconds(60);
  lanes.lanes.housekeep();
  REQUIRE_FALSE(other.is_closed());
  lanes.up.runtime.now += milliseconds(1);
  lanes.lanes.housekeep();
  REQUIRE(other.is_closed());
  REQUIRE_FALSE(warm.is_closed());
  lanes.lanes.sweep();
  REQUIRE(lanes.gauge() == 1);
}

TEST_CASE("lane_set: an hour old lane gives way to a new one", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& old = lanes.open();
  lanes.up.runtime.now += std::chrono::minutes(53);
  lanes.lanes.housekeep();
  REQUIRE_FALSE(old.is_closed());
  lanes.up.runtime.now += std::chrono::minutes(14);
  lanes.lanes.housekeep();
  REQUIRE(old.is_closed());
  lanes.up.pass(milliseconds(0));
  REQUIRE(lanes.gauge() == 1);
}

TEST_CASE("lane_set: a lane whose node hangs closes, one in its handshake does not", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection& hung = lanes.open();
  lanes.up.ask(hung, "one");
  lanes.up.flush();
  Connection* opening = lanes.pick(kDb1);
  Peer silent = test::meet(lanes.up, lanes.server, *opening);
  lanes.lanes.housekeep();
  REQUIRE_FALSE(opening->is_closed());
  lanes.up.runtime.now += seconds(31);
  lanes.lanes.housekeep();
  REQUIRE(hung.is_closed());
  REQUIRE(lanes.up.count("lost 0 sent") == 1);
  REQUIRE(lanes.up.node().connections_lost.value() == 1);
}

TEST_CASE("lane_set: a reply that still makes progress does not hang", "[upstream]") {
  Lanes lanes;
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.up.ask(lane, "one");
  lanes.up.flush();
  lanes.peers[0].say("$1000000\r\n");
  for (int i = 1; i <= 4; ++i) {
    REQUIRE(lanes.up.run_until(
        [&] { return lanes.up.events.size() >= static_cast<std::size_t>(i) + 1; }));
    lanes.up.runtime.now += seconds(20);
    lanes.lanes.housekeep();
    REQUIRE_FALSE(lane.is_closed());
    lanes.peers[0].say("some more");
  }
  lanes.up.settle();
  lane.pause_reading();  // by a client that does not read: not the node's fault
  lanes.up.runtime.now += seconds(31);
  lanes.lanes.housekeep();
  REQUIRE_FALSE(lane.is_closed());
  lane.resume_reading();
  lanes.lanes.housekeep();
  REQUIRE_FALSE(lane.is_closed());
  lanes.up.runtime.now += seconds(31);
  lanes.lanes.housekeep();
  REQUIRE(lane.is_closed());
}

TEST_CASE("lane_set: closing, it opens nothing more", "[upstream]") {
  Lanes lanes;
  lanes.reach();
  lanes.peers.push_back(test::welcome_next(lanes.up, lanes.server, kPlain));
  lanes.up.ask(*lanes.pick(), "one");
  lanes.lanes.close_all("shutting down");
  REQUIRE(lanes.up.count("lost 0 not sent") == 1);
  REQUIRE(lanes.gauge() == 0);
  REQUIRE(lanes.pick() == nullptr);
  REQUIRE(lanes.lanes.why_not() == "Pannier is shutting down");
  lanes.up.pass(seconds(10));
  REQUIRE(lanes.gauge() == 0);
}
