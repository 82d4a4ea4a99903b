#include "near_cache_rig.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// The near cache with reads on a replica that lags, is cut off or takes over
// (research/coherence.md §1.2 and §6, behaviour 3.5).
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kKey = "product:1";
constexpr const char* kHeard = "pannier_near_cache_invalidations_total";

// A primary and a replica that hears of it through `link`. `through_front`: Pannier sees the
// primary through a relay too, and hears of its changes a little later.
struct Pair {
  explicit Pair(const std::string& reads = "replica", bool through_front = false)
      : pannier(options(
            reads,
            {through_front ? "127.0.0.1:" + std::to_string(front.port()) : primary.address(),
             replica.address()})) {}

  static RedisServer start_replica(int link_port) {
    RedisServer server({"--replicaof", "127.0.0.1", std::to_string(link_port)});
    server.wait_for_info("master_link_status", "up");
    return server;
  }

  static PannierOptions options(const std::string& reads,
                                const std::vector<std::string>& addresses) {
    CacheOptions cache;
    cache.rule = "reads: " + reads + ",";
    PannierOptions out = options_of(cache, Way::Broadcast, addresses);
    if (reads == "same-zone") {
      out.upstream = "{ nodes: [{ address: \"" + addresses[0] + "\", zone: far }, { address: \"" +
                     addresses[1] + "\", zone: near }], timeouts: { connect: 2s, attempt: 2s, " +
                     "read: 20s, write: 20s } }";
      out.rest = "zone: near";
    }
    return out;
  }

  std::string foreign(const Words& words) {
    std::string reply = direct.call(words);
    static_cast<void>(direct.call({"ECHO", "written"}));
    return reply;
  }

  void wait_until_applied(const std::string& key, const std::string& value) const {
    RawClient there(replica.port());
    REQUIRE(wait_until([&] { return there.call({"GET", key}) == bulk(value); }));
  }

  // Until both tell of changes.
  void wait_until_heard() const {
    REQUIRE(wait_until(
        [&] { return pannier.metric_sum("pannier_coherence_rung", "rung=\"resp3\"") == 2; }));
  }

  // Until the replica serves reads of the class, too.
  void wait_until_used(RawClient& client) {
    wait_until_heard();
    int tries = 0;
    REQUIRE(wait_until([&] {
      const std::string key = "product:unused:" + std::to_string(++tries);
      static_cast<void>(client.call({"GET", key}));
      return on_replica.count({"GET", key}) == 1;
    }));
  }

  RedisServer primary;
  Relay link{primary.port()};
  Relay front{primary.port()};
  RedisServer replica = start_replica(link.port());
  RawClient direct{primary.port()};
  CommandWatch on_primary{primary};
  CommandWatch on_replica{replica};
  PannierProcess pannier;
};

}  // namespace

TEST_CASE("near cache case 32: after news of a change no replica that has not applied it is read") {
  const std::string reads = GENERATE(as<std::string>{}, "replica", "same-zone", "nearest");
  CAPTURE(reads);
  Pair pair(reads);
  RawClient client(pair.pannier.port());
  if (reads != "nearest") {  // which of the two is nearer nobody knows
    pair.wait_until_used(client);
  }
  pair.wait_until_heard();
  pair.foreign({"SET", kKey, "v1"});
  pair.wait_until_applied(kKey, "v1");
  pair.link.stall_replies(true);
  for (int i = 2; i < 20; ++i) {
    const std::string value = "v" + std::to_string(i);
    pair.foreign({"SET", kKey, value});
    CHECK(client.call({"GET", kKey}) == bulk(value));
    settle(client);
    CHECK(client.call({"GET", kKey}) == bulk(value));
  }
  CHECK(RawClient(pair.replica.port()).call({"GET", kKey}) == bulk("v1"));  // it did lag
  pair.link.stall_replies(false);
  pair.wait_until_applied(kKey, "v19");
  CHECK(client.call({"GET", kKey}) == bulk("v19"));
}

TEST_CASE(
    "near cache case 32: the primary's news is late: the replica's own removes what it filled") {
  Pair pair("replica", true);
  RawClient client(pair.pannier.port());
  pair.wait_until_used(client);
  pair.foreign({"SET", kKey, "v1"});
  pair.wait_until_applied(kKey, "v1");
  CHECK(client.call({"PANNIER", "BYPASS", "ON", "1m"}) == "+OK\r\n");
  const auto goes_to_replica = [&] {
    const std::size_t before = pair.on_replica.count({"GET", kKey});
    static_cast<void>(client.call({"GET", kKey}));
    return pair.on_replica.count({"GET", kKey}) > before;
  };
  REQUIRE(wait_until(goes_to_replica));  // whatever was heard of the key before
  CHECK(client.call({"PANNIER", "BYPASS", "OFF"}) == "+OK\r\n");
  REQUIRE(goes_to_replica());
  settle(client);
  pair.link.stall_replies(true);
  pair.front.stall_replies(true);
  const double heard = pair.pannier.metric_sum(kHeard);
  pair.foreign({"SET", kKey, "v2"});
  CHECK(client.call({"GET", kKey}) == bulk("v1"));  // nobody has told yet
  pair.link.stall_replies(false);
  pair.wait_until_applied(kKey, "v2");
  REQUIRE(wait_until([&] { return pair.pannier.metric_sum(kHeard) > heard; }));
  pair.front.stall_replies(false);
  REQUIRE(wait_until([&] { return client.call({"GET", kKey}) == bulk("v2"); }));
  for (int i = 0; i < 20; ++i) {
    CHECK(client.call({"GET", kKey}) == bulk("v2"));
  }
}

