#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

// Sessions that hold an exclusive upstream connection (behaviour §2).
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kPatient = "timeouts: { connect: 5s, read: 20s, write: 20s }";

std::string id_of(RawClient& client) {
  return std::to_string(client.call_integer({"CLIENT", "ID"}));
}

// The server's clients, without the one that asks.
long clients_of(const RedisServer& server) {
  return std::stol(server.info("connected_clients")) - 1;
}

double pinned_used(const PannierProcess& pannier) {
  return pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"");
}

double pinned_idle(const PannierProcess& pannier) {
  return pannier.metric_sum("pannier_upstream_pinned", "state=\"idle\"");
}

void wait_until_blocked(const RedisServer& server, const std::string& count) {
  server.wait_for_info("blocked_clients", count, 5s);
}

}  // namespace

TEST_CASE("pinned: a blocked BLPOP whose client vanishes loses no element", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient direct(server.port());
  std::string behind;
  const std::string filler(1000, 'x');
  for (int i = 0; i < 200; ++i) {
    behind += request({"ECHO", filler});  // more than Pannier reads ahead
  }
  for (int i = 0; i < 80; ++i) {
    const std::string key = "queue:" + std::to_string(i);
    RawClient victim(pannier.port());
    victim.ask({"BLPOP", key, "0"});
    if (i % 4 == 2) {
      victim.ask({"GET", "something"});
    } else if (i % 4 == 3) {
      victim.send(behind);
    }
    wait_until_blocked(server, "1");
    if (i % 2 == 0) {
      victim.close();
    } else {
      victim.reset();
    }
    wait_until_blocked(server, "0");
    CHECK(direct.call({"RPUSH", key, "element"}) == ":1\r\n");
    CHECK(direct.call({"LPOP", key}) == bulk("element"));
  }
  CHECK(wait_until([&] { return pinned_used(pannier) == 0; }));
  CHECK(pannier.metric("pannier_client_blocked") == 0);
}

TEST_CASE("pinned: a client that ends while BLPOP and much more are queued loses no element",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient direct(server.port());
  for (int i = 0; i < 20; ++i) {
    RawClient victim(pannier.port());
    victim.ask({"BLPOP", "queue", "0"});
    victim.ask({"BLPOP", "queue", "0"});
    wait_until_blocked(server, "1");
    victim.finish();  // and it does not even close
    wait_until_blocked(server, "0");
    CHECK(victim.read_to_end().empty());
    CHECK(direct.call({"RPUSH", "queue", "element"}) == ":1\r\n");
    CHECK(direct.call({"DEL", "queue"}) == ":1\r\n");
  }
}

TEST_CASE("pinned: blocking commands wait, wake and time out as they do directly", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient waiter(pannier.port());
  RawClient other(pannier.port());
  const auto started = Clock::now();
  CHECK(waiter.call({"BLPOP", "none", "0.2"}) == "*-1\r\n");
  CHECK(Clock::now() - started >= 190ms);
  RawClient direct(server.port());
  for (const Words& words : {Words{"XREAD", "BLOCK", "50", "STREAMS", "none", "$"},
                             Words{"BLMOVE", "none", "to", "LEFT", "LEFT", "0.05"},
                             Words{"BZPOPMIN", "none", "0.05"}}) {
    CHECK(waiter.call(words) == direct.call(words));
  }

  waiter.ask({"BLPOP", "queue", "0"});
  waiter.ask({"PING"});
  wait_until_blocked(server, "1");
  CHECK(other.call({"RPUSH", "queue", "v"}) == ":1\r\n");
  CHECK(waiter.read(2) == "*2\r\n" + bulk("queue") + bulk("v") + "+PONG\r\n");

  waiter.ask({"BLMOVE", "from", "to", "LEFT", "RIGHT", "5"});
  wait_until_blocked(server, "1");
  CHECK(other.call({"RPUSH", "from", "w"}) == ":1\r\n");
  CHECK(waiter.read() == bulk("w"));

  waiter.ask({"XREAD", "BLOCK", "0", "STREAMS", "stream", "$"});
  wait_until_blocked(server, "1");
  static_cast<void>(other.call({"XADD", "stream", "1-1", "f", "v"}));
  CHECK(waiter.read() == "*1\r\n*2\r\n" + bulk("stream") + "*1\r\n*2\r\n" + bulk("1-1") + "*2\r\n" +
                             bulk("f") + bulk("v"));

  CHECK(waiter.call({"HELLO", "3"}).starts_with('%'));
  CHECK(waiter.call({"BLPOP", "none", "0.05"}) == "_\r\n");
  // Its own time-out is far beyond those of other reads.
  CHECK(waiter.call({"BLPOP", "none", "1.5"}) == "_\r\n");
}

