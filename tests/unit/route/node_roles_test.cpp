#include "pannier/route/node_roles.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using namespace pannier::route;
using pannier::base::TimePoint;
namespace config = pannier::config;

namespace {

config::Config config_of(std::size_t nodes,
                         config::UpstreamKind kind = config::UpstreamKind::Replicated) {
  config::Config out;
  out.upstream.kind = kind;
  for (std::size_t i = 0; i < nodes; ++i) {
    config::Node node;
    node.address.host = "cache-" + std::to_string(i);
    node.address.port = 6379;
    out.upstream.nodes.push_back(node);
  }
  return out;
}

ProbeAnswer primary_at(std::uint64_t offset, const std::string& history = "h1") {
  ProbeAnswer answer;
  answer.role = Role::Primary;
  answer.written_offset = offset;
  answer.replication_id = history;
  answer.rtt_us = 500;
  return answer;
}

ProbeAnswer replica_at(std::uint64_t offset, const std::string& history = "h1") {
  ProbeAnswer answer;
  answer.role = Role::Replica;
  answer.applied_offset = offset;
  answer.replication_id = history;
  answer.link_up = true;
  answer.following = "10.0.0.1:6379";
  answer.rtt_us = 500;
  return answer;
}

ProbeAnswer cut_off(ProbeAnswer answer) {
  answer.link_up = false;
  return answer;
}

// A primary and two replicas, all in step at offset 100, seen by NodeRoles with the clock at 0.
struct Fleet {
  explicit Fleet(config::Config with = config_of(3)) : roles(with) {
    says(0, primary_at(100));
    says(1, replica_at(100));
    says(2, replica_at(100));
  }

  void says(NodeId id, const ProbeAnswer& answer, std::uint64_t epoch = 0) {
    roles.answered(id, answer, epoch, now);
    look();
  }

  void dies(NodeId id) {
    roles.failed(id, "connection refused", now);
    look();
  }

  void look() {
    if (const auto changed = roles.take_changed()) {
      seen = changed;
    }
  }

  const Node& node(NodeId id) const { return seen->nodes[id]; }

  NodeRoles roles;
  TopologyPtr seen;
  TimePoint now{1000s};
};

}  // namespace

TEST_CASE("node_roles: roles come from the answers") {
  const Fleet fleet;
  REQUIRE(fleet.seen->primary == 0);
  REQUIRE(fleet.node(0).role == Role::Primary);
  REQUIRE(fleet.node(1).role == Role::Replica);
  REQUIRE(fleet.node(0).ready);
  REQUIRE(fleet.node(1).ready);
  REQUIRE(fleet.node(2).ready);
  REQUIRE(fleet.node(1).name == "cache-1:6379");
}

TEST_CASE("node_roles: a replica that answers before its primary is ready once that answered") {
  NodeRoles roles(config_of(2));
  const TimePoint now{1s};
  roles.answered(1, replica_at(90), 0, now);
  REQUIRE_FALSE(roles.is_settled());
  REQUIRE_FALSE(roles.take_changed()->nodes[1].ready);
  roles.answered(0, primary_at(100), 0, now);
  REQUIRE(roles.is_settled());
  const auto topology = roles.take_changed();
  REQUIRE(topology->nodes[1].ready);
  REQUIRE(topology->nodes[1].lag_bytes == 10);
}

TEST_CASE("node_roles: settled without a primary once every node was tried") {
  NodeRoles roles(config_of(2));
  roles.failed(0, "refused", TimePoint{});
  REQUIRE_FALSE(roles.is_settled());
  roles.failed(1, "refused", TimePoint{});
  REQUIRE(roles.is_settled());
  REQUIRE(roles.take_changed()->primary == kNoNode);
}

TEST_CASE("node_roles: nothing is published twice, and each publication has a higher generation") {
  Fleet fleet;
  const auto generation = fleet.seen->generation;
  REQUIRE(fleet.roles.take_changed() == nullptr);
  fleet.roles.answered(1, replica_at(180), 0, fleet.now);
  REQUIRE(fleet.roles.take_changed() == nullptr);  // an offset alone matters to nobody
  fleet.dies(1);
  REQUIRE(fleet.seen->generation == generation + 1);
}

