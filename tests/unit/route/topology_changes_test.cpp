#include "pannier/route/node_roles.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pannier::route;

namespace {

Topology pair_of_nodes() {
  Topology topology;
  topology.generation = 3;
  topology.primary = 0;
  for (NodeId id = 0; id < 2; ++id) {
    Node node;
    node.id = id;
    node.name = id == 0 ? "a:6379" : "b:6379";
    node.address = pannier::base::SocketAddress::from_ip("10.0.0.1", 6379);
    node.role = id == 0 ? Role::Primary : Role::Replica;
    node.reachable = node.ready = true;
    topology.nodes.push_back(node);
  }
  return topology;
}

std::vector<std::string> texts(const Topology& before, const Topology& after) {
  std::vector<std::string> out;
  for (const auto& line : describe_changes(before, after)) {
    out.push_back(line.text);
  }
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("topology_changes: no change, no line") {
  REQUIRE(texts(pair_of_nodes(), pair_of_nodes()).empty());
}

TEST_CASE("topology_changes: the first snapshot tells who is who") {
  REQUIRE(
      texts(Topology{}, pair_of_nodes()) ==
      Texts{"primary is a:6379 at 10.0.0.1:6379", "b:6379 at 10.0.0.1:6379 answers as replica"});
}

TEST_CASE("topology_changes: a failover names both ends") {
  auto after = pair_of_nodes();
  after.primary = 1;
  after.nodes[1].role = Role::Primary;
  after.nodes[0].reachable = after.nodes[0].ready = false;
  after.nodes[0].last_error = "connection closed";
  REQUIRE(texts(pair_of_nodes(), after) ==
          Texts{"primary changed from a:6379 to b:6379 at 10.0.0.1:6379",
                "a:6379 is lost: connection closed; it gets no requests until it answers"});
}

TEST_CASE("topology_changes: a lost node is told once, however it fails later") {
  auto after = pair_of_nodes();
  after.nodes[0].reachable = after.nodes[0].ready = false;
  after.nodes[0].last_error = "connection closed";
  REQUIRE(texts(pair_of_nodes(), after) ==
          Texts{"a:6379 is lost: connection closed; what needs the primary fails until it answers "
                "or another node takes its role"});
  auto later = after;
  later.nodes[0].last_error = "Connection refused at 10.0.0.1:6379";
  REQUIRE(texts(after, later).empty());
  later.nodes[0].last_error = "authentication failed: WRONGPASS";
  REQUIRE(texts(after, later).size() == 1);
}

TEST_CASE("topology_changes: a node that is back says as what") {
  auto before = pair_of_nodes();
  before.nodes[1].reachable = before.nodes[1].ready = false;
  auto after = pair_of_nodes();
  after.nodes[1].ready = false;
  after.nodes[1].last_error = "is loading its data";
  REQUIRE(texts(before, after) ==
          Texts{"b:6379 at 10.0.0.1:6379 answers as replica, not used: is loading its data"});
}

TEST_CASE("topology_changes: a name that does not resolve is told once, at the start too") {
  auto after = pair_of_nodes();
  after.primary = kNoNode;
  for (auto& node : after.nodes) {
    node.reachable = node.ready = false;
    node.role = Role::Unknown;
  }
  after.nodes[0].last_error = "its name does not resolve: Host not found";
  REQUIRE(texts(Topology{}, after) ==
          Texts{"no node says that it is the primary: writes fail",
                "a:6379 does not answer: its name does not resolve: Host not found; it gets no "
                "requests until it answers"});
  REQUIRE(texts(after, after).empty());
}

TEST_CASE("topology_changes: an unready replica says why") {
  auto after = pair_of_nodes();
  after.nodes[1].ready = false;
  after.nodes[1].last_error = "is loading its data";
  REQUIRE(texts(pair_of_nodes(), after) == Texts{"b:6379 is loading its data: not used"});
  REQUIRE(texts(after, pair_of_nodes()) == Texts{"b:6379 is ready"});
}

TEST_CASE("topology_changes: a primary that became a replica, with no other, is told once") {
  auto before = pair_of_nodes();
  before.nodes.pop_back();
  auto after = before;
  after.nodes[0].role = Role::Replica;
  REQUIRE(texts(before, after).size() == 1);
  REQUIRE(texts(after, after).empty());
}
