#include "lane_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pannier;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::kDb1;
using test::Lanes;
using test::Peer;
using upstream::Connection;

TEST_CASE("lane_set: nothing is opened to a node whose breaker is open, nor are its lanes used",
          "[upstream]") {
  Lanes lanes;
  lanes.reach();
  lanes.open();
  lanes.lose(route::BreakerState::Open);
  REQUIRE(lanes.pick() == nullptr);
  REQUIRE(lanes.lanes.why_not() == "no answer within 400ms");
  REQUIRE(lanes.pick(kDb1) == nullptr);
  REQUIRE_FALSE(lanes.lanes.away(0).empty());
  lanes.up.pass(seconds(20));
  REQUIRE(lanes.gauge() == 1);
  lanes.reach();
  REQUIRE(lanes.pick() != nullptr);
  REQUIRE(lanes.lanes.away(0).empty());
}

TEST_CASE("lane_set: a node that answers the prober again is tried at once", "[upstream]") {
  Lanes lanes;
  lanes.know();
  const auto address = lanes.server.address();
  lanes.server.stop();
  for (int i = 0; i < 6; ++i) {
    REQUIRE(lanes.try_in_vain(kDb1));
    lanes.up.runtime.now += seconds(2);
  }
  REQUIRE(lanes.try_in_vain(kDb1));
  lanes.up.runtime.now += milliseconds(1);
  REQUIRE_FALSE(lanes.try_in_vain(kDb1));
  lanes.lanes.set_topology(test::topology_of(address));
  REQUIRE(lanes.try_in_vain(kDb1));
}

TEST_CASE("lane_set: while the prober is not answered, lost lanes are not opened again and again",
          "[upstream]") {
  Lanes lanes;
  lanes.reach();
  lanes.open();
  lanes.server.stop();
  lanes.lose();
  lanes.peers[0].reset();
  REQUIRE(lanes.up.run_until([&] { return lanes.gauge() == 0; }));
  for (int i = 0; i < 100; ++i) {
    lanes.up.pass(milliseconds(100));
    lanes.up.settle();
  }
  REQUIRE(lanes.up.node().connect_failures.value() <= 2);
}

TEST_CASE("lane_set: a connect that hangs since the outage gives way to a new one", "[upstream]") {
  Lanes lanes;
  lanes.know();
  Connection* hangs = lanes.pick();
  REQUIRE(hangs != nullptr);
  Peer silent = test::meet(lanes.up, lanes.server, *hangs);
  lanes.up.ask(*hangs, "one");
  lanes.up.pass(milliseconds(150));
  lanes.reach();
  REQUIRE(hangs->is_closed());
  REQUIRE(lanes.up.count("lost 0 not sent") == 1);
  REQUIRE(lanes.pick() != nullptr);
  REQUIRE(lanes.pick() != hangs);
}

TEST_CASE("lane_set: a lane on which an answer is overdue is not used by others after an outage",
          "[upstream]") {
  Lanes lanes;
  lanes.reach();
  Connection& stuck = lanes.open();
  lanes.up.ask(stuck, "one");
  lanes.up.flush();
  lanes.lose();
  lanes.up.pass(milliseconds(500));
  lanes.reach();
  REQUIRE(stuck.is_retired());
  REQUIRE_FALSE(stuck.is_closed());  // its reply may still come
  REQUIRE(lanes.pick() != &stuck);
  lanes.peers[0].say("+1\r\n");
  REQUIRE(lanes.up.run_until([&] { return stuck.is_closed(); }));
  REQUIRE(lanes.up.count("reply 0 + last <+1\r\n") == 1);
}

