#include "pannier/upstream/connection.hpp"

#include "upstream_fixture.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pannier;
using test::Peer;
using test::Server;
using test::Upstream;
using upstream::Connection;
using upstream::SlotIndex;
using Events = std::vector<std::string>;

namespace {

// A connection that is ready, and the server's end of it.
struct Ready {
  Ready() {
    REQUIRE(connection.open(test::node_at(server.address())));
    peers.push_back(test::welcome(up, server, connection));
    up.events.clear();
  }

  Peer& peer() { return peers.front(); }

  bool closes() {
    return up.run_until([this] { return connection.is_closed(); });
  }

  bool sees(std::size_t events) {
    return up.run_until([&] { return up.events.size() >= events; });
  }

  Upstream up;
  Server server;
  Connection connection{up.runtime, up, {0, 0, resp::Version::Resp2}};
  std::vector<Peer> peers;
};

}  // namespace

TEST_CASE("connection: a node that closes within a reply loses it and what waits behind",
          "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.ask(ready.connection, "two");
  ready.up.ask(ready.connection, "three");
  ready.up.flush();
  REQUIRE(ready.peer().hear(11) == "onetwothree");
  ready.peer().say("+1\r\n$10\r\nhalf");
  ready.peer().close();
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events ==
          Events{"reply 0 + last <+1\r\n", "lost 1 sent", "lost 2 sent", "closed"});
  REQUIRE(ready.connection.close_reason() == "closed by the node");
  REQUIRE(ready.up.node().connections_lost.value() == 1);
  REQUIRE(ready.up.node().connect_failures.value() == 0);
  REQUIRE(ready.up.runtime.slots.in_use() == 0);
  REQUIRE_FALSE(ready.connection.send(ready.up.make_slot(), "four"));
}

TEST_CASE("connection: a large reply that breaks off had started", "[upstream]") {
  Ready ready;
  const SlotIndex index = ready.up.ask(ready.connection, "one");
  bool started = false;
  ready.up.lost = [&](Connection&) {
    started = ready.up.runtime.slots[index].started;
  };
  ready.up.flush();
  REQUIRE(ready.peer().hear(3) == "one");
  ready.peer().say("$100000\r\nfirst");
  REQUIRE(ready.sees(1));
  ready.peer().reset();
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events == Events{"reply 0 $ part <$100000\r\nfirst", "lost 0 sent", "closed"});
  REQUIRE(started);
}

TEST_CASE("connection: lost requests whose bytes had left are told from those that had not",
          "[upstream]") {
  Ready ready;
  const std::string large(1024 * 1024, 'x');
  ready.up.ask(ready.connection, "small");
  std::size_t asked = 1;
  while (ready.connection.pipeline().unsent() < 2 * large.size()) {
    ready.up.ask(ready.connection, large);
    ready.up.settle();  // until the socket takes no more
    ++asked;
  }
  ready.up.events.clear();
  ready.up.ask(ready.connection, "never");
  ready.up.flush();
  REQUIRE(ready.peer().hear(5) == "small");
  ready.peer().reset();
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events.size() == asked + 2);
  REQUIRE(ready.up.events[0] == "lost 0 sent");
  REQUIRE(ready.up.events[1] == "lost 1 sent");
  REQUIRE(ready.up.events[asked - 1] == "lost " + std::to_string(asked - 1) + " not sent");
  REQUIRE(ready.up.events[asked] == "lost " + std::to_string(asked) + " not sent");
  REQUIRE(ready.up.events.back() == "closed");
  REQUIRE(ready.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: a reply that nobody asked for closes it", "[upstream]") {
  Ready ready;
  ready.peer().say("+hello\r\n");
  REQUIRE(ready.closes());
  REQUIRE(ready.connection.close_reason() ==
          "the reply stream is out of step: a reply that nobody asked for: +hello\\x0d\\x0a");
  REQUIRE(ready.up.events == Events{"closed"});
  REQUIRE(ready.up.node().connections_lost.value() == 1);
}

TEST_CASE("connection: closed by Pannier it is not counted as lost", "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.connection.close("enough");
  ready.connection.close("again");
  REQUIRE(ready.up.events == Events{"lost 0 not sent", "closed"});
  REQUIRE(ready.connection.close_reason() == "enough");
  REQUIRE(ready.up.node().connections_lost.value() == 0);
  ready.up.flush();
  REQUIRE(ready.peer().hear(1).empty());  // end of file
}

