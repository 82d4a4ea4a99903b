#include "pannier/upstream/tracking.hpp"

#include "tracking_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pannier;
using namespace std::chrono_literals;
using test::array_of;
using test::bulk;
using test::FakeNode;
using test::Tracked;
using upstream::Rung;
using upstream::Tracking;

namespace {

test::Words numbered(int count) {
  test::Words out;
  for (int i = 0; i < count; ++i) {
    out.push_back("a:" + std::to_string(i));
  }
  return out;
}

const std::string kNoHello = "-ERR unknown command 'HELLO'\r\n";
const std::string kNoPerm = "-NOPERM this user has no permissions\r\n";

}  // namespace

TEST_CASE("tracking: nothing is opened while the plan is empty", "[upstream]") {
  Tracked tracked;
  tracked.tracking.set_topology(tracked.topology());
  tracked.pass(5s);
  REQUIRE(tracked.node().last_id == 100);
  REQUIRE(tracked.state().rung == Rung::None);
  REQUIRE(tracked.state(7).rung == Rung::None);  // no such node
}

TEST_CASE("tracking: each rung is proven before it is told", "[upstream]") {
  const int rung = GENERATE(0, 1, 2, 3);
  Tracked tracked;
  FakeNode& node = tracked.node();
  if (rung > 0) {
    node.refusals["HELLO"] = kNoHello;
  }
  if (rung > 1) {
    node.refusals["CLIENT TRACKING"] = kNoPerm;
  }
  if (rung > 2) {
    node.refusals["SUBSCRIBE pannier:"] = kNoPerm;
  }
  tracked.start();
  const std::vector<std::string> names{"resp3", "redirect", "channel", "ttl"};
  REQUIRE(tracked.hears("coherent 0 " + names.at(static_cast<std::size_t>(rung))));
  REQUIRE(tracked.told.front().starts_with("coherent"));
  REQUIRE(tracked.state().redirect_id == (rung < 2 ? node.hearer().id : 0));
  REQUIRE(tracked.state().reason.empty() == (rung == 0));
  REQUIRE(node.count("SET pannier:canary") == (rung < 2 ? 1 : 0));
  REQUIRE(node.count("PUBLISH pannier:canary") == (rung == 2 ? 1 : 0));
  for (const std::string& line : node.heard) {
    REQUIRE(line.find("NOLOOP") == std::string::npos);
  }
}

TEST_CASE("tracking: a node that answers but does not push falls rung by rung", "[upstream]") {
  Tracked tracked;
  tracked.node().pushes_to_resp3 = false;
  tracked.start();
  tracked.settle();
  tracked.pass(900ms);
  REQUIRE(tracked.told.empty());
  tracked.pass(200ms);
  REQUIRE(tracked.hears("coherent 0 redirect"));
  REQUIRE(tracked.state().reason == "resp3: the canary did not arrive, although PING was answered");

  Tracked worse;
  worse.node().pushes_to_resp3 = false;
  worse.node().pushes_to_resp2 = false;
  worse.start();
  worse.settle();
  worse.pass(3s);
  REQUIRE(worse.hears("coherent 0 channel"));
  REQUIRE(worse.count("lost 0") == 0);
}

TEST_CASE("tracking: a better rung is looked for every minute, without a gap until it is there",
          "[upstream]") {
  const bool ttl = GENERATE(false, true);
  Tracked tracked;
  FakeNode& node = tracked.node();
  node.refusals["HELLO"] = kNoHello;
  if (ttl) {
    node.refusals["SUBSCRIBE"] = kNoPerm;
  }
  tracked.start();
  const std::string low = ttl ? "coherent 0 ttl" : "coherent 0 redirect";
  REQUIRE(tracked.hears(low));
  REQUIRE(node.count("HELLO") == 1);
  tracked.pass(62s);
  REQUIRE(node.count("HELLO") == 2);
  REQUIRE(tracked.count("lost 0") == 0);
  REQUIRE(tracked.count(low) == 1);

  node.refusals.clear();
  tracked.pass(62s);
  REQUIRE(tracked.count("coherent 0 resp3") == 1);
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.state().reason.empty());
  REQUIRE(node.clients.size() == 2);
  tracked.pass(62s);
  REQUIRE(node.count("HELLO") == 3);  // there is nothing better
}

TEST_CASE("tracking: a node that refuses connections is asked again ever more seldom",
          "[upstream]") {
  Tracked tracked;
  tracked.node().stop();
  tracked.start();
  tracked.pass(1s, 10ms);
  const auto early = tracked.up.node().connect_failures.value();
  tracked.pass(60s, 50ms);
  const auto late = tracked.up.node().connect_failures.value() - early;
  REQUIRE(early >= 4);
  REQUIRE(early <= 7);
  REQUIRE(late >= 28);  // every 1 to 2 s
  REQUIRE(late <= 62);
  REQUIRE(tracked.told.empty());
  REQUIRE_FALSE(tracked.state().reason.empty());
}

