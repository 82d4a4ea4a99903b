#include "pannier/upstream/connection.hpp"

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
using upstream::Fate;
using upstream::SlotIndex;
using Events = std::vector<std::string>;
using std::chrono::milliseconds;

namespace {

struct Linked {
  explicit Linked(const upstream::ConnectionSpec& spec = {0, 0, resp::Version::Resp2},
                  const config::Config& config = {})
      : up(config),
        connection(up.runtime, up, spec) {}

  void open() { REQUIRE(connection.open(test::node_at(server.address()))); }

  Peer welcome() {
    open();
    return test::welcome(up, server, connection);
  }

  bool closes() {
    return up.run_until([this] { return connection.is_closed(); });
  }

  Upstream up;
  Server server;
  Connection connection;
};

}  // namespace

TEST_CASE("connection: requests wait for the handshake, then go out in order", "[upstream]") {
  Linked linked;
  linked.open();
  const SlotIndex early = linked.up.ask(linked.connection, "one");
  REQUIRE(linked.up.runtime.slots[early].in_backlog);
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  const SlotIndex late = linked.up.ask(linked.connection, "two");
  REQUIRE(linked.connection.in_flight() == 3 + 2);
  peer.say("+OK\r\n-ERR no\r\n:");
  linked.up.settle();
  REQUIRE_FALSE(linked.connection.is_open());
  linked.up.runtime.now += milliseconds(20);
  peer.say("77\r\n");
  REQUIRE(linked.up.run_until([&] { return linked.connection.is_open(); }));
  REQUIRE(peer.hear(6) == "onetwo");
  REQUIRE_FALSE(linked.up.runtime.slots[late].in_backlog);
  REQUIRE(linked.up.runtime.slots[late].queued_us == 20000);
  peer.say("+1\r\n+2\r\n");
  REQUIRE(linked.up.run_until([&] { return linked.connection.in_flight() == 0; }));
  REQUIRE(linked.up.events == Events{"opened", "reply 0 + last <+1\r\n", "reply 1 + last <+2\r\n"});
  REQUIRE(linked.connection.upstream_id() == 77);
  REQUIRE(linked.up.node().connects.value() == 1);
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
  linked.up.pass(std::chrono::hours(1));  // the connect timer is off
  REQUIRE(linked.connection.is_open());
}

TEST_CASE("connection: RESP3, a secret and a database are part of the handshake", "[upstream]") {
  config::Config config;
  config.upstream.auth = config::Credentials{"app", "s3cret"};
  Linked linked({0, 3, resp::Version::Resp3}, config);
  Peer peer = linked.welcome();
  REQUIRE(linked.connection.is_open());
  peer.say(">1\r\n+hello\r\n");
  REQUIRE(linked.up.run_until([&] { return linked.up.events.size() == 2; }));
  REQUIRE(linked.up.events.back() == "push <>1\r\n+hello\r\n");
}

TEST_CASE("connection: a refused database closes it, nothing was sent", "[upstream]") {
  Linked linked({0, 99, resp::Version::Resp2});
  linked.open();
  linked.up.ask(linked.connection, "one");
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  peer.say("+OK\r\n+OK\r\n:1\r\n-ERR DB index is out of range\r\n");
  REQUIRE(linked.closes());
  REQUIRE(linked.connection.refusal() == "-ERR DB index is out of range\r\n");
  REQUIRE(linked.up.events == Events{"lost 0 not sent", "closed"});
  REQUIRE(linked.up.node().connect_failures.value() == 1);
  REQUIRE(linked.up.node().connects.value() == 0);
  REQUIRE(linked.up.node().connections_lost.value() == 0);
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: a node with too many clients says so", "[upstream]") {
  Linked linked;
  linked.open();
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  peer.say("-ERR max number of clients reached\r\n");
  peer.close();
  REQUIRE(linked.closes());
  REQUIRE(linked.connection.close_reason().find("max number of clients") != std::string::npos);
  REQUIRE(linked.up.events == Events{"closed"});
  REQUIRE(linked.up.node().connect_failures.value() == 1);
}

TEST_CASE("connection: an answer behind a refusal does not keep it from closing", "[upstream]") {
  Linked linked;
  linked.open();
  linked.up.ask(linked.connection, "one");
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  peer.say("-DENIED protected mode\r\nand more that is no reply\r\n");
  REQUIRE(linked.closes());
  REQUIRE(linked.up.events == Events{"lost 0 not sent", "closed"});
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: a node that loads its data is open, its refusals are replies",
          "[upstream]") {
  Linked linked;
  linked.open();
  linked.up.ask(linked.connection, "get");
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  const std::string loading = "-LOADING Redis is loading the dataset in memory\r\n";
  peer.say(loading + loading + loading);
  REQUIRE(linked.up.run_until([&] { return linked.connection.is_open(); }));
  REQUIRE(peer.hear(3) == "get");
  peer.say(loading);
  REQUIRE(linked.up.run_until([&] { return linked.up.events.size() == 2; }));
  REQUIRE(linked.up.events.back() == "reply 0 - last <" + loading);
}

