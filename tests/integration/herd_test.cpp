#include "command_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

// Many clients that miss the same key at once (behaviour 5.5). The database is the test: whoever
// gets nil fills the key.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kHerd = 500;

// `brief` runs out of patience within a test, `vain` of leases too.
constexpr const char* kPolicy = R"(version: 1
classes:
  - name: patient
    keys: ["patient:*"]
    cache: { ttl: 30s }
    miss: { lease: 20s, wait: 10s }
  - name: brief
    keys: ["brief:*"]
    cache: { ttl: 30s }
    miss: { lease: 20s, wait: 400ms }
  - name: vain
    keys: ["vain:*"]
    cache: { ttl: 30s }
    miss: { lease: 50ms, wait: 10s }
  - name: held
    keys: ["held:*"]
    cache: { ttl: 30s }
    miss: { lease: 20s, wait: 10s, pipelined: hold }
)";

struct Rig {
  explicit Rig(std::size_t workers = 1)
      : pannier({upstream_of({server.address()}, "timeouts: { read: 10s, write: 10s }"),
                 "workers: " + std::to_string(workers),
                 {},
                 kPolicy}) {
    // Else what comes first is answered without the near cache.
    REQUIRE(wait_until(
        [&] { return pannier.metric_sum("pannier_coherence_rung", "rung=\"resp3\"") == 1; }));
  }

  // How often the server was asked for the key.
  [[nodiscard]] std::size_t gets(const std::string& key = "patient:k") {
    return watch.count({"GET", key});
  }

  [[nodiscard]] double waits(const std::string& label = {}) const {
    return pannier.metric_sum("pannier_lease_waits_total", label);
  }

  [[nodiscard]] double ends(const std::string& outcome) const {
    return pannier.metric_sum("pannier_lease_ends_total", "outcome=\"" + outcome + "\"");
  }

  RedisServer server;
  CommandWatch watch{server};
  PannierProcess pannier;
};

// So many connections, each with one question at a time.
class Crowd {
 public:
  struct Answer {
    std::size_t who = 0;
    std::string reply;
  };

  Crowd(const Rig& rig, std::size_t count) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    for (std::size_t i = 0; i < count; ++i) {
      clients_.emplace_back(rig.pannier.port());
    }
    waiting_.assign(count, false);
  }

  void ask_all(const Words& words) {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i].ask(words);
      waiting_[i] = true;
    }
  }

  // What comes within this time, but no more than `most` answers.
  std::vector<Answer> collect(std::size_t most, milliseconds within = 20s) {
    std::vector<Answer> answers;
    const auto until = Clock::now() + within;
    while (answers.size() < most && waiting() > 0) {
      std::vector<pollfd> wishes;
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        wishes.push_back({waiting_[i] ? clients_[i].descriptor() : -1, POLLIN, 0});
      }
      const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
      if (left <= 0 || ::poll(wishes.data(), wishes.size(), static_cast<int>(left)) <= 0) {
        break;
      }
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (wishes[i].revents != 0) {
          answers.push_back({i, clients_[i].read()});
          waiting_[i] = false;
        }
      }
    }
    return answers;
  }

  // One of them gets nil, nobody else gets anything.
  std::size_t find_holder(const Rig& rig, double waits) {
    std::vector<Answer> answers = collect(1);
    REQUIRE(answers.size() == 1);
    REQUIRE(answers[0].reply == "$-1\r\n");
    REQUIRE(wait_until([&] { return rig.waits() == waits; }));
    REQUIRE(collect(clients_.size(), 0ms).empty());
    return answers[0].who;
  }

  // Whoever still waits gets this.
  void expect(const std::string& reply) {
    const std::size_t count = waiting();
    const std::vector<Answer> answers = collect(count);
    CHECK(answers.size() == count);
    CHECK(std::all_of(
        answers.begin(), answers.end(), [&](const Answer& each) { return each.reply == reply; }));
  }

  [[nodiscard]] std::size_t waiting() const {
    return static_cast<std::size_t>(std::count(waiting_.begin(), waiting_.end(), true));
  }

  [[nodiscard]] RawClient& operator[](std::size_t who) { return clients_[who]; }

  // It is asked for no more.
  void forget(std::size_t who) { waiting_[who] = false; }

 private:
  std::vector<RawClient> clients_;
  std::vector<bool> waiting_;
};

}  // namespace