TEST_CASE("tracking: a lost connection loses the node, and the same rung is tried again",
          "[upstream]") {
  Tracked tracked;
  tracked.node().refusals["HELLO"] = kNoHello;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 redirect"));
  tracked.node().hang_up();
  REQUIRE(tracked.hears("lost 0"));
  REQUIRE(tracked.state().losses == 1);
  tracked.pass(60ms, 10ms);
  REQUIRE(tracked.hears("coherent 0 redirect", 2));
  REQUIRE(tracked.node().count("HELLO") == 1);
}

TEST_CASE("tracking: a silent node is lost within 3 s of its last canary", "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.pass(10s);
  REQUIRE(tracked.count("lost 0") == 0);
  tracked.node().silent = true;
  const auto last = tracked.state().canary_seen;
  tracked.pass(last + 3s - tracked.up.runtime.now - 1ms);
  REQUIRE(tracked.count("lost 0") == 0);
  tracked.pass(1ms);
  REQUIRE(tracked.count("lost 0") == 1);
}

TEST_CASE("tracking: a node whose pushes stop is lost although it answers", "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.node().pushes_to_resp3 = false;
  tracked.pass(3s);
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.reasons.back() == "no canary for 3s");
}

TEST_CASE("tracking: pushes that cannot be understood, or are redirected to nobody, are a loss",
          "[upstream]") {
  const std::string push = GENERATE(as<std::string>{},
                                    ">2\r\n$10\r\ninvalidate\r\n+a\r\n",
                                    ">1\r\n$21\r\ntracking-redir-broken\r\n",
                                    "!not RESP\r\n",
                                    "+nobody asked\r\n");
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  FakeNode::say(tracked.node().hearer(), push);
  REQUIRE(tracked.hears("lost 0"));
  tracked.pass(60ms, 10ms);
  REQUIRE(tracked.hears("coherent 0 resp3", 2));
}

TEST_CASE("tracking: null and unknown pushes", "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  FakeNode::say(tracked.node().hearer(), ">3\r\n$3\r\nfoo\r\n$1\r\na\r\n*1\r\n:1\r\n");
  tracked.node().push("_\r\n");
  tracked.node().push("$-1\r\n");
  tracked.node().push("*-1\r\n");
  tracked.node().push(array_of({"a:1"}));
  REQUIRE(tracked.hears("k 0 a:1"));
  REQUIRE(tracked.count("flush 0") == 3);
  REQUIRE(tracked.state().flushes == 3);
  REQUIRE(tracked.state().keys == 1);
  REQUIRE(tracked.count("lost 0") == 0);
}

TEST_CASE("tracking: a long push is read in turns, in order, and what follows waits",
          "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.told.clear();
  tracked.node().push(array_of(numbered(3500)));
  tracked.node().push(array_of({"a:last"}));
  REQUIRE(tracked.hears("k 0 a:last"));
  REQUIRE(tracked.most_keys == Tracking::kKeysPerTurn);
  std::vector<std::string> expected;
  for (const std::string& key : numbered(3500)) {
    expected.push_back("k 0 " + key);
  }
  expected.push_back("k 0 a:last");
  std::vector<std::string> keys;
  std::copy_if(tracked.told.begin(),
               tracked.told.end(),
               std::back_inserter(keys),
               [](const std::string& line) { return line.starts_with("k "); });
  REQUIRE(keys == expected);
  tracked.pass(10s);
  REQUIRE(tracked.count("lost 0") == 0);
}

TEST_CASE("tracking: who tells of more than can be read falls a rung", "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.node().push(array_of(numbered(50'000)));
  REQUIRE(tracked.run_until([&] { return tracked.state().keys >= 1000; }));
  tracked.up.pass(1001ms);
  REQUIRE(tracked.hears("lost 0"));
  REQUIRE(tracked.reasons.back() == "it tells of more changes than could be read within 1s");
  REQUIRE(tracked.hears("coherent 0 redirect"));
  REQUIRE(tracked.state().reason == "resp3: " + tracked.reasons.back());
}

TEST_CASE("tracking: a node that moved is another one", "[upstream]") {
  Tracked tracked;
  FakeNode elsewhere;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.tracking.set_topology(tracked.topology());  // nothing new
  REQUIRE(tracked.count("lost 0") == 0);

  auto topology = tracked.topology();
  topology->nodes[0].address = elsewhere.address();
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.state().rung == Rung::None);
  REQUIRE(tracked.run_until([&] {
    elsewhere.serve();
    return tracked.count("coherent 0 resp3") == 2;
  }));
  REQUIRE(tracked.state().address == elsewhere.address());

  topology = std::make_shared<route::Topology>(*topology);
  topology->nodes[0].address = {};  // its name does not resolve just now
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.count("lost 0") == 1);
}

TEST_CASE("tracking: a node with another role is lost", "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  auto topology = tracked.topology();
  topology->primary = route::kNoNode;
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.count("lost 0") == 1);
  tracked.pass(5s);
  REQUIRE(tracked.state().rung == Rung::None);  // nobody writes a canary
  tracked.tracking.set_topology(tracked.topology());
  REQUIRE(tracked.hears("coherent 0 resp3", 2));
}

