#include "pannier/upstream/pinned_pool.hpp"

#include "upstream_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pannier;
using test::Peer;
using test::Server;
using test::Upstream;
using upstream::Connection;
using upstream::ConnectionSpec;
using upstream::PinnedPool;
using Taken = PinnedPool::Taken;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr ConnectionSpec kPlain{0, 0, resp::Version::Resp2};
constexpr ConnectionSpec kDb1{0, 1, resp::Version::Resp2};

config::Config pinned_config(std::uint32_t min,
                             std::uint32_t max,
                             std::uint32_t reserved,
                             std::uint32_t workers = 1) {
  config::Config config;
  config.workers = workers;
  config.upstream.pinned.min = min;
  config.upstream.pinned.max = max;
  config.upstream.pinned.reserved_for_multi = reserved;
  return config;
}

struct Pool {
  explicit Pool(const config::Config& config) : up(config), pool(up.runtime, up) {
    up.closed = [this](Connection& connection) {
      REQUIRE(pool.closed(connection));
      REQUIRE_FALSE(pool.closed(connection));
    };
    pool.set_topology(test::topology_of(server.address()));
  }

  ~Pool() {
    pool.close_all("over");
    CHECK(counts(0, 0));
    CHECK(up.runtime.slots.in_use() == 0);
  }

  Connection* take(const ConnectionSpec& spec = kPlain, bool for_multi = false) {
    Connection* connection = nullptr;
    const Taken taken = pool.take(spec, for_multi, connection);
    REQUIRE((taken == Taken::Yes) == (connection != nullptr));
    return connection;
  }

  Taken try_take(const ConnectionSpec& spec, bool for_multi) {
    Connection* connection = nullptr;
    return pool.take(spec, for_multi, connection);
  }

  // The gauges and the pool's own counts.
  bool counts(std::int64_t idle, std::int64_t used) {
    const auto& gauges = up.node().pinned;
    return gauges.at(static_cast<std::size_t>(metrics::PinnedState::Idle)).value() == idle &&
           gauges.at(static_cast<std::size_t>(metrics::PinnedState::Used)).value() == used &&
           pool.idle_count() == static_cast<std::size_t>(idle) &&
           pool.used() == static_cast<std::size_t>(used);
  }

  Upstream up;
  Server server;
  PinnedPool pool;
};

}  // namespace

TEST_CASE("pinned_pool: pinned.min connections to the primary are opened ahead", "[upstream]") {
  Pool pool(pinned_config(2, 8, 0));
  REQUIRE(pool.counts(2, 0));
  Connection* first = pool.take();
  REQUIRE(pool.counts(1, 1));
  pool.pool.housekeep();
  REQUIRE(pool.counts(2, 1));
  pool.pool.give_back(*first);
  REQUIRE(pool.counts(3, 0));
}

TEST_CASE("pinned_pool: what was given back is taken again", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  Connection* first = pool.take();
  REQUIRE(pool.counts(0, 1));
  Connection* second = pool.take();
  REQUIRE(second != first);
  pool.pool.give_back(*first);
  pool.pool.give_back(*first);  // twice counts once
  REQUIRE(pool.counts(1, 1));
  REQUIRE(pool.take(kDb1) != first);  // another database
  REQUIRE(pool.take() == first);
  REQUIRE(pool.counts(0, 3));
}

TEST_CASE("pinned_pool: what is discarded is closed and not counted any more", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  Connection* used = pool.take();
  pool.pool.discard(*used);
  REQUIRE(used->is_closed());
  REQUIRE(pool.counts(0, 0));
  pool.pool.give_back(*used);  // too late: nothing happens
  pool.pool.discard(*used);
  REQUIRE(pool.counts(0, 0));
  pool.pool.sweep();
}

TEST_CASE("pinned_pool: the node closes a used and an idle one", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  std::vector<Peer> peers;
  Connection* used = pool.take();
  peers.push_back(test::welcome(pool.up, pool.server, *used));
  Connection* idle = pool.take();
  peers.push_back(test::welcome(pool.up, pool.server, *idle));
  pool.pool.give_back(*idle);
  REQUIRE(pool.counts(1, 1));
  peers[0].close();
  REQUIRE(pool.up.run_until([&] { return used->is_closed(); }));
  REQUIRE(pool.counts(1, 0));
  peers[1].close();
  REQUIRE(pool.up.run_until([&] { return idle->is_closed(); }));
  REQUIRE(pool.counts(0, 0));
}