TEST_CASE(
    "node_roles: a node that stops answering keeps its role and is neither reachable nor ready") {
  Fleet fleet;
  fleet.dies(1);
  REQUIRE(fleet.node(1).role == Role::Replica);
  REQUIRE_FALSE(fleet.node(1).reachable);
  REQUIRE_FALSE(fleet.node(1).ready);
  REQUIRE(fleet.node(1).last_error == "connection refused");
  fleet.says(1, replica_at(100));
  REQUIRE(fleet.node(1).ready);
  REQUIRE(fleet.node(1).last_error.empty());
}

TEST_CASE("node_roles: the primary stays the last known one until another is found") {
  Fleet fleet;
  fleet.dies(0);
  REQUIRE(fleet.seen->primary == 0);
  REQUIRE_FALSE(fleet.node(0).ready);
  fleet.says(1, primary_at(100, "h2"));
  REQUIRE(fleet.seen->primary == 1);
  REQUIRE(fleet.node(1).ready);
}

TEST_CASE("node_roles: a demoted primary stays the primary until another claims it") {
  Fleet fleet;
  fleet.says(0, cut_off(replica_at(100)));
  REQUIRE(fleet.seen->primary == 0);
  fleet.says(2, primary_at(100, "h2"));
  REQUIRE(fleet.seen->primary == 2);
  REQUIRE(fleet.node(0).role == Role::Replica);
}

TEST_CASE("node_roles: of two primaries the one that replicas follow wins") {
  Fleet fleet;
  fleet.says(1, primary_at(5000, "stray"));
  REQUIRE(fleet.seen->primary == 0);
  REQUIRE_FALSE(fleet.node(1).ready);
  REQUIRE(fleet.node(1).last_error == "claims to be primary, as another node does");
  fleet.says(2, replica_at(5000, "stray"));
  fleet.says(1, primary_at(5000, "stray"));
  REQUIRE(fleet.seen->primary == 1);
}

TEST_CASE("node_roles: with nothing else to go by the old primary keeps its place") {
  Fleet fleet(config_of(3));
  fleet.dies(2);
  fleet.says(1, primary_at(9000, "h2"));
  REQUIRE(fleet.seen->primary == 0);
}

TEST_CASE("node_roles: at start the primary with more data wins over one that came back empty") {
  NodeRoles roles(config_of(2));
  roles.answered(0, primary_at(0, "empty"), 0, TimePoint{});
  roles.answered(1, primary_at(700, "full"), 0, TimePoint{});
  REQUIRE(roles.primary() == 0);  // the first that answered serves
  auto full = primary_at(700, "full");
  full.connected_replicas = 1;
  roles.answered(1, full, 0, TimePoint{});
  REQUIRE(roles.primary() == 1);
}

TEST_CASE("node_roles: a loading node is not ready") {
  Fleet fleet;
  auto loading = replica_at(100);
  loading.loading = true;
  fleet.says(1, loading);
  REQUIRE_FALSE(fleet.node(1).ready);
  auto primary = primary_at(100);
  primary.loading = true;
  fleet.says(0, primary);
  REQUIRE_FALSE(fleet.node(0).ready);
  REQUIRE(fleet.node(0).last_error == "is loading its data");
}

TEST_CASE("node_roles: a replica too far behind is not ready, one just behind is") {
  Fleet fleet;
  fleet.says(0, primary_at(100 + NodeRoles::kMaxLag));
  fleet.says(1, replica_at(100));
  REQUIRE(fleet.node(1).ready);
  fleet.says(2, replica_at(99));
  REQUIRE_FALSE(fleet.node(2).ready);
  REQUIRE(fleet.node(2).last_error == "is too far behind the primary");
}

TEST_CASE(
    "node_roles: an old answer of a replica does not look like lag when the primary moves on") {
  Fleet fleet;
  fleet.says(0, primary_at(100 + 5 * NodeRoles::kMaxLag));
  REQUIRE(fleet.node(1).ready);
}