TEST_CASE("tracking: a single node that is a replica has TTLs unless it hears others' canaries",
          "[upstream]") {
  Tracked tracked;
  auto topology = tracked.topology();
  topology->nodes[0].role = route::Role::Replica;
  tracked.tracking.set_topology(topology);
  tracked.tracking.set_plan({{"a:"}, {}});
  tracked.settle();
  const bool others = GENERATE(false, true);
  if (others) {
    tracked.node().push(array_of({"pannier:canary"}));
    REQUIRE(tracked.hears("coherent 0 resp3"));
  } else {
    tracked.pass(4s);
    REQUIRE(tracked.count("coherent 0 ttl") == 1);
    REQUIRE(tracked.state().reason.find("no canary can be written to its primary") !=
            std::string::npos);
  }
}

TEST_CASE("tracking: a server that was started anew is trusted when the topology knows it",
          "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.node().hang_up();
  tracked.node().run_id = "r2";
  REQUIRE(tracked.hears("lost 0"));
  tracked.pass(200ms, 10ms);
  REQUIRE(tracked.count("coherent 0 resp3") == 1);
  REQUIRE(tracked.state().reason == "another server answers there: run_id r2 instead of r1");

  auto topology = tracked.topology();
  topology->nodes[0].run_id = "r2";
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.hears("coherent 0 resp3", 2));
  topology = std::make_shared<route::Topology>(*topology);
  topology->nodes[0].run_id = "r3";
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.count("lost 0") == 2);
}

TEST_CASE("tracking: a node that is no more is lost", "[upstream]") {
  Tracked tracked(2);
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.node(1).push(array_of({"pannier:canary"}));
  REQUIRE(tracked.run_until([&] {
    tracked.node(1).push(array_of({"pannier:canary"}));
    return tracked.count("coherent 1 resp3") == 1;
  }));
  auto topology = tracked.topology();
  topology->nodes.pop_back();
  tracked.tracking.set_topology(topology);
  REQUIRE(tracked.count("lost 1") == 1);
  REQUIRE(tracked.run_until([&] { return tracked.node(1).clients.empty(); }));
  REQUIRE(tracked.count("lost 0") == 0);
}

TEST_CASE("tracking: the same plan is nothing, another one begins anew, none closes all",
          "[upstream]") {
  Tracked tracked;
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.tracking.set_plan({{"a:"}, {}});
  REQUIRE(tracked.count("lost 0") == 0);
  tracked.tracking.set_plan({{"b:", "b:c:"}, {2}});
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.hears("coherent 0 resp3", 2));
  REQUIRE(tracked.node().count("CLIENT TRACKING ON BCAST PREFIX b: PREFIX pannier:canary") == 1);
  tracked.tracking.set_plan({});
  REQUIRE(tracked.count("lost 0") == 2);
  REQUIRE(tracked.run_until([&] { return tracked.node().clients.empty(); }));
  REQUIRE(tracked.state().rung == Rung::None);
}

TEST_CASE("tracking: who is told something may change the plan at once", "[upstream]") {
  const std::string event =
      GENERATE(as<std::string>{}, "coherent", "key", "flush", "heard", "lost");
  Tracked tracked;
  const auto change = [&] {
    tracked.tracking.set_plan({{"b:"}, {}});
  };
  if (event == "coherent") {
    tracked.when_told = change;
  }
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  tracked.settle();
  if (event != "coherent") {
    tracked.when_told = change;
  }
  if (event == "key") {
    tracked.node().push(array_of(numbered(3000)));
  } else if (event == "flush") {
    tracked.node().push("_\r\n");
  } else if (event == "heard") {
    tracked.node().push(array_of({"pannier:canary"}));
  } else if (event == "lost") {
    tracked.node().hang_up();
  }
  REQUIRE(tracked.hears("coherent 0 resp3", 2));
  REQUIRE(tracked.count("lost 0") == 1);
  REQUIRE(tracked.run_until([&] { return tracked.node().clients.size() == 2; }));
  REQUIRE(tracked.node().count("CLIENT TRACKING ON BCAST PREFIX b: PREFIX pannier:canary") == 1);
}

TEST_CASE("tracking: a replica hears what the primary's connection wrote", "[upstream]") {
  Tracked tracked(2);
  tracked.start();
  REQUIRE(tracked.hears("coherent 0 resp3"));
  REQUIRE(tracked.run_until([&] { return tracked.node(1).count("CLIENT TRACKING") == 1; }));
  tracked.pass(2s);
  REQUIRE(tracked.state(1).rung == Rung::None);
  REQUIRE(tracked.node(1).count("SET") == 0);
  tracked.node(1).push(array_of({"pannier:canary"}));
  REQUIRE(tracked.hears("coherent 1 resp3"));
  tracked.node(1).push(array_of({"a:1"}));
  REQUIRE(tracked.hears("k 1 a:1"));
  REQUIRE(tracked.count("k 0 a:1") == 0);
}