TEST_CASE("herd: of 500 connections one gets nil, the others what it stored", "[proxy]") {
  const std::size_t workers = GENERATE(1U, 2U);
  Rig rig(workers);
  Crowd crowd(rig, kHerd);
  crowd.ask_all({"GET", "patient:k"});
  const std::size_t holder = crowd.find_holder(rig, kHerd - 1);
  // Its database takes its time.
  CHECK(crowd.collect(1, 300ms).empty());
  const std::size_t before = rig.gets();
  CHECK(crowd[holder].call({"SET", "patient:k", "v"}) == "+OK\r\n");
  crowd.expect(bulk("v"));
  // A flight; with two workers one of each, and another where the store ends in the midst of them.
  CHECK(rig.gets() - before <= (workers == 1 ? 1U : 4U));
  CHECK(rig.ends("filled") == kHerd - 1);
  CHECK(rig.waits() == kHerd - 1);
}

TEST_CASE("herd: any store fills the key, whoever it comes from", "[proxy]") {
  Rig rig;
  Crowd crowd(rig, 100);
  const std::vector<std::pair<std::string, Words>> stores{
      {"patient:1", {"SETEX", "patient:1", "100", "v"}},
      {"patient:2", {"MSET", "x", "y", "patient:2", "v"}},
      {"patient:3", {"SET", "patient:3", "v", "EX", "100"}},
      {"patient:4", {"SETNX", "patient:4", "v"}},
      {"patient:5", {"EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "patient:5"}},
      {"patient:6", {"EVAL", "return redis.call('SET', 'patient:6', 'v')", "0"}},
  };
  double waits = 0;
  const bool direct = GENERATE(false, true);
  for (const auto& [key, store] : stores) {
    INFO(key << (direct ? " directly" : " by the holder"));
    crowd.ask_all({"GET", key});
    const std::size_t holder = crowd.find_holder(rig, waits += 99);
    const std::size_t before = rig.gets(key);
    RawClient past(rig.server.port());
    CHECK((direct ? past : crowd[holder]).call(store)[0] != '-');
    crowd.expect(bulk("v"));
    CHECK(rig.gets(key) - before == 1);
  }
}

TEST_CASE("herd: when the holder disconnects, the next one gets nil", "[proxy]") {
  const std::size_t workers = GENERATE(1U, 2U);
  Rig rig(workers);
  Crowd crowd(rig, kHerd);
  crowd.ask_all({"GET", "patient:k"});
  const std::size_t holder = crowd.find_holder(rig, kHerd - 1);
  crowd[holder].reset();
  const std::size_t second = crowd.find_holder(rig, kHerd - 1);
  crowd[second].close();
  const std::size_t third = crowd.find_holder(rig, kHerd - 1);
  CHECK(rig.ends("passed") == 2);
  CHECK(crowd[third].call({"SET", "patient:k", "v"}) == "+OK\r\n");
  crowd.expect(bulk("v"));
}

TEST_CASE("herd: a lease that is not used is passed on in time", "[proxy]") {
  Rig rig;
  Crowd crowd(rig, 20);
  crowd.ask_all({"GET", "vain:k"});
  // The first three leave it unfilled; then nobody waits any longer.
  crowd.expect("$-1\r\n");
  CHECK(rig.ends("passed") == 2);
  CHECK(rig.ends("timed_out") == 0);
}

TEST_CASE("herd: when the holder never stores, all get nil after their wait, and wait once",
          "[proxy]") {
  Rig rig;
  Crowd crowd(rig, kHerd);
  const auto start = Clock::now();
  crowd.ask_all({"GET", "brief:k"});
  CHECK(crowd.collect(1).size() == 1);
  const auto answers = crowd.collect(1);
  CHECK(Clock::now() - start >= 400ms);
  CHECK(answers.at(0).reply == "$-1\r\n");
  crowd.expect("$-1\r\n");
  CHECK(rig.waits() == kHerd - 1);
  CHECK(rig.ends("timed_out") == kHerd - 1);
}

TEST_CASE("herd: DEL by the holder ends its lease", "[proxy]") {
  Rig rig;
  Crowd crowd(rig, kHerd);
  crowd.ask_all({"GET", "patient:k"});
  const std::size_t holder = crowd.find_holder(rig, kHerd - 1);
  const std::size_t before = rig.gets();
  CHECK(crowd[holder].call({"DEL", "patient:k"}) == ":0\r\n");
  const std::size_t next = crowd.find_holder(rig, kHerd - 1);
  CHECK(next != holder);
  CHECK(rig.gets() - before == 1);
  CHECK(crowd[next].call({"SET", "patient:k", "v"}) == "+OK\r\n");
  crowd.expect(bulk("v"));
}

TEST_CASE("herd: a key that nobody ever stores delays nobody", "[proxy]") {
  Rig rig;
  RawClient one(rig.pannier.port());
  RawClient other(rig.pannier.port());
  for (int i = 0; i < 3; ++i) {
    CHECK(one.call({"GET", "vain:row"}) == "$-1\r\n");
    CHECK(other.call({"GET", "vain:row"}) == "$-1\r\n");  // when the lease of the other is over
  }
  const double waits = rig.waits();
  Crowd crowd(rig, 200);
  crowd.ask_all({"GET", "vain:row"});
  crowd.expect("$-1\r\n");
  CHECK(rig.waits() == waits);
  CHECK(rig.ends("no_wait") >= 200);
  // Other keys are worth waiting for.
  CHECK(one.call({"GET", "patient:k"}) == "$-1\r\n");
  other.ask({"GET", "patient:k"});
  CHECK(wait_until([&] { return rig.waits() == waits + 1; }));
  CHECK(one.call({"SET", "patient:k", "v"}) == "+OK\r\n");
  CHECK(other.read() == bulk("v"));
}

TEST_CASE("herd: 1,000 waiters and FLUSHALL", "[proxy]") {
  const std::size_t workers = GENERATE(1U, 2U);
  Rig rig(workers);
  RawClient first(rig.pannier.port());
  CHECK(first.call({"GET", "patient:k"}) == "$-1\r\n");
  Crowd crowd(rig, 1000);
  crowd.ask_all({"GET", "patient:k"});
  REQUIRE(wait_until([&] { return rig.waits() == 1000; }));
  const std::size_t before = rig.gets();
  const double cpu = rig.pannier.metric("process_cpu_seconds_total");
  RawClient direct(rig.server.port());
  CHECK(direct.call({"FLUSHALL"}) == "+OK\r\n");
  // All ask again; one becomes the holder, the others wait for it.
  const std::size_t holder = crowd.find_holder(rig, 1000);
  CHECK(crowd.collect(1, 300ms).empty());
  CHECK(rig.gets() - before <= 2 * workers);
  CHECK(rig.pannier.metric("process_cpu_seconds_total") - cpu < 1);
  CHECK(crowd[holder].call({"SET", "patient:k", "v"}) == "+OK\r\n");
  crowd.expect(bulk("v"));
}

TEST_CASE("herd: a later request of a session that waits is not held up", "[proxy]") {
  Rig rig;
  RawClient holder(rig.pannier.port());
  RawClient client(rig.pannier.port());
  CHECK(holder.call({"SET", "patient:there", "t"}) == "+OK\r\n");
  CHECK(holder.call({"GET", "patient:k"}) == "$-1\r\n");
  client.ask({"GET", "patient:k"});
  REQUIRE(wait_until([&] { return rig.waits() == 1; }));
  client.ask({"GET", "patient:there"});
  CHECK(client.read(2) == "$-1\r\n" + bulk("t"));
  // In one pipeline too.
  client.send(request({"GET", "patient:k"}) + request({"GET", "patient:there"}) +
              request({"GET", "patient:k"}) + request({"PING"}));
  CHECK(client.read(4) == "$-1\r\n" + bulk("t") + "$-1\r\n+PONG\r\n");
  CHECK(rig.ends("timed_out") == 0);
}

TEST_CASE("herd: pipelined: hold keeps later replies back, in order", "[proxy]") {
  Rig rig;
  RawClient holder(rig.pannier.port());
  RawClient client(rig.pannier.port());
  CHECK(holder.call({"SET", "held:there", "t"}) == "+OK\r\n");
  CHECK(holder.call({"GET", "held:k"}) == "$-1\r\n");
  client.send(request({"GET", "held:there"}) + request({"GET", "held:k"}) +
              request({"GET", "held:there"}) + request({"PING"}));
  CHECK(client.read() == bulk("t"));
  REQUIRE(wait_until([&] { return rig.waits() == 1; }));
  CHECK_FALSE(client.has_input(200ms));
  CHECK(holder.call({"SET", "held:k", "v"}) == "+OK\r\n");
  CHECK(client.read(3) == bulk("v") + bulk("t") + "+PONG\r\n");
}

TEST_CASE("herd: pipelined: hold ends with a store of the same session", "[proxy]") {
  Rig rig;
  RawClient holder(rig.pannier.port());
  RawClient client(rig.pannier.port());
  CHECK(holder.call({"GET", "held:k"}) == "$-1\r\n");
  client.send(request({"GET", "held:k"}) + request({"PING"}));
  REQUIRE(wait_until([&] { return rig.waits() == 1; }));
  CHECK_FALSE(client.has_input(100ms));
  client.send(request({"SET", "held:k", "mine"}) + request({"GET", "held:k"}));
  CHECK(client.read(4) == "$-1\r\n+PONG\r\n+OK\r\n" + bulk("mine"));
  CHECK(rig.ends("pipelined") == 1);
}

}  // namespace pannier::test
