#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using pannier::test::bulk;
using pannier::test::PannierProcess;
using pannier::test::RawClient;
using pannier::test::RedisServer;
using pannier::test::Relay;
using pannier::test::request;
using pannier::test::upstream_of;
using pannier::test::wait_until;
using pannier::test::Words;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kStep = 5ms;
// What the issue asks for, and what a test machine that is loaded eight times over is granted.
constexpr auto kFindWithin = 1000ms;
constexpr auto kFindGranted = 3000ms;
constexpr auto kRecoverWithin = 100ms;
constexpr auto kRecoverGranted = 500ms;

long long ms(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

std::string label(const std::string& address) {
  return "node=\"" + address + "\"";
}

std::string local(int port) {
  return "127.0.0.1:" + std::to_string(port);
}

bool is_up(const PannierProcess& pannier, const std::string& address) {
  return pannier.metric_sum("pannier_upstream_up", label(address)) == 1;
}

double breaker(const PannierProcess& pannier, const std::string& address) {
  return pannier.metric_sum("pannier_upstream_breaker_state", label(address));
}

// How long until the node is known to be away; printed with the figure that the issue asks for.
Clock::duration time_to_find(const PannierProcess& pannier,
                             const std::string& address,
                             const char* what) {
  const auto from = Clock::now();
  REQUIRE(wait_until([&] { return !is_up(pannier, address); }));
  const auto took = Clock::now() - from;
  std::printf("%s: found after %lld ms (wanted: %lld)\n", what, ms(took), ms(kFindWithin));
  return took;
}

// Asks for something in small steps, on a thread of its own, until it succeeds.
class Poller {
 public:
  explicit Poller(std::function<bool()> try_once)
      : thread_([this, try_once = std::move(try_once)] {
          while (!stop_ && !try_once()) {
            std::this_thread::sleep_for(kStep);  // the step of the measurement
          }
          at_ = Clock::now();
          done_ = true;
        }) {}

  ~Poller() {
    stop_ = true;
    thread_.join();
  }

  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  [[nodiscard]] bool is_done() const { return done_; }

  // REQUIRES: is_done
  [[nodiscard]] Clock::time_point at() const { return at_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<bool> done_{false};
  Clock::time_point at_;
  std::thread thread_;
};

// A new connection to the server itself, so that nothing of Pannier's is between.
bool direct(int port, const Words& words, const std::string& wanted) {
  try {
    RawClient client(port, 1s);
    return client.call(words) == wanted;
  } catch (const std::runtime_error&) {
    return false;
  }
}

// The difference between what an independent observer sees and what a client of Pannier's sees.
Clock::duration lag_of(const Poller& client, const Poller& observer, const char* what) {
  REQUIRE(wait_until([&] { return client.is_done() && observer.is_done(); }, 20s));
  const auto lag = client.at() - observer.at();
  std::printf("%s: first success %lld ms after it was visible (wanted: at most %lld)\n",
              what,
              ms(lag),
              ms(kRecoverWithin));
  return lag;
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("failover_control: a frozen replica and a frozen primary are found within 1 s") {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a);
  const PannierProcess pannier({upstream_of({a.address(), b.address()}), "", {}});
  REQUIRE(wait_until([&] { return is_up(pannier, a.address()) && is_up(pannier, b.address()); }));
  b.freeze();
  CHECK(time_to_find(pannier, b.address(), "frozen replica") <= kFindGranted);
  b.thaw();
  REQUIRE(wait_until([&] { return is_up(pannier, b.address()); }));
  a.freeze();
  CHECK(time_to_find(pannier, a.address(), "frozen primary") <= kFindGranted);
  REQUIRE(wait_until([&] { return breaker(pannier, a.address()) == 2; }));
  RawClient client(pannier.port());
  const auto from = Clock::now();
  CHECK(client.call({"SET", "k", "v"}).starts_with("-UPSTREAM"));
  CHECK(Clock::now() - from < 400ms);  // at once, not after a deadline
  a.thaw();
  REQUIRE(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }));
}

TEST_CASE("failover_control: a partition that says nothing is found within 1 s, and its end") {
  const RedisServer a;
  Relay relay(a.port());
  const PannierProcess pannier({upstream_of({local(relay.port())}), "", {}});
  RawClient client(pannier.port());
  REQUIRE(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }));
  relay.stall_replies(true);
  relay.stall_requests(true);
  CHECK(time_to_find(pannier, local(relay.port()), "silent partition") <= kFindGranted);
  REQUIRE(wait_until([&] { return breaker(pannier, local(relay.port())) == 2; }));
  const Poller observer([&] { return direct(relay.port(), {"PING"}, "+PONG\r\n"); });
  const Poller through([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; });
  relay.stall_requests(false);
  relay.stall_replies(false);
  CHECK(lag_of(through, observer, "healed partition") <= kRecoverGranted);
}