TEST_CASE("lane_set: a lane of a silent node is closed after timeouts.write, not after slow",
          "[upstream]") {
  Lanes lanes;
  std::vector<route::Failure> reports;
  lanes.up.runtime.report = [&](route::NodeId, route::Failure failure) {
    reports.push_back(failure);
  };
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.up.pass(seconds(5));
  const upstream::SlotIndex heavy = lanes.up.ask(lane, "one");
  lanes.up.runtime.slots[heavy].is_heavy = true;
  lanes.up.flush();
  lanes.up.pass(seconds(3));
  lanes.lanes.housekeep();
  REQUIRE_FALSE(lane.is_closed());  // slow, but the prober is answered
  lanes.lose();
  lanes.up.pass(milliseconds(1900));
  REQUIRE_FALSE(lane.is_closed());
  lanes.up.pass(milliseconds(101));
  REQUIRE(lane.is_closed());
  REQUIRE(lanes.up.count("lost 0 sent") == 1);
  REQUIRE(reports == std::vector{route::Failure::Silent});
}

TEST_CASE("lane_set: a lane that keeps an ordinary request while its node answers others is dead",
          "[upstream]") {
  Lanes lanes;
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.up.ask(lane, "one");
  lanes.up.flush();
  lanes.up.pass(milliseconds(500));
  lanes.lanes.suspect(lane.node());  // it is late
  lanes.up.pass(milliseconds(1400));
  lanes.lanes.housekeep();
  REQUIRE_FALSE(lane.is_closed());
  lanes.up.pass(milliseconds(700));
  REQUIRE(lane.is_closed());
  REQUIRE(lanes.up.count("lost 0 sent") == 1);
}

TEST_CASE("lane_set: a request that was just sent is not lost with a silent node", "[upstream]") {
  Lanes lanes;
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.lose();
  lanes.up.pass(milliseconds(1500));
  lanes.up.ask(lane, "one");
  lanes.up.flush();
  lanes.up.pass(milliseconds(501));
  REQUIRE_FALSE(lane.is_closed());
  lanes.up.pass(milliseconds(2000));
  REQUIRE(lane.is_closed());
}

TEST_CASE("lane_set: an idle lane is asked for a sign of life, a busy one is not", "[upstream]") {
  const std::string ping = "*1\r\n$4\r\nPING\r\n";
  Lanes lanes;
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.up.pass(milliseconds(9999));
  lanes.lanes.housekeep();
  lanes.up.flush();
  REQUIRE(lanes.peers[0].available() == 0);
  lanes.up.pass(seconds(1));
  lanes.up.ask(lane, "one");
  lanes.lanes.housekeep();
  lanes.up.flush();
  REQUIRE(lanes.peers[0].hear(3) == "one");
  lanes.peers[0].say("+1\r\n");
  REQUIRE(lanes.up.run_until([&] { return lane.in_flight() == 0; }));
  lanes.up.pass(seconds(11));
  lanes.lanes.housekeep();
  lanes.up.flush();
  REQUIRE(lanes.peers[0].hear(ping.size()) == ping);
  lanes.peers[0].say("-NOPERM this user has no permissions\r\n");  // alive
  REQUIRE(lanes.up.run_until([&] { return lane.in_flight() == 0; }));
  lanes.up.pass(seconds(3));
  REQUIRE_FALSE(lane.is_closed());
  REQUIRE(lanes.up.events.size() == 2);  // "opened", and the reply to "one"
}

TEST_CASE("lane_set: an idle lane that does not answer PING is lost, and told", "[upstream]") {
  Lanes lanes;
  std::vector<route::Failure> reports;
  lanes.up.runtime.report = [&](route::NodeId, route::Failure failure) {
    reports.push_back(failure);
  };
  lanes.reach();
  Connection& lane = lanes.open();
  lanes.up.pass(seconds(11));
  lanes.lanes.housekeep();
  lanes.up.flush();
  lanes.up.pass(milliseconds(1999));
  REQUIRE_FALSE(lane.is_closed());
  lanes.up.pass(milliseconds(1));
  REQUIRE(lane.is_closed());
  REQUIRE(lane.close_reason() == "no answer to PING within timeouts.write; the connection is dead");
  REQUIRE(reports == std::vector{route::Failure::Silent});
  REQUIRE(lanes.up.node().connections_lost.value() == 1);
}
