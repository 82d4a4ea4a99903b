#include "relay.hpp"

#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

// The faults that other tests stand on: each does what it says, and no more.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Ending = Relay::Ending;
using Side = Relay::Side;

constexpr auto kSilent = 150ms;  // long enough to say that nothing comes

struct Rig {
  RedisServer server;
  Relay relay{server.port()};
  RawClient first{relay.port()};
  RawClient second{relay.port()};
  RawClient direct{server.port()};

  Rig() {
    REQUIRE(first.call({"SET", "k", "0123456789"}) == "+OK\r\n");
    REQUIRE(second.call({"PING"}) == "+PONG\r\n");
  }
};

}  // namespace

TEST_CASE("relay: delays of requests and of replies add up", "[support]") {
  Rig rig;
  rig.relay.delay_requests(60ms);
  rig.relay.delay_replies(60ms);
  const auto start = Clock::now();
  CHECK(rig.first.call({"GET", "k"}) == bulk("0123456789"));
  CHECK(Clock::now() - start >= 120ms);
  rig.relay.delay_requests(0ms);
  rig.relay.delay_replies(0ms);
  CHECK(rig.first.call({"PING"}) == "+PONG\r\n");
}

TEST_CASE("relay: a fault concerns the chosen connections", "[support]") {
  Rig rig;
  rig.relay.choose([](std::size_t number) { return number == 1; });
  rig.relay.stall_requests(true);
  rig.first.ask({"SET", "k", "late"});
  CHECK(rig.second.call({"GET", "k"}) == bulk("0123456789"));
  CHECK_FALSE(rig.first.has_input(kSilent));
  rig.relay.stall_requests(false);
  CHECK(rig.first.read() == "+OK\r\n");
}

TEST_CASE("relay: a partition holds what is sent and takes nobody", "[support]") {
  Rig rig;
  rig.relay.partition(true);
  rig.first.ask({"SET", "k", "late"});
  RawClient third(rig.relay.port());
  third.ask({"PING"});
  CHECK_FALSE(third.has_input(kSilent));
  CHECK(rig.direct.call({"GET", "k"}) == bulk("0123456789"));
  CHECK(rig.relay.accepted() == 2);
  rig.relay.partition(false);
  CHECK(rig.first.read() == "+OK\r\n");
  CHECK(third.read() == "+PONG\r\n");
}

TEST_CASE("relay: a reply is cut within, by a reset, an end or silence", "[support]") {
  const auto ending = GENERATE(Ending::Reset, Ending::Close, Ending::Silence);
  Rig rig;
  rig.relay.cut_after(9, ending);
  rig.first.ask({"GET", "k"});
  std::string came;
  rig.first.read_bytes(9, [&](std::string_view part) { came += part; });
  CHECK(came == "$10\r\n0123");
  if (ending == Ending::Silence) {
    CHECK_FALSE(rig.first.has_input(kSilent));
    rig.first.ask({"SET", "k", "lost"});
  } else {
    CHECK(rig.first.read_to_end().empty());
  }
  CHECK(rig.second.call({"GET", "k"}) == bulk("0123456789"));
}

TEST_CASE("relay: half closed, the other direction goes on", "[support]") {
  const auto side = GENERATE(Side::Requests, Side::Replies);
  Rig rig;
  rig.relay.choose([](std::size_t number) { return number == 1; });
  rig.relay.half_close(side);
  if (side == Side::Replies) {
    CHECK(rig.first.read_to_end().empty());
    rig.first.ask({"SET", "k", "v"});
    CHECK(wait_until([&] { return rig.direct.call({"GET", "k"}) == bulk("v"); }));
  } else {
    CHECK(rig.first.read_to_end().empty());  // the server closes in turn
  }
  CHECK(rig.second.call({"PING"}) == "+PONG\r\n");
}

TEST_CASE("relay: all that are open fall silent, new ones are not concerned", "[support]") {
  Rig rig;
  rig.relay.end_all(Ending::Silence);
  rig.first.ask({"PING"});
  CHECK_FALSE(rig.first.has_input(kSilent));
  CHECK(RawClient(rig.relay.port()).call({"PING"}) == "+PONG\r\n");
}

TEST_CASE("relay: refused, and taken again", "[support]") {
  Rig rig;
  rig.relay.refuse(true);
  CHECK(RawClient(rig.relay.port()).read_to_end().empty());
  CHECK(rig.first.call({"PING"}) == "+PONG\r\n");
  rig.relay.refuse(false);
  CHECK(RawClient(rig.relay.port()).call({"PING"}) == "+PONG\r\n");
  rig.relay.drop_all();
  CHECK(rig.first.read_to_end().empty());
}

}  // namespace pannier::test