TEST_CASE("failover_control: after a restart the first request succeeds within 100 ms") {
  RedisServer a;
  const PannierProcess pannier({upstream_of({a.address()}), "", {}});
  RawClient client(pannier.port());
  REQUIRE(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }));
  a.kill();
  REQUIRE(wait_until([&] { return breaker(pannier, a.address()) == 2; }));
  const auto from = Clock::now();
  CHECK(client.call({"GET", "k"}).starts_with("-UPSTREAM"));
  CHECK(Clock::now() - from < 200ms);
  const Poller observer([&] { return direct(a.port(), {"PING"}, "+PONG\r\n"); });
  const Poller through([&] { return client.call({"SET", "k", "w"}) == "+OK\r\n"; });
  a.restart();
  CHECK(lag_of(through, observer, "restart of the only node") <= kRecoverGranted);
  REQUIRE(wait_until([&] { return breaker(pannier, a.address()) == 0; }));
  const std::string log = pannier.log();
  for (const char* state : {" is open after ", " is half_open after ", " is closed after "}) {
    INFO(state);
    CHECK(count_of(log, a.address() + state) == 1);
  }
  CHECK(count_of(log, "answers again since ") == 1);
  CHECK(pannier.metric_sum("pannier_primary_outages_total") == 1);
  CHECK(pannier.metric_sum("pannier_failovers_total") == 0);
  CHECK(pannier.metric_sum("pannier_last_primary_outage_seconds") > 0.2);
  CHECK(pannier.metric_sum("pannier_upstream_breaker_transitions_total", label(a.address())) == 3);
}

TEST_CASE("failover_control: a resting replica answers what a frozen primary does not") {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a);
  REQUIRE(direct(a.port(), {"SET", "k", "v"}, "+OK\r\n"));
  b.wait_for_copy_of(a);
  Relay relay(b.port());
  const std::string replica = local(relay.port());
  const PannierProcess pannier({upstream_of({a.address(), replica}), "reads: replica\n", {}});
  const auto opened = [&] {
    return pannier.metric_sum("pannier_upstream_breaker_transitions_total",
                              label(replica) + ",state=\"open\"");
  };
  RawClient client(pannier.port());
  relay.choose([](std::size_t number) { return number > 1; });  // all but the prober's connection
  bool was_resting = false;
  for (int round = 0; round < 10 && !was_resting; ++round) {
    REQUIRE(wait_until([&] { return is_up(pannier, a.address()) && is_up(pannier, replica); }));
    // It rests the longer, the more often it falls silent: 1 s at least from the third time on.
    relay.stall_replies(true);
    const double before = opened();
    REQUIRE(wait_until(
        [&] {
          client.send(request({"GET", "k"}) + request({"GET", "k"}) + request({"GET", "k"}));
          CHECK(client.read(3) == bulk("v") + bulk("v") + bulk("v"));  // by the primary
          return opened() >= std::max(before + 1, 3.0);
        },
        20s));
    relay.stall_replies(false);
    a.freeze();
    const auto from = Clock::now();
    CHECK(client.call({"GET", "k"}) == bulk("v"));
    const auto taken = Clock::now() - from;
    was_resting = breaker(pannier, replica) == 2;
    if (was_resting) {
      std::printf("a read of a frozen primary from a resting replica: %lld ms\n", ms(taken));
      CHECK(taken < 500ms);
    }
    a.thaw();
  }
  CHECK(was_resting);
}

TEST_CASE("failover_control: after a promotion the first write succeeds within 100 ms") {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a);
  const PannierProcess pannier({upstream_of({a.address(), b.address()}), "", {}});
  RawClient client(pannier.port());
  REQUIRE(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }));
  REQUIRE(wait_until([&] { return is_up(pannier, b.address()); }));
  a.kill();
  REQUIRE(wait_until([&] { return breaker(pannier, a.address()) == 2; }));
  const Poller observer([&] { return direct(b.port(), {"SET", "o", "v"}, "+OK\r\n"); });
  const Poller through([&] { return client.call({"SET", "k", "w"}) == "+OK\r\n"; });
  REQUIRE(direct(b.port(), {"REPLICAOF", "NO", "ONE"}, "+OK\r\n"));
  CHECK(lag_of(through, observer, "promotion") <= kRecoverGranted);
  const std::string log = pannier.log();
  CHECK(count_of(log, "primary " + a.address() + " was lost at ") == 1);
  CHECK(count_of(log, b.address() + " is primary since ") == 1);
  CHECK(pannier.metric_sum("pannier_failovers_total") == 1);
}