TEST_CASE("connection: a node that closes during the handshake is a failed connect", "[upstream]") {
  Linked linked;
  linked.open();
  linked.up.ask(linked.connection, "one");
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  peer.say("+OK\r\n");
  peer.close();
  REQUIRE(linked.closes());
  REQUIRE(linked.up.events == Events{"lost 0 not sent", "closed"});
  REQUIRE(linked.up.node().connect_failures.value() == 1);
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: a node that refuses to connect is a failed connect", "[upstream]") {
  Linked linked;
  const route::Node node = test::node_at(linked.server.address());
  linked.server.stop();
  if (linked.connection.open(node)) {
    linked.up.ask(linked.connection, "one");
    REQUIRE(linked.closes());
    REQUIRE(linked.up.events == Events{"lost 0 not sent", "closed"});
  }
  REQUIRE(linked.connection.close_reason() == "Connection refused");
  REQUIRE(linked.up.node().connect_failures.value() == 1);
}

TEST_CASE("connection: a node without an address cannot be opened", "[upstream]") {
  Linked linked;
  route::Node node;
  node.last_error = "no such host";
  REQUIRE_FALSE(linked.connection.open(node));
  REQUIRE(linked.connection.close_reason() == "no such host");
  REQUIRE(linked.connection.is_closed());
  REQUIRE_FALSE(linked.connection.send(linked.up.make_slot(), "one"));
  REQUIRE(linked.up.events.empty());
}

TEST_CASE("connection: a node that accepts and says nothing times out", "[upstream]") {
  Linked linked;
  linked.open();
  linked.up.ask(linked.connection, "one");
  Peer peer = test::meet(linked.up, linked.server, linked.connection);
  linked.up.pass(milliseconds(249));
  REQUIRE_FALSE(linked.connection.is_closed());
  linked.up.pass(milliseconds(1));
  REQUIRE(linked.connection.is_closed());
  REQUIRE(linked.connection.close_reason() == "no answer to the handshake within timeouts.connect");
  REQUIRE(linked.up.events == Events{"lost 0 not sent", "closed"});
  REQUIRE(linked.up.node().connect_failures.value() == 1);
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
  REQUIRE_FALSE(linked.up.runtime.timers.next());
}

TEST_CASE("connection: a node that does not even accept times out", "[upstream]") {
  Linked linked;
  Server full(0);
  std::vector<Peer> fillers;
  for (int i = 0; i < 4; ++i) {  // a queue of one holds at most two
    int error = 0;
    fillers.emplace_back(net::start_connect(full.address(), error));
  }
  REQUIRE(linked.connection.open(test::node_at(full.address())));
  linked.up.settle();
  REQUIRE(linked.connection.state() == Connection::State::Connecting);
  linked.up.pass(milliseconds(250));
  REQUIRE(linked.connection.close_reason() == "no connection within timeouts.connect");
  REQUIRE(linked.up.node().connect_failures.value() == 1);
}

TEST_CASE("connection: destroyed while it connects it leaves no timer behind", "[upstream]") {
  Upstream up;
  Server server;
  {
    Connection connection(up.runtime, up, {0, 0, resp::Version::Resp2});
    REQUIRE(connection.open(test::node_at(server.address())));
    REQUIRE(up.runtime.timers.next());
  }
  REQUIRE_FALSE(up.runtime.timers.next());
  up.settle();
  REQUIRE(up.events.empty());
}

TEST_CASE("connection: an abandoned request never leaves the backlog", "[upstream]") {
  Linked linked;
  linked.open();
  const SlotIndex abandoned = linked.up.ask(linked.connection, "one");
  linked.up.ask(linked.connection, "two");
  const SlotIndex also = linked.up.ask(linked.connection, "three");
  linked.up.runtime.slots[abandoned].fate = Fate::Abandoned;
  linked.up.runtime.slots[also].fate = Fate::Abandoned;
  std::vector<std::size_t> in_flight;
  linked.up.lost = [&](Connection& connection) {
    in_flight.push_back(connection.in_flight());
  };
  Peer peer = test::welcome(linked.up, linked.server, linked.connection);
  REQUIRE(linked.up.events == Events{"lost 0 not sent", "lost 2 not sent", "opened"});
  REQUIRE(in_flight == std::vector<std::size_t>{1, 1});  // "two" is not forgotten meanwhile
  REQUIRE(peer.hear(3) == "two");
  peer.say("+2\r\n");
  REQUIRE(linked.up.run_until([&] { return linked.connection.in_flight() == 0; }));
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: the backlog has an end, the slot then stays the caller's", "[upstream]") {
  Linked linked;
  linked.open();
  for (std::size_t i = 0; i < Connection::kMaxBacklog; ++i) {
    linked.up.ask(linked.connection, "x");
  }
  const SlotIndex one_more = linked.up.make_slot();
  REQUIRE_FALSE(linked.connection.send(one_more, "x"));
  linked.up.runtime.slots.give(one_more);
  linked.connection.close("enough");
  REQUIRE(linked.up.events.size() == Connection::kMaxBacklog + 1);
  REQUIRE(linked.up.events.back() == "closed");
  REQUIRE(linked.up.runtime.slots.in_use() == 0);
}