TEST_CASE("pinned: WATCH sees what another session writes", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient one(pannier.port());
  RawClient two(pannier.port());
  CHECK(one.call({"SET", "k", "1"}) == kOk);
  CHECK(one.call({"WATCH", "k"}) == kOk);
  CHECK(one.call({"GET", "k"}) == bulk("1"));
  CHECK(two.call({"SET", "k", "2"}) == kOk);
  CHECK(one.call({"MULTI"}) == kOk);
  CHECK(one.call({"SET", "k", "3"}) == "+QUEUED\r\n");
  CHECK(one.call({"EXEC"}) == "*-1\r\n");
  CHECK(one.call({"GET", "k"}) == bulk("2"));
  // And nothing of it is left on the connection: the next transaction goes through.
  CHECK(one.call({"MULTI"}) == kOk);
  CHECK(two.call({"SET", "k", "4"}) == kOk);
  CHECK(one.call({"INCR", "k"}) == "+QUEUED\r\n");
  CHECK(one.call({"EXEC"}) == "*1\r\n:5\r\n");
  CHECK(one.call({"WATCH", "k"}) == kOk);
  CHECK(one.call({"UNWATCH"}) == kOk);
  CHECK(two.call({"SET", "k", "9"}) == kOk);
  one.send(request({"MULTI"}) + request({"INCR", "k"}) + request({"EXEC"}));
  CHECK(one.read(3) == "+OK\r\n+QUEUED\r\n*1\r\n:10\r\n");
  CHECK(wait_until([&] { return pinned_used(pannier) == 0; }));
}

TEST_CASE("pinned: EXEC after the primary was lost says EXECABORT", "[proxy]") {
  RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient queued(pannier.port());
  RawClient watching(pannier.port());
  CHECK(queued.call({"MULTI"}) == kOk);
  CHECK(queued.call({"SET", "k", "v"}) == "+QUEUED\r\n");
  CHECK(watching.call({"WATCH", "k"}) == kOk);
  server.kill();
  server.restart();
  RawClient other(pannier.port());
  REQUIRE(wait_until([&] { return other.call({"GET", "k"}) == "$-1\r\n"; }));
  CHECK(queued.call({"EXEC"}).starts_with("-EXECABORT "));
  CHECK(watching.call({"MULTI"}) == kOk);
  CHECK(watching.call({"SET", "k", "v"}).starts_with("-UPSTREAM "));
  CHECK(watching.call({"EXEC"}).starts_with("-EXECABORT "));
  CHECK(other.call({"GET", "k"}) == "$-1\r\n");
  // Both go on as if nothing had been.
  for (RawClient* client : {&queued, &watching}) {
    client->send(request({"MULTI"}) + request({"SET", "k", "w"}) + request({"EXEC"}));
    CHECK(client->read(3) == "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  }
}

TEST_CASE("pinned: WAIT counts the replicas that have the session's writes", "[proxy]") {
  const RedisServer primary;
  RedisServer replica = RedisServer::start_replica_of(primary);
  const PannierProcess pannier({upstream_of({primary.address()}, kPatient), "", {}});
  RawClient client(pannier.port());
  for (int i = 0; i < 50; ++i) {
    client.send(request({"SET", "k", std::to_string(i)}) + request({"WAIT", "1", "5000"}));
    CHECK(client.read(2) == "+OK\r\n:1\r\n");
  }
  replica.freeze();
  client.send(request({"SET", "k", "v"}) + request({"WAIT", "1", "100"}));
  CHECK(client.read(2) == "+OK\r\n:0\r\n");
  CHECK(client.call({"WAIT", "1", "100"}) == ":0\r\n");
  replica.thaw();
  CHECK(client.call({"WAIT", "1", "5000"}) == ":1\r\n");
}

TEST_CASE("pinned: CLIENT UNBLOCK and CLIENT KILL reach the session that they name", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "workers: 2", {}});
  RawClient other(pannier.port());
  for (const bool with_error : {false, true}) {
    RawClient waiter(pannier.port());
    const std::string id = id_of(waiter);
    CHECK(other.call({"CLIENT", "UNBLOCK", id}) == ":0\r\n");
    waiter.ask({"BLPOP", "queue", "0"});
    wait_until_blocked(server, "1");
    CHECK(other.call({"CLIENT", "UNBLOCK", id, with_error ? "ERROR" : "TIMEOUT"}) == ":1\r\n");
    const std::string reply = waiter.read();
    CHECK((with_error ? reply.starts_with("-UNBLOCKED ") : reply == "*-1\r\n"));
    CHECK(waiter.call({"PING"}) == "+PONG\r\n");
  }
  RawClient victim(pannier.port());
  const std::string id = id_of(victim);
  victim.ask({"BLPOP", "queue", "0"});
  wait_until_blocked(server, "1");
  CHECK(other.call({"CLIENT", "KILL", "ID", id}) == ":1\r\n");
  CHECK(victim.read_to_end().empty());
  wait_until_blocked(server, "0");
  CHECK(other.call({"CLIENT", "KILL", "ID", id}) == ":0\r\n");
}