TEST_CASE("near cache case 33: a replica whose link is down is not read") {
  Pair pair;
  RawClient client(pair.pannier.port());
  pair.wait_until_used(client);
  pair.foreign({"SET", kKey, "v1"});
  pair.wait_until_applied(kKey, "v1");
  pair.link.refuse(true);
  pair.link.drop_all();
  pair.replica.wait_for_info("master_link_status", "down");
  for (int i = 2; i < 50; ++i) {
    const std::string value = "v" + std::to_string(i);
    pair.foreign({"SET", kKey, value});
    CHECK(client.call({"GET", kKey}) == bulk(value));
    CHECK(client.call({"GET", kKey}) == bulk(value));
  }
  REQUIRE(wait_until([&] { return pair.pannier.metric_sum("pannier_upstream_ready") == 1; }));
  pair.on_replica.clear();
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(client.call({"GET", "product:other:" + std::to_string(i)}));
  }
  CHECK(pair.on_replica.count({"GET"}) == 0);
}

TEST_CASE("near cache case 34: after an own write the replica is read once it has applied it") {
  const std::string reads = GENERATE(as<std::string>{}, "replica", "same-zone");
  CAPTURE(reads);
  Pair pair(reads);
  RawClient client(pair.pannier.port());
  RawClient other(pair.pannier.port());
  pair.wait_until_used(client);
  pair.foreign({"SET", kKey, "v1"});
  pair.wait_until_applied(kKey, "v1");
  pair.on_replica.clear();
  pair.link.stall_replies(true);
  for (int i = 2; i < 50; ++i) {
    const std::string value = "v" + std::to_string(i);
    CHECK(client.call({"SET", kKey, value}) == "+OK\r\n");
    CHECK(client.call({"GET", kKey}) == bulk(value));
    CHECK(other.call({"GET", kKey}) == bulk(value));
  }
  CHECK(pair.on_replica.count({"GET", kKey}) == 0);
  pair.link.stall_replies(false);
  pair.wait_until_applied(kKey, "v49");
  CHECK(client.call({"PANNIER", "BYPASS", "ON", "1m"}) == "+OK\r\n");
  REQUIRE(wait_until([&] {
    pair.on_replica.clear();
    CHECK(client.call({"GET", kKey}) == bulk("v49"));
    return pair.on_replica.count({"GET", kKey}) == 1;
  }));
}

TEST_CASE("near cache case 35: after a failover the new primary is read, nothing of the old one") {
  Pair pair;
  RawClient client(pair.pannier.port());
  pair.wait_until_used(client);
  CHECK(client.call({"SET", kKey, "v1"}) == "+OK\r\n");
  pair.wait_until_applied(kKey, "v1");
  CHECK(client.call({"GET", kKey}) == bulk("v1"));
  CHECK(client.call({"SET", kKey, "v2"}) == "+OK\r\n");
  pair.wait_until_applied(kKey, "v2");
  pair.primary.kill();
  RawClient there(pair.replica.port());
  CHECK(there.call({"REPLICAOF", "NO", "ONE"}) == "+OK\r\n");
  CHECK(there.call({"SET", kKey, "v3"}) == "+OK\r\n");
  REQUIRE(wait_until([&] { return client.call({"SET", "product:2", "w"}) == "+OK\r\n"; }));
  REQUIRE(wait_until([&] { return client.call({"GET", kKey}) == bulk("v3"); }));
  for (int i = 4; i < 20; ++i) {
    const std::string value = "v" + std::to_string(i);
    CHECK(client.call({"SET", kKey, value}) == "+OK\r\n");
    CHECK(client.call({"GET", kKey}) == bulk(value));
  }
}

TEST_CASE("near cache: with a replica that lags by 50 ms own writes and foreign ones are seen") {
  Pair pair;
  RawClient writer(pair.pannier.port());
  RawClient reader(pair.pannier.port());
  pair.wait_until_used(writer);
  pair.link.delay_replies(50ms);
  for (int i = 0; i < 100; ++i) {
    const std::string key = "product:" + std::to_string(i % 3);
    const std::string value = std::to_string(i);
    if (i % 2 == 0) {
      CHECK(writer.call({"SET", key, value}) == "+OK\r\n");
    } else {
      pair.foreign({"SET", key, value});
    }
    CHECK(reader.call({"GET", key}) == bulk(value));
    CHECK(writer.call({"GET", key}) == bulk(value));
  }
}

}  // namespace pannier::test
