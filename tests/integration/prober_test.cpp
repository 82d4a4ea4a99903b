#include "pannier/upstream/prober.hpp"

#include "redis_server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier;
using route::NodeId;
using route::Role;
using route::Topology;
using test::RedisServer;

namespace {

constexpr auto kProbe = 400ms;

config::Config config_of(const std::vector<std::string>& addresses) {
  config::Config out;
  out.upstream.kind = config::UpstreamKind::Replicated;
  out.upstream.probe = kProbe;
  for (const auto& address : addresses) {
    config::Node node;
    REQUIRE(base::Endpoint::parse(address, node.address));
    out.upstream.nodes.push_back(node);
  }
  return out;
}

// A prober on a control thread of its own, and the snapshots that it published.
class Probed {
 public:
  explicit Probed(const config::Config& config)
      : prober_(io_, config, writes, [this](route::TopologyPtr next) { keep(std::move(next)); }),
        started_(base::Clock::now()),
        thread_([this] { io_.run(); }) {
    boost::asio::post(io_, [this] { prober_.start(); });
  }

  ~Probed() {
    boost::asio::post(io_, [this] { prober_.stop(); });
    guard_.reset();
    thread_.join();
  }

  // Waits until a snapshot fulfils the condition; the time since `from`, or more than any limit.
  base::Duration when(const std::function<bool(const Topology&)>& condition,
                      base::TimePoint from,
                      base::Duration limit = 10s) {
    std::unique_lock lock(mutex_);
    const bool met = published_.wait_for(lock, limit, [&] { return seen_ && condition(*seen_); });
    return met ? base::Clock::now() - from : base::Duration::max();
  }

  bool reaches(const std::function<bool(const Topology&)>& condition) {
    return when(condition, base::Clock::now()) != base::Duration::max();
  }

  Topology seen() {
    const std::lock_guard lock(mutex_);
    return seen_ ? *seen_ : Topology{};
  }

  void set_own_zone(const std::string& zone) {
    boost::asio::post(io_, [this, zone] { prober_.set_own_zone(zone); });
  }

  base::TimePoint started() const { return started_; }

  upstream::Prober& prober() { return prober_; }

 private:
  void keep(route::TopologyPtr next) {
    const std::lock_guard lock(mutex_);
    seen_ = std::move(next);
    published_.notify_all();
  }

 public:
  route::RecentWrites writes{0s};

 private:
  std::mutex mutex_;
  std::condition_variable published_;
  route::TopologyPtr seen_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{
      io_.get_executor()};
  upstream::Prober prober_;
  base::TimePoint started_;
  std::thread thread_;
};

void command(const RedisServer& server, const std::string& line) {
  redisContext* context = redisConnect("127.0.0.1", server.port());
  REQUIRE(context->err == 0);
  auto* reply = static_cast<redisReply*>(redisCommand(context, line.c_str()));
  REQUIRE(reply != nullptr);
  INFO(line);
  REQUIRE(reply->type != REDIS_REPLY_ERROR);
  freeReplyObject(reply);
  redisFree(context);
}

// A primary and two replicas, in step.
struct Fleet {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a);
  RedisServer c = RedisServer::start_replica_of(a);

  std::vector<std::string> addresses() const { return {a.address(), b.address(), c.address()}; }
};

bool all_ready(const Topology& topology) {
  for (const auto& node : topology.nodes) {
    if (!node.ready) {
      return false;
    }
  }
  return topology.has_primary();
}

}  // namespace