TEST_CASE("pinned: when pinned.max is reached a request waits a bounded time, then is refused",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "pinned: { max: 4, wait: 300ms, reserved_for_multi: 1 }"),
       "",
       {}});
  std::vector<RawClient> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back(pannier.port());
    waiters.back().ask({"BLPOP", "queue", "0"});
  }
  wait_until_blocked(server, "3");
  RawClient late(pannier.port());
  const auto started = Clock::now();
  const std::string refusal = late.call({"BLPOP", "queue", "0"});
  CHECK(refusal.starts_with("-UPSTREAM "));
  CHECK(refusal.find("pinned.max") != std::string::npos);
  CHECK(Clock::now() - started >= 290ms);
  CHECK(Clock::now() - started < 3s);
  // The reserve is there for transactions, and others are not held up.
  CHECK(late.call({"MULTI"}) == kOk);
  CHECK(late.call({"SET", "k", "v"}) == "+QUEUED\r\n");
  CHECK(late.call({"EXEC"}) == "*1\r\n+OK\r\n");
  CHECK(late.call({"GET", "k"}) == bulk("v"));
  // A transaction whose MULTI finds none does not run in part.
  RawClient holder(pannier.port());
  CHECK(holder.call({"MULTI"}) == kOk);
  late.send(request({"MULTI"}) + request({"SET", "k", "half"}) + request({"EXEC"}));
  CHECK(late.read() == kOk);
  CHECK(late.read().starts_with("-UPSTREAM "));
  CHECK(late.read().starts_with("-EXECABORT "));
  CHECK(late.call({"GET", "k"}) == bulk("v"));
  CHECK(late.call({"EXEC"}) == "-ERR EXEC without MULTI\r\n");
  holder.close();
  // One that waits gets the place of one that leaves; one that left before that takes nothing.
  RawClient gone(pannier.port());
  gone.ask({"BLPOP", "other", "0"});
  CHECK_FALSE(gone.has_input(50ms));
  gone.close();
  late.ask({"BLPOP", "other", "0"});
  CHECK_FALSE(late.has_input(100ms));
  waiters.pop_back();
  CHECK(RawClient(server.port()).call({"RPUSH", "other", "e"}) == ":1\r\n");
  CHECK(late.read() == "*2\r\n" + bulk("other") + bulk("e"));
}

TEST_CASE("pinned: thousands of sessions dropped in any state leave nothing behind", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "pinned: { max: 64, wait: 10s, reserved_for_multi: 8 }"),
       "",
       {}});
  const std::string multi = request({"MULTI"});
  const std::array<std::string, 12> states{
      "",
      request({"WATCH", "k"}),
      multi,
      multi + request({"SET", "k", "v"}),
      multi + request({"SET", "k"}),
      request({"BLPOP", "queue", "0"}),
      request({"SUBSCRIBE", "a", "b"}),
      request({"PSUBSCRIBE", "a*"}),
      request({"HELLO", "3"}) + request({"CLIENT", "TRACKING", "ON"}),
      multi + request({"SELECT", "3"}) + request({"EXEC"}),
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nonly the beginning",
      request({"WATCH", "k"}) + multi + request({"EXEC"}) + request({"WAIT", "0", "0"}),
  };
  std::minstd_rand random(7);
  std::vector<RawClient> open;
  for (int i = 0; i < 4000; ++i) {
    open.emplace_back(pannier.port());
    open.back().send(states.at(random() % states.size()));
    if (open.size() < 40) {
      continue;
    }
    RawClient victim = std::move(open.at(random() % open.size()));
    std::swap(*std::find_if(open.begin(), open.end(), [](const auto& c) { return !c.is_open(); }),
              open.back());
    open.pop_back();
    if (random() % 2 == 0) {
      victim.reset();
    }
  }
  open.clear();
  CHECK(wait_until([&] { return pannier.metric("pannier_client_connections") == 0; }));
  CHECK(wait_until([&] { return pinned_used(pannier) == 0; }));
  CHECK(pinned_idle(pannier) <= 48);
  CHECK(pannier.metric("pannier_client_blocked") == 0);
  CHECK(pannier.metric("pannier_client_waiting") == 0);
  // Every connection that the server has is one that Pannier knows of, and the prober's.
  CHECK(wait_until([&] {
    const double known = pinned_idle(pannier) + pannier.metric_sum("pannier_upstream_lanes");
    return clients_of(server) == static_cast<long>(known) + 1;
  }));
  RawClient next(pannier.port());
  next.send(multi + request({"GET", "k"}) + request({"EXEC"}));
  CHECK(next.read(3) == "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
}

}  // namespace pannier::test