TEST_CASE("connection: closed within on_reply it ends once the read is done", "[upstream]") {
  Ready ready;
  for (const auto* request : {"one", "two", "three"}) {
    ready.up.ask(ready.connection, request);
  }
  ready.up.replied = [&](Connection& connection) {
    connection.close("within");
    REQUIRE(connection.is_closed());
    const SlotIndex late = ready.up.make_slot();
    REQUIRE_FALSE(connection.send(late, "four"));
    ready.up.runtime.slots.give(late);
  };
  ready.up.flush();
  REQUIRE(ready.peer().hear(11) == "onetwothree");
  ready.peer().say("+1\r\n");
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events ==
          Events{"reply 0 + last <+1\r\n", "lost 1 sent", "lost 2 sent", "closed"});
  REQUIRE(ready.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: closed within on_reply, before bytes out of step, it still ends",
          "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.ask(ready.connection, "two");
  ready.up.replied = [](Connection& connection) {
    connection.close("within");
  };
  ready.up.flush();
  REQUIRE(ready.peer().hear(6) == "onetwo");
  ready.peer().say("+1\r\nnot a reply\r\n");
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events == Events{"reply 0 + last <+1\r\n", "lost 1 sent", "closed"});
  REQUIRE(ready.connection.close_reason() == "within");
  REQUIRE(ready.up.runtime.slots.in_use() == 0);
}

TEST_CASE("connection: closed within on_lost and on_closed it ends once", "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.ask(ready.connection, "two");
  ready.up.lost = [](Connection& connection) {
    connection.close("again");
  };
  ready.up.closed = [](Connection& connection) {
    connection.close("and again");
  };
  ready.connection.close("first");
  REQUIRE(ready.up.events == Events{"lost 0 not sent", "lost 1 not sent", "closed"});
  REQUIRE(ready.connection.close_reason() == "first");
}

TEST_CASE("connection: requests sent within on_reply go out with the turn", "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.replied = [&](Connection& connection) {
    ready.up.replied = nullptr;
    ready.up.ask(connection, "two");
  };
  ready.up.flush();
  REQUIRE(ready.peer().hear(3) == "one");
  ready.peer().say("+1\r\n");
  REQUIRE(ready.sees(1));
  REQUIRE(ready.peer().hear(3) == "two");
  ready.peer().say("+2\r\n");
  REQUIRE(ready.sees(2));
}

TEST_CASE("connection: paused it reads nothing, resumed it reads what came", "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.flush();
  REQUIRE(ready.peer().hear(3) == "one");
  ready.connection.pause_reading();
  ready.peer().say("+1\r\n");
  ready.up.ask(ready.connection, "two");  // writing goes on, and does not start reading
  ready.up.settle();
  REQUIRE(ready.peer().hear(3) == "two");
  REQUIRE(ready.up.events.empty());
  ready.connection.resume_reading();
  REQUIRE(ready.sees(1));
  REQUIRE(ready.up.events == Events{"reply 0 + last <+1\r\n"});
}

TEST_CASE("connection: what came before the end is read after a pause", "[upstream]") {
  Ready ready;
  ready.up.ask(ready.connection, "one");
  ready.up.flush();
  REQUIRE(ready.peer().hear(3) == "one");
  ready.connection.pause_reading();
  ready.peer().say("+1\r\n");
  ready.peer().close();
  ready.up.settle();
  ready.connection.resume_reading();
  REQUIRE(ready.closes());
  REQUIRE(ready.up.events == Events{"reply 0 + last <+1\r\n", "closed"});
}

TEST_CASE("connection: who was told to wait hears when the socket has taken the bytes",
          "[upstream]") {
  const bool streamed = GENERATE(true, false);
  Ready ready;
  const std::string piece(512 * 1024, 'x');
  std::size_t asked = 5;
  ready.up.ask(ready.connection, "start");
  while (ready.connection.pipeline().unsent() < 4 * piece.size()) {
    if (streamed) {
      ready.connection.send_more(piece);
    } else {
      ready.up.ask(ready.connection, piece);
    }
    asked += piece.size();
    ready.up.settle();  // until the socket takes no more
  }
  ready.up.events.clear();
  std::size_t heard = 0;
  while (heard < asked) {
    heard += ready.peer().hear(std::min<std::size_t>(asked - heard, 64 * 1024)).size();
    ready.up.settle();
  }
  REQUIRE(ready.up.events == Events{"drained"});
}