TEST_CASE("prober: finds the roles of a primary and two replicas") {
  const Fleet fleet;
  auto with = config_of(fleet.addresses());
  with.upstream.nodes[1].zone = "zone-b";
  Probed probed(with);
  const auto first =
      probed.when([](const Topology& t) { return t.has_primary(); }, probed.started());
  REQUIRE(first < 200ms);  // it takes a few; the machine may be busy
  REQUIRE(probed.reaches(all_ready));

  const auto topology = probed.seen();
  REQUIRE(topology.primary == 0);
  REQUIRE(topology.nodes[0].role == Role::Primary);
  REQUIRE(topology.nodes[1].role == Role::Replica);
  REQUIRE(topology.nodes[2].role == Role::Replica);
  REQUIRE(topology.nodes[1].zone == "zone-b");
  REQUIRE(topology.nodes[2].address.to_string() == fleet.c.address());
  REQUIRE(topology.nodes[2].run_id == fleet.c.info("run_id"));
  REQUIRE(topology.nodes[2].rtt_us > 0);
  REQUIRE(topology.server_version == fleet.a.info("redis_version"));
}

TEST_CASE("prober: publishes nothing while nothing happens") {
  const Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));
  std::this_thread::sleep_for(3 * kProbe);
  const auto settled = probed.seen().generation;
  std::this_thread::sleep_for(3 * kProbe);
  // A round trip may move for good on a busy machine.
  REQUIRE(probed.seen().generation <= settled + 2);
}

TEST_CASE("prober: finds a failover within two probes") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));

  fleet.a.kill();
  command(fleet.b, "REPLICAOF NO ONE");
  command(fleet.c, "REPLICAOF 127.0.0.1 " + std::to_string(fleet.b.port()));
  const auto found =
      probed.when([](const Topology& t) { return t.primary == 1; }, base::Clock::now());
  REQUIRE(found < 2 * kProbe);
  REQUIRE(probed.reaches([](const Topology& t) { return !t.nodes[0].reachable; }));
  REQUIRE(probed.reaches([](const Topology& t) { return t.nodes[2].ready; }));
}

TEST_CASE("prober: refresh finds a failover at once, also when asked a thousand times") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));

  fleet.a.kill();
  command(fleet.b, "REPLICAOF NO ONE");
  const auto from = base::Clock::now();
  for (int i = 0; i < 1000; ++i) {
    probed.prober().refresh();
  }
  REQUIRE(probed.when([](const Topology& t) { return t.primary == 1; }, from) < kProbe / 2);
}

TEST_CASE("prober: a stopped replica is not ready, and is again when it is back") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));
  fleet.c.stop();
  const auto gone = [](const Topology& t) {
    return !t.nodes[2].reachable && !t.nodes[2].ready;
  };
  REQUIRE(probed.when(gone, base::Clock::now()) < 2 * kProbe);
  REQUIRE(probed.seen().nodes[2].role == Role::Replica);
  REQUIRE_FALSE(probed.seen().nodes[2].last_error.empty());

  fleet.c.restart();
  REQUIRE(probed.reaches(all_ready));
}

TEST_CASE("prober: replicas stay ready while the primary is gone") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));
  fleet.a.kill();
  REQUIRE(probed.reaches([](const Topology& t) { return !t.nodes[0].reachable; }));
  for (int i = 0; i < 10; ++i) {
    std::this_thread::sleep_for(kProbe / 2);
    const auto topology = probed.seen();
    REQUIRE(topology.primary == 0);
    REQUIRE(topology.nodes[1].ready);
    REQUIRE(topology.nodes[2].ready);
  }
}

TEST_CASE("prober: a frozen node is not reachable within two probes") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));
  fleet.c.freeze();
  const auto lost =
      probed.when([](const Topology& t) { return !t.nodes[2].reachable; }, base::Clock::now());
  REQUIRE(lost < 2 * kProbe + 100ms);  // 100 ms for a busy machine
  fleet.c.thaw();
  REQUIRE(probed.reaches(all_ready));
}

TEST_CASE("prober: a name that does not resolve leaves the other nodes alone") {
  const RedisServer a;
  Probed probed(config_of({a.address(), "no-such-node.invalid:6379"}));
  REQUIRE(probed.reaches([](const Topology& t) { return t.nodes[0].ready; }));
  REQUIRE(probed.reaches([](const Topology& t) {
    return t.nodes[1].last_error.starts_with("its name does not resolve");
  }));
  REQUIRE(probed.seen().nodes[1].address.length == 0);
}