TEST_CASE("pinned_pool: the last reserved_for_multi are for transactions", "[upstream]") {
  Pool pool(pinned_config(0, 4, 1));
  std::vector<Connection*> taken;
  for (int i = 0; i < 3; ++i) {
    taken.push_back(pool.take());
    REQUIRE(taken.back() != nullptr);
  }
  REQUIRE(pool.try_take(kPlain, false) == Taken::Full);
  REQUIRE(pool.take(kPlain, true) != nullptr);
  REQUIRE(pool.try_take(kPlain, true) == Taken::Full);
  REQUIRE(pool.counts(0, 4));
  pool.pool.give_back(*taken[0]);
  REQUIRE(pool.try_take(kDb1, false) == Taken::Full);  // 3 are used
  pool.pool.give_back(*taken[1]);
  REQUIRE(pool.take(kPlain, false) != nullptr);
}

TEST_CASE("pinned_pool: a reserve as large as the pool leaves one for the rest", "[upstream]") {
  Pool pool(pinned_config(0, 2, 32));
  REQUIRE(pool.take() != nullptr);
  REQUIRE(pool.try_take(kPlain, false) == Taken::Full);
  REQUIRE(pool.take(kPlain, true) != nullptr);
}

TEST_CASE("pinned_pool: an idle one of another kind makes room", "[upstream]") {
  Pool pool(pinned_config(0, 2, 0));
  Connection* first = pool.take();
  REQUIRE(pool.take() != nullptr);
  pool.pool.give_back(*first);
  REQUIRE(pool.take(kDb1) != nullptr);
  REQUIRE(first->is_closed());
  REQUIRE(pool.counts(0, 2));
  REQUIRE(pool.try_take(kDb1, false) == Taken::Full);
}

TEST_CASE("pinned_pool: each worker has its share of pinned.max, at least one", "[upstream]") {
  Pool half(pinned_config(0, 4, 0, 2));
  REQUIRE(half.take() != nullptr);
  REQUIRE(half.take() != nullptr);
  REQUIRE(half.try_take(kPlain, true) == Taken::Full);
  Pool little(pinned_config(0, 1, 0, 4));
  REQUIRE(little.take() != nullptr);
  REQUIRE(little.try_take(kPlain, true) == Taken::Full);
}

TEST_CASE("pinned_pool: a node without an address says why", "[upstream]") {
  Pool pool(pinned_config(0, 4, 0));
  auto topology = *test::topology_of({});
  topology.nodes[0].last_error = "no such host";
  pool.pool.set_topology(std::make_shared<const route::Topology>(topology));
  REQUIRE(pool.try_take(kPlain, false) == Taken::Failed);
  REQUIRE(pool.pool.why_not() == "no such host");
  REQUIRE(pool.counts(0, 0));
}

TEST_CASE("pinned_pool: idle ones beyond pinned.min close after 60 s", "[upstream]") {
  Pool pool(pinned_config(1, 8, 0));
  Connection* used = pool.take();
  Connection* first = pool.take();
  Connection* second = pool.take(kDb1);
  pool.pool.give_back(*first);
  pool.pool.give_back(*second);
  REQUIRE(pool.counts(2, 1));
  pool.up.runtime.now += seconds(60);
  pool.pool.housekeep();
  REQUIRE(pool.counts(2, 1));
  pool.up.runtime.now += milliseconds(1);
  pool.pool.housekeep();
  REQUIRE(pool.counts(1, 1));
  REQUIRE_FALSE(used->is_closed());
  REQUIRE(second->is_closed());
}

TEST_CASE("pinned_pool: after the primary moved, the old node's idle ones close and new are opened",
          "[upstream]") {
  Pool pool(pinned_config(1, 8, 0));
  auto topology = *test::topology_of(pool.server.address());
  Server other;
  topology.nodes.push_back(test::node_at(other.address()));
  topology.nodes[1].id = 1;
  topology.primary = 1;
  pool.pool.set_topology(std::make_shared<const route::Topology>(topology));
  REQUIRE(pool.pool.idle_count() == 2);
  pool.up.runtime.now += seconds(61);
  pool.pool.housekeep();
  REQUIRE(pool.counts(0, 0) == false);  // the one on node 1
  REQUIRE(pool.pool.idle_count() == 1);
  REQUIRE(pool.up.node(0).pinned.at(0).value() == 0);
  REQUIRE(pool.up.node(1).pinned.at(0).value() == 1);
}

