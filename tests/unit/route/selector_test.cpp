#include "pannier/route/selector.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>
#include <vector>

using pannier::config::Reads;
using namespace pannier::route;

namespace {

constexpr auto kNoneRecent = [](const Node&) {
  return false;
};
constexpr auto kAllRecent = [](const Node&) {
  return true;
};

// Node 0 is the primary in zone a; replicas 1 and 2 in zone b, 3 in zone c. All ready.
Topology usual() {
  Topology topology;
  const std::vector<std::string> zones{"a", "b", "b", "c"};
  for (NodeId id = 0; id < zones.size(); ++id) {
    Node node;
    node.id = id;
    node.zone = zones[id];
    node.role = id == 0 ? Role::Primary : Role::Replica;
    node.reachable = node.ready = true;
    node.rtt_us = 1000;
    topology.nodes.push_back(node);
  }
  topology.primary = 0;
  topology.own_zone = "b";
  return topology;
}

std::set<NodeId> chosen(const Topology& topology, Reads reads) {
  std::set<NodeId> nodes;
  for (std::uint32_t salt = 0; salt < 64; ++salt) {
    nodes.insert(select_read(topology, reads, salt, kNoneRecent).node);
  }
  return nodes;
}

bool is(const Route& route, NodeId node, RouteReason reason) {
  return route.node == node && route.reason == reason;
}

}  // namespace

TEST_CASE("selector: reads primary stays there, ready or not") {
  auto topology = usual();
  topology.nodes[0].ready = topology.nodes[0].reachable = false;
  REQUIRE(is(select_read(topology, Reads::Primary, 7, kAllRecent), 0, RouteReason::ReadsPrimary));
}

TEST_CASE("selector: same-zone spreads sessions over the zone's ready replicas") {
  const auto topology = usual();
  REQUIRE(chosen(topology, Reads::SameZone) == std::set<NodeId>{1, 2});
  REQUIRE(select_read(topology, Reads::SameZone, 5, kNoneRecent).reason ==
          RouteReason::SameZoneReplica);
}

TEST_CASE("selector: one session keeps its replica") {
  const auto topology = usual();
  const auto first = select_read(topology, Reads::SameZone, 5, kNoneRecent);
  REQUIRE(select_read(topology, Reads::SameZone, 5, kNoneRecent).node == first.node);
}

TEST_CASE("selector: same-zone without a replica there takes the zone's primary") {
  auto topology = usual();
  topology.own_zone = "a";
  REQUIRE(
      is(select_read(topology, Reads::SameZone, 0, kNoneRecent), 0, RouteReason::SameZonePrimary));
}

TEST_CASE("selector: same-zone passes over replicas that are not ready, then leaves the zone") {
  auto topology = usual();
  topology.nodes[1].ready = false;
  REQUIRE(chosen(topology, Reads::SameZone) == std::set<NodeId>{2});
  topology.nodes[2].ready = false;
  REQUIRE(is(select_read(topology, Reads::SameZone, 0, kNoneRecent), 3, RouteReason::AnyReplica));
  topology.nodes[3].ready = false;
  REQUIRE(
      is(select_read(topology, Reads::SameZone, 0, kNoneRecent), 0, RouteReason::PrimaryFallback));
}

TEST_CASE("selector: a primary of the zone that is not ready does not win over another replica") {
  auto topology = usual();
  topology.own_zone = "a";
  topology.nodes[0].ready = false;
  REQUIRE(chosen(topology, Reads::SameZone) == std::set<NodeId>{1, 2, 3});
}

TEST_CASE("selector: without a zone of our own same-zone means any replica") {
  auto topology = usual();
  topology.own_zone.clear();
  for (auto& node : topology.nodes) {
    node.zone.clear();
  }
  REQUIRE(chosen(topology, Reads::SameZone) == std::set<NodeId>{1, 2, 3});
}

TEST_CASE("selector: replica takes any ready replica, else the primary") {
  auto topology = usual();
  REQUIRE(chosen(topology, Reads::Replica) == std::set<NodeId>{1, 2, 3});
  for (auto& node : topology.nodes) {
    node.ready = false;
  }
  REQUIRE(
      is(select_read(topology, Reads::Replica, 3, kNoneRecent), 0, RouteReason::PrimaryFallback));
}

TEST_CASE("selector: nearest takes the lowest round trip, the primary included") {
  auto topology = usual();
  topology.nodes[0].rtt_us = 300;
  REQUIRE(is(select_read(topology, Reads::Nearest, 3, kAllRecent), 0, RouteReason::NearestNode));
  topology.nodes[3].rtt_us = 100;
  topology.nodes[0].rtt_us = 400;
  REQUIRE(is(select_read(topology, Reads::Nearest, 3, kNoneRecent), 3, RouteReason::NearestNode));
}

TEST_CASE("selector: nodes about equally near share the sessions") {
  auto topology = usual();
  topology.nodes[1].rtt_us = 300;
  topology.nodes[2].rtt_us = 330;
  REQUIRE(chosen(topology, Reads::Nearest) == std::set<NodeId>{1, 2});
}