TEST_CASE("node_roles: a broken link is forgiven for three probes") {
  Fleet fleet;
  fleet.now += 400ms;
  fleet.says(1, cut_off(replica_at(100)));
  REQUIRE(fleet.node(1).ready);
  fleet.now += 400ms;
  fleet.says(0, primary_at(100));
  fleet.now += 401ms;
  fleet.says(1, cut_off(replica_at(100)));
  REQUIRE_FALSE(fleet.node(1).ready);
  REQUIRE(fleet.node(1).last_error == "has no link to its primary 10.0.0.1:6379");
}

TEST_CASE("node_roles: replicas go on serving while no primary answers") {
  Fleet fleet;
  fleet.now += 400ms;
  fleet.dies(0);
  for (int i = 0; i < 10; ++i) {
    fleet.now += 10s;
    fleet.says(1, cut_off(replica_at(100)));
    fleet.says(2, cut_off(replica_at(100)));
    REQUIRE(fleet.node(1).ready);
    REQUIRE(fleet.node(2).ready);
  }
  fleet.says(2, primary_at(100, "h2"));
  REQUIRE(fleet.seen->primary == 2);
  REQUIRE_FALSE(fleet.node(1).ready);  // follows nobody that we know
  fleet.says(1, replica_at(120, "h2"));
  REQUIRE(fleet.node(1).ready);
}

TEST_CASE("node_roles: a replica that was not in step when the primary went is not ready") {
  Fleet fleet;
  for (int i = 0; i < 5; ++i) {
    fleet.now += 400ms;
    fleet.says(0, primary_at(100));
    fleet.says(1, cut_off(replica_at(50)));
  }
  fleet.dies(0);
  fleet.says(1, cut_off(replica_at(50)));
  REQUIRE_FALSE(fleet.node(1).ready);
}

TEST_CASE("node_roles: a replica of somebody else's primary is not ready") {
  NodeRoles roles(config_of(2));
  roles.answered(0, primary_at(100), 0, TimePoint{});
  roles.answered(1, replica_at(100, "other"), 0, TimePoint{});
  REQUIRE_FALSE(roles.take_changed()->nodes[1].ready);
}

TEST_CASE("node_roles: a replica has caught up with the epochs whose offset it has applied") {
  Fleet fleet;
  fleet.says(0, primary_at(200), 5);
  REQUIRE(fleet.node(1).caught_up_epoch == 0);
  fleet.says(1, replica_at(199));
  REQUIRE(fleet.node(1).caught_up_epoch == 0);
  fleet.says(1, replica_at(200));
  REQUIRE(fleet.node(1).caught_up_epoch == 5);
  REQUIRE(fleet.node(2).caught_up_epoch == 0);
}

TEST_CASE("node_roles: under a stream of writes a replica reaches the epochs before the last") {
  Fleet fleet;
  fleet.says(0, primary_at(200), 5);
  fleet.says(0, primary_at(300), 6);
  fleet.says(0, primary_at(400), 7);
  fleet.says(1, replica_at(350));
  REQUIRE(fleet.node(1).caught_up_epoch == 6);
}

TEST_CASE("node_roles: the first offset of an epoch that stayed open is the one to reach") {
  Fleet fleet;
  fleet.says(0, primary_at(200), 5);
  fleet.says(0, primary_at(214), 5);  // the primary's own pings
  fleet.says(1, replica_at(200));
  REQUIRE(fleet.node(1).caught_up_epoch == 5);
}

TEST_CASE("node_roles: a replica that lost data has caught up no more") {
  Fleet fleet;
  fleet.says(0, primary_at(200), 5);
  fleet.says(1, replica_at(200));
  fleet.says(1, replica_at(150));
  REQUIRE(fleet.node(1).caught_up_epoch == 0);
}

TEST_CASE("node_roles: after a change of primary nothing has caught up until it was asked again") {
  Fleet fleet;
  fleet.says(0, primary_at(200), 5);
  fleet.says(2, replica_at(200));
  REQUIRE(fleet.node(2).caught_up_epoch == 5);
  fleet.dies(0);
  fleet.says(1, primary_at(200, "h2"), 6);  // closed while node 0 was the primary
  REQUIRE(fleet.node(2).caught_up_epoch == 0);
  fleet.says(2, replica_at(250, "h2"));
  REQUIRE(fleet.node(2).caught_up_epoch == 0);
  fleet.says(1, primary_at(260, "h2"), 7);
  fleet.says(2, replica_at(260, "h2"));
  REQUIRE(fleet.node(2).caught_up_epoch == 7);
}