TEST_CASE("prober: a node is found by its name") {
  const RedisServer a;
  Probed probed(config_of({"localhost:" + std::to_string(a.port())}));
  REQUIRE(probed.reaches(all_ready));
  REQUIRE(probed.seen().nodes[0].address.to_string() == a.address());
}

TEST_CASE("prober: nodes that refuse connections are published as such") {
  Probed probed(config_of({"127.0.0.1:" + std::to_string(test::free_port())}));
  REQUIRE(probed.reaches([](const Topology& t) { return !t.nodes[0].last_error.empty(); }));
  REQUIRE_FALSE(probed.seen().has_primary());
}

TEST_CASE("prober: a wrong password is told as such") {
  const RedisServer a({"--requirepass", "right"});
  auto with = config_of({a.address()});
  with.upstream.auth = config::Credentials{"", "wrong"};
  Probed refused(with);
  REQUIRE(refused.reaches([](const Topology& t) {
    return t.nodes[0].last_error.starts_with("authentication failed: WRONGPASS");
  }));
  with.upstream.auth->password = "right";
  Probed accepted(with);
  REQUIRE(accepted.reaches(all_ready));
}

TEST_CASE("prober: a user without INFO gets roles and offsets from ROLE") {
  const Fleet fleet;
  for (const auto* server : {&fleet.a, &fleet.b, &fleet.c}) {
    command(*server, "ACL SETUSER app on >secret ~* +@all -info");
  }
  auto with = config_of(fleet.addresses());
  with.upstream.auth = config::Credentials{"app", "secret"};
  Probed probed(with);
  REQUIRE(probed.reaches(all_ready));
  REQUIRE(probed.seen().primary == 0);
}

TEST_CASE("prober: a single node that is a replica serves") {
  const Fleet fleet;
  auto with = config_of({fleet.b.address()});
  with.upstream.kind = config::UpstreamKind::Single;
  Probed probed(with);
  REQUIRE(probed.reaches([](const Topology& t) { return t.nodes[0].ready; }));
  REQUIRE(probed.seen().primary == 0);
  REQUIRE(probed.seen().nodes[0].role == Role::Replica);
}

TEST_CASE("prober: a replica catches up after a write, and not while it is frozen") {
  Fleet fleet;
  Probed probed(config_of(fleet.addresses()));
  REQUIRE(probed.reaches(all_ready));
  const auto key = route::RecentWrites::hash("k");
  const auto write = [&](const std::string& value) {
    probed.writes.begin(key);
    command(fleet.a, "SET k " + value);
    probed.writes.end(key, base::Clock::now());
  };
  const auto may_serve = [&](const Topology& t, NodeId id) {
    return probed.writes.replica_may_serve(key, t.nodes[id].caught_up_epoch, base::Clock::now());
  };

  write("1");
  REQUIRE_FALSE(may_serve(probed.seen(), 1));
  REQUIRE(probed.reaches([&](const Topology& t) { return may_serve(t, 1) && may_serve(t, 2); }));

  fleet.c.freeze();
  write("2");
  REQUIRE(probed.reaches([&](const Topology& t) { return may_serve(t, 1); }));
  REQUIRE_FALSE(may_serve(probed.seen(), 2));
  fleet.c.thaw();
  REQUIRE(probed.reaches([&](const Topology& t) { return may_serve(t, 2) && t.nodes[2].ready; }));
}

TEST_CASE("prober: our own zone is published when it is found") {
  const RedisServer a;
  Probed probed(config_of({a.address()}));
  REQUIRE(probed.reaches(all_ready));
  probed.set_own_zone("eu-west-1a");
  REQUIRE(probed.reaches([](const Topology& t) { return t.own_zone == "eu-west-1a"; }));
}