TEST_CASE("selector: nearest with nothing ready falls back to the primary") {
  auto topology = usual();
  for (auto& node : topology.nodes) {
    node.ready = false;
  }
  REQUIRE(
      is(select_read(topology, Reads::Nearest, 3, kNoneRecent), 0, RouteReason::PrimaryFallback));
}

TEST_CASE("selector: a replica that is behind a recent write is passed over for the next one") {
  const auto topology = usual();
  for (std::uint32_t salt = 0; salt < 8; ++salt) {
    const auto behind = [](const Node& node) {
      return node.id == 1;
    };
    REQUIRE(
        is(select_read(topology, Reads::SameZone, salt, behind), 2, RouteReason::SameZoneReplica));
  }
  const auto zone_behind = [](const Node& node) {
    return node.id != 3;
  };
  REQUIRE(is(select_read(topology, Reads::SameZone, 0, zone_behind), 3, RouteReason::AnyReplica));
}

TEST_CASE("selector: with every candidate behind the primary serves, and says why") {
  const auto topology = usual();
  for (const auto reads : {Reads::SameZone, Reads::Replica}) {
    REQUIRE(is(select_read(topology, reads, 9, kAllRecent), 0, RouteReason::RecentWrite));
  }
  auto far_primary = usual();
  far_primary.nodes[0].rtt_us = 9000;
  REQUIRE(is(select_read(far_primary, Reads::Nearest, 9, kAllRecent), 0, RouteReason::RecentWrite));
}

TEST_CASE("selector: is_recent is never asked about the primary") {
  const auto topology = usual();
  for (const auto reads : {Reads::Primary, Reads::SameZone, Reads::Replica, Reads::Nearest}) {
    for (std::uint32_t salt = 0; salt < 8; ++salt) {
      const auto route = select_read(topology, reads, salt, [](const Node& node) {
        REQUIRE(node.id != 0);
        return true;
      });
      REQUIRE(route.node == 0);
    }
  }
}

TEST_CASE("selector: a spare replica is the last resort, in no one's place") {
  auto topology = usual();
  for (NodeId id = 1; id < topology.nodes.size(); ++id) {
    topology.nodes[id].ready = false;
    topology.nodes[id].spare = id > 1;
  }
  for (const Reads reads : {Reads::Replica, Reads::SameZone, Reads::Nearest}) {
    REQUIRE(chosen(topology, reads) == std::set<NodeId>{0});
    // The primary has just failed the read, or is known not to serve.
    const Route again = select_read(topology, reads, 0, kNoneRecent, 0);
    REQUIRE(is(again, 2, RouteReason::SpareReplica));
    REQUIRE(select_read(topology, reads, 1, kNoneRecent, 0).node == 3);
    REQUIRE(is(select_read(topology, reads, 0, kAllRecent, 0), 0, RouteReason::RecentWrite));
    auto away = topology;
    away.nodes[0].ready = false;
    REQUIRE(chosen(away, reads) == std::set<NodeId>{2, 3});
    away.nodes[1].ready = true;
    REQUIRE(chosen(away, reads) == std::set<NodeId>{1});
    REQUIRE(select_read(away, reads, 0, kNoneRecent, 1).reason == RouteReason::SpareReplica);
  }
  topology.nodes[0].ready = false;
  REQUIRE(is(select_read(topology, Reads::Primary, 0, kNoneRecent), 0, RouteReason::ReadsPrimary));
}

TEST_CASE("selector: no primary and nothing ready is no node") {
  auto topology = usual();
  topology.primary = kNoNode;
  for (auto& node : topology.nodes) {
    node.ready = false;
    node.role = Role::Unknown;
  }
  for (const auto reads : {Reads::Primary, Reads::SameZone, Reads::Replica, Reads::Nearest}) {
    REQUIRE(is(select_read(topology, reads, 1, kNoneRecent), kNoNode, RouteReason::NoNode));
  }
  REQUIRE(
      is(select_read(Topology{}, Reads::Nearest, 1, kNoneRecent), kNoNode, RouteReason::NoNode));
}

TEST_CASE("selector: replicas serve while no primary is known") {
  auto topology = usual();
  topology.primary = kNoNode;
  topology.nodes[0].ready = false;
  REQUIRE(chosen(topology, Reads::Replica) == std::set<NodeId>{1, 2, 3});
  REQUIRE(is(select_read(topology, Reads::Replica, 1, kAllRecent), kNoNode, RouteReason::NoNode));
}

TEST_CASE("selector: reasons and roles have names") {
  REQUIRE(std::string(to_string(RouteReason::SameZoneReplica)) == "same_zone_replica");
  REQUIRE(std::string(to_string(RouteReason::NoNode)) == "no_node");
  REQUIRE(std::string(to_string(Role::Primary)) == "primary");
  REQUIRE(std::string(to_string(Role::Unknown)) == "unknown");
}
