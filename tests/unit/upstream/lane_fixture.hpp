#pragma once

#include "pannier/upstream/lane_set.hpp"

#include "upstream_fixture.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

namespace pannier::test {

using upstream::Connection;
using upstream::ConnectionSpec;

inline constexpr ConnectionSpec kPlain{0, 0, resp::Version::Resp2};
inline constexpr ConnectionSpec kDb1{0, 1, resp::Version::Resp2};

// A lane set over a scripted node.
struct Lanes {
  explicit Lanes(const config::Config& config = {}) : up(config), lanes(up.runtime, up) {
    up.opened = [this](Connection& connection) {
      lanes.opened(connection);
    };
    up.closed = [this](Connection& connection) {
      REQUIRE(lanes.owns(connection));
      lanes.closed(connection);
      REQUIRE_FALSE(lanes.owns(connection));
    };
    up.replied = [this](Connection& connection) {
      if (connection.in_flight() == 0) {
        lanes.answered(connection);
      }
    };
  }

  ~Lanes() {
    lanes.close_all("over");
    CHECK(gauge() == 0);
    CHECK(up.runtime.slots.in_use() == 0);
  }

  // The node is known, but not yet seen: nothing is opened ahead.
  void know() {
    auto topology = *topology_of(server.address());
    topology.nodes[0].reachable = false;
    lanes.set_topology(std::make_shared<const route::Topology>(topology));
  }

  void reach() { lanes.set_topology(topology_of(server.address())); }

  // The node does not answer the prober; its breaker is in this state.
  void lose(route::BreakerState breaker = route::BreakerState::Closed) {
    auto topology = *topology_of(server.address());
    topology.nodes[0].reachable = false;
    topology.nodes[0].breaker = breaker;
    topology.nodes[0].last_error = "no answer within 400ms";
    lanes.set_topology(std::make_shared<const route::Topology>(topology));
  }

  Connection* pick(const ConnectionSpec& spec = kPlain, bool heavy = false) {
    return lanes.pick(spec, 0, heavy);
  }

  Connection& open(const ConnectionSpec& spec = kPlain, bool heavy = false) {
    Connection* lane = pick(spec, heavy);
    REQUIRE(lane != nullptr);
    peers.push_back(welcome(up, server, *lane));
    REQUIRE(lane->is_open());
    return *lane;
  }

  // Asks for a lane to a node that refuses; true when a connect was tried.
  bool try_in_vain(const ConnectionSpec& spec) {
    const auto before = up.node().connect_failures.value();
    Connection* lane = pick(spec);
    REQUIRE(up.run_until([&] { return lane == nullptr || lane->is_closed(); }));
    lanes.sweep();
    return up.node().connect_failures.value() > before;
  }

  std::int64_t gauge() { return up.node().lanes.value(); }

  Upstream up;
  Server server;
  upstream::LaneSet lanes;
  std::vector<Peer> peers;
};

}  // namespace pannier::test