TEST_CASE("node_roles: a restarted primary starts a new history") {
  Fleet fleet;
  auto primary = primary_at(200);
  primary.run_id = "r1";
  fleet.says(0, primary, 4);
  fleet.says(0, primary, 5);
  fleet.says(1, replica_at(200));
  REQUIRE(fleet.node(1).caught_up_epoch == 5);
  primary.run_id = "r2";
  fleet.says(0, primary, 6);
  REQUIRE(fleet.node(1).caught_up_epoch == 0);
}

TEST_CASE("node_roles: a restarted replica has no grace") {
  Fleet fleet;
  auto replica = cut_off(replica_at(100));
  replica.run_id = "restarted";
  fleet.says(1, replica);
  REQUIRE_FALSE(fleet.node(1).ready);
}

TEST_CASE("node_roles: the configured zone wins over INFO's") {
  auto with = config_of(2);
  with.upstream.nodes[0].zone = "eu-west-1a";
  NodeRoles roles(with);
  auto primary = primary_at(1);
  primary.zone = "elsewhere";
  auto replica = replica_at(1);
  replica.zone = "eu-west-1b";
  roles.answered(0, primary, 0, TimePoint{});
  roles.answered(1, replica, 0, TimePoint{});
  roles.set_own_zone("eu-west-1b");
  const auto topology = roles.take_changed();
  REQUIRE(topology->nodes[0].zone == "eu-west-1a");
  REQUIRE(topology->nodes[1].zone == "eu-west-1b");
  REQUIRE(topology->own_zone == "eu-west-1b");
}

TEST_CASE("node_roles: the round trip is the lowest of the last rounds and moves only for good") {
  Fleet fleet;
  REQUIRE(fleet.node(1).rtt_us == 500);
  auto noisy = replica_at(100);
  noisy.rtt_us = 900;
  fleet.says(1, noisy);
  REQUIRE(fleet.node(1).rtt_us == 500);
  for (int i = 0; i < 7; ++i) {
    fleet.says(1, noisy);
  }
  REQUIRE(fleet.node(1).rtt_us == 900);
  noisy.rtt_us = 700;  // within a quarter and 100 us
  fleet.says(1, noisy);
  REQUIRE(fleet.node(1).rtt_us == 900);
  noisy.rtt_us = 400;
  fleet.says(1, noisy);
  REQUIRE(fleet.node(1).rtt_us == 400);
}

TEST_CASE("node_roles: a single node is the primary, before it answers and as a replica too") {
  NodeRoles roles(config_of(1, config::UpstreamKind::Single));
  REQUIRE(roles.primary() == 0);
  roles.answered(0, cut_off(replica_at(7)), 3, TimePoint{});
  REQUIRE(roles.is_settled());
  const auto topology = roles.take_changed();
  REQUIRE(topology->primary == 0);
  REQUIRE(topology->nodes[0].role == Role::Replica);
  REQUIRE(topology->nodes[0].ready);
}

TEST_CASE("node_roles: without INFO the roles and offsets of ROLE are enough") {
  NodeRoles roles(config_of(2));
  ProbeAnswer primary;
  ProbeAnswer replica;
  REQUIRE(read_role({"master", "300", "1"}, primary));
  REQUIRE(read_role({"slave", "10.0.0.1", "6379", "connected", "300"}, replica));
  roles.answered(0, primary, 0, TimePoint{});
  roles.answered(0, primary, 2, TimePoint{});
  roles.answered(1, replica, 0, TimePoint{});
  const auto topology = roles.take_changed();
  REQUIRE(topology->primary == 0);
  REQUIRE(topology->nodes[1].ready);
  REQUIRE(topology->nodes[1].caught_up_epoch == 2);
}