TEST_CASE("pinned_pool: a node at another address gets new connections", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  Connection* idle = pool.take();
  Connection* used = pool.take();
  pool.pool.give_back(*idle);
  Server elsewhere;
  pool.pool.set_topology(test::topology_of(elsewhere.address()));
  REQUIRE(idle->is_closed());
  REQUIRE_FALSE(used->is_closed());  // its session decides
  pool.pool.give_back(*used);
  REQUIRE(used->is_closed());  // it must not serve the next one
  REQUIRE(pool.counts(0, 0));
  pool.pool.sweep();
  Connection* fresh = pool.take();
  Peer peer = test::welcome(pool.up, elsewhere, *fresh);
  pool.pool.give_back(*fresh);
  REQUIRE(pool.counts(1, 0));
}

TEST_CASE("pinned_pool: closing, it opens nothing more", "[upstream]") {
  Pool pool(pinned_config(2, 8, 0));
  REQUIRE(pool.take() != nullptr);
  pool.pool.close_all("shutting down");
  REQUIRE(pool.counts(0, 0));
  REQUIRE(pool.try_take(kPlain, true) == Taken::Failed);
  REQUIRE(pool.pool.why_not() == "Pannier is shutting down");
  pool.pool.housekeep();
  REQUIRE(pool.counts(0, 0));
}

TEST_CASE("pinned_pool: a blocked client on a node that is silent for timeouts.write is let go",
          "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  Connection* blocked = pool.take();
  Peer peer = test::welcome(pool.up, pool.server, *blocked);
  pool.up.ask(*blocked, "BLPOP");
  pool.up.flush();
  pool.up.pass(std::chrono::minutes(5));
  pool.pool.housekeep();
  REQUIRE_FALSE(blocked->is_closed());  // it may block for as long as it likes
  auto topology = *test::topology_of(pool.server.address());
  topology.nodes[0].reachable = false;
  pool.pool.set_topology(std::make_shared<const route::Topology>(topology));
  pool.up.pass(milliseconds(1999));
  REQUIRE_FALSE(blocked->is_closed());
  pool.up.pass(milliseconds(2));
  pool.up.pass(seconds(2));
  REQUIRE(blocked->is_closed());
  REQUIRE(pool.up.count("lost 0 sent") == 1);
}

TEST_CASE("pinned_pool: an hour old connection goes, but not from under its user", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  Connection* used = pool.take();
  Connection* idle = pool.take();
  std::vector<Peer> peers;
  peers.push_back(test::welcome(pool.up, pool.server, *used));
  peers.push_back(test::welcome(pool.up, pool.server, *idle));
  pool.up.runtime.now += std::chrono::minutes(67);
  pool.pool.housekeep();
  REQUIRE_FALSE(used->is_closed());
  pool.pool.give_back(*used);
  REQUIRE(used->is_closed());
  REQUIRE(pool.counts(0, 1));
}

TEST_CASE("pinned_pool: nothing is opened to a node whose breaker is open", "[upstream]") {
  Pool pool(pinned_config(0, 8, 0));
  auto topology = *test::topology_of(pool.server.address());
  topology.nodes[0].breaker = route::BreakerState::Open;
  topology.nodes[0].last_error = "no answer within 400ms";
  pool.pool.set_topology(std::make_shared<const route::Topology>(topology));
  REQUIRE(pool.try_take(kPlain, false) == Taken::Failed);
  REQUIRE(pool.pool.why_not() == "no answer within 400ms");
}

TEST_CASE("pinned_pool: a mass of takers waits for tokens and is woken as they come",
          "[upstream]") {
  const auto config = pinned_config(0, 512, 0);
  upstream::ConnectBudget budget(config);
  Pool pool(config);
  pool.up.runtime.connect_budget = &budget;
  budget.note_trouble(0, pool.up.runtime.now);
  int woken = 0;
  pool.up.runtime.wake_pinned = [&](std::size_t count) {
    woken += static_cast<int>(count);
    return woken < 100;
  };
  int opened = 0;
  while (pool.try_take(kPlain, false) == Taken::Yes) {
    ++opened;
  }
  REQUIRE(opened == upstream::ConnectBudget::kBurst - upstream::ConnectBudget::kForLanes);
  REQUIRE(pool.up.node().connects_delayed.value() == 1);
  REQUIRE(woken == 0);
  for (int i = 0; i < 100; ++i) {  // 1 s: pinned.wait
    pool.up.pass(milliseconds(10));
    while (pool.try_take(kPlain, false) == Taken::Yes) {
      ++opened;
    }
  }
  REQUIRE(woken >= 100);
  REQUIRE(opened >= 512);
}