TEST_CASE("node_roles: a node that comes later, goes, and comes back as another one") {
  Fleet fleet(config_of(3));
  fleet.roles.add("ro:6379#1");
  fleet.look();
  REQUIRE(fleet.seen->nodes.size() == 4);
  CHECK(fleet.node(3).name == "ro:6379#1");
  CHECK_FALSE(fleet.node(3).ready);
  fleet.roles.resolved(3, pannier::base::SocketAddress::from_ip("10.0.0.4", 6379));
  fleet.says(3, replica_at(100));
  CHECK(fleet.node(3).ready);

  fleet.roles.forget(3, "is gone");
  fleet.look();
  CHECK_FALSE(fleet.node(3).reachable);
  CHECK_FALSE(fleet.node(3).ready);
  CHECK(fleet.node(3).address.length == 0);
  CHECK(fleet.node(3).last_error == "is gone");
  CHECK(fleet.node(3).name == "ro:6379#1");
  CHECK(fleet.roles.is_settled());
}

TEST_CASE("node_roles: one server under two names is used once, by the earlier name") {
  Fleet fleet(config_of(3));
  auto replica = replica_at(100);
  replica.run_id = "r1";
  fleet.says(1, replica);
  fleet.says(2, replica);
  CHECK(fleet.node(1).ready);
  CHECK_FALSE(fleet.node(2).ready);
  CHECK(fleet.node(2).last_error == "is the same server as cache-1:6379");

  // The third node is promoted; later the first name points at it.
  fleet.dies(0);
  auto promoted = primary_at(200, "h2");
  promoted.run_id = "r2";
  fleet.says(2, promoted);
  CHECK(fleet.seen->primary == 2);
  fleet.says(0, promoted);
  CHECK(fleet.seen->primary == 0);
  CHECK(fleet.node(0).ready);
  fleet.says(2, promoted);
  CHECK(fleet.seen->primary == 0);
  CHECK_FALSE(fleet.node(2).ready);
}

TEST_CASE("node_roles: a node whose breaker is open is not ready, and a change is published") {
  Fleet fleet;
  fleet.roles.set_breaker(1, BreakerState::Open, fleet.now);
  const auto before = fleet.seen->generation;
  fleet.look();
  REQUIRE(fleet.seen->generation == before + 1);
  REQUIRE(fleet.node(1).breaker == BreakerState::Open);
  REQUIRE_FALSE(fleet.node(1).ready);
  REQUIRE(fleet.node(1).spare);
  REQUIRE_FALSE(fleet.node(1).is_refused());
  REQUIRE(fleet.node(1).last_error == "its breaker is open");
  fleet.says(1, replica_at(100));
  REQUIRE_FALSE(fleet.node(1).ready);
  fleet.roles.set_breaker(1, BreakerState::HalfOpen, fleet.now);
  fleet.look();
  REQUIRE(fleet.node(1).breaker == BreakerState::HalfOpen);
  REQUIRE(fleet.node(1).ready);
  REQUIRE_FALSE(fleet.node(1).spare);
  REQUIRE(fleet.node(1).last_error.empty());
}

TEST_CASE("node_roles: no spare node is what could not serve without its breaker either") {
  Fleet fleet;
  for (const NodeId id : {NodeId{0}, NodeId{1}, NodeId{2}}) {
    fleet.roles.set_breaker(id, BreakerState::Open, fleet.now);
  }
  auto loading = replica_at(100);
  loading.loading = true;
  fleet.says(1, loading);
  fleet.dies(2);
  REQUIRE_FALSE(fleet.node(0).spare);  // the primary
  REQUIRE_FALSE(fleet.node(1).spare);
  REQUIRE_FALSE(fleet.node(2).spare);
  REQUIRE(fleet.node(1).is_refused());
  fleet.says(1, replica_at(100));
  REQUIRE(fleet.node(1).spare);
}

TEST_CASE("node_roles: a node that does not answer keeps its own error, whatever its breaker") {
  Fleet fleet;
  fleet.dies(1);
  fleet.roles.set_breaker(1, BreakerState::Open, fleet.now);
  fleet.look();
  REQUIRE(fleet.node(1).last_error == "connection refused");
  fleet.roles.forget(1, "is gone");
  fleet.look();
  REQUIRE(fleet.node(1).breaker == BreakerState::Closed);
}
