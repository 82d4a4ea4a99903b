#include "history_checker.hpp"
#include "history_client.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

// The near cache against a history: two Panniers and a direct client on one primary and its
// replica, while connections are killed, links lag and servers freeze or start again. What is
// judged is in history_checker.hpp. PANNIER_HISTORY_SECONDS and PANNIER_HISTORY_SEED change the
// run.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// "o:" is too short for a subscription to a prefix: its keys are tracked one by one.
constexpr const char* kPolicy = R"(version: 1
classes:
  - name: broadcast
    keys: ["cast:*"]
    reads: primary
    cache: { ttl: 3s, refresh_ahead: 60%, stale_while_revalidate: 2s, negative: 1s, mget: true }
  - name: nearby
    keys: ["near:*"]
    reads: replica
    cache: { ttl: 30s, negative: 2s }
  - name: one-by-one
    keys: ["o:*"]
    cache: { ttl: 30s, negative: 2s }
    miss: { lease: 300ms, wait: 20ms }
)";

constexpr const char* kUpstream =
    "lanes: { min: 1, max: 2 }, read_your_writes: 100ms, "
    "timeouts: { connect: 1s, attempt: 500ms, read: 1s, write: 2s }, probe: 400ms";

constexpr std::size_t kKeysPerGroup = 24;
constexpr std::size_t kClients = 10;  // of each Pannier

long number_from(const char* variable, long otherwise) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): before any thread
  return text == nullptr || *text == '\0' ? otherwise : std::stol(text);
}

RedisServer start_replica(int link_port) {
  RedisServer server({"--replicaof", "127.0.0.1", std::to_string(link_port)});
  server.wait_for_info("master_link_status", "up");
  return server;
}

std::string local(int port) {
  return "127.0.0.1:" + std::to_string(port);
}

// Two sidecars: the first reaches both servers through relays, the second without.
struct Fleet {
  RedisServer primary;
  Relay replication{primary.port()};
  RedisServer replica = start_replica(replication.port());
  Relay to_primary{primary.port()};
  Relay to_replica{replica.port()};
  PannierProcess first{options({local(to_primary.port()), local(to_replica.port())})};
  PannierProcess second{options({primary.address(), replica.address()})};

  static PannierOptions options(const std::vector<std::string>& nodes) {
    return {upstream_of(nodes, kUpstream), "workers: 2", {}, kPolicy};
  }

  [[nodiscard]] bool is_settled() const {
    const auto all = both();
    return std::all_of(all.begin(), all.end(), [](const PannierProcess* each) {
      return each->metric_sum("pannier_coherence_rung", "rung=\"resp3\"") == 2 &&
             each->metric_sum("pannier_upstream_ready") == 2;
    });
  }

  [[nodiscard]] std::vector<const PannierProcess*> both() const { return {&first, &second}; }
};

// Drives all clients on a thread of its own until it is told to stop or something is wrong.
class Driver {
 public:
  Driver(const Fleet& fleet, unsigned seed)
      : keys_(checker_, {{"cast:"}, {"near:", false}, {"o:"}}, kKeysPerGroup) {
    for (std::size_t i = 0; i < kClients; ++i) {
      add({kFirst, fleet.first.port(), i % 3 == 0}, seed++);
      add({kSecond, fleet.second.port(), i % 3 == 0}, seed++);
    }
    add({kDirect, fleet.primary.port(), false, 40, 10ms}, seed++);
    add({kDirect, fleet.primary.port(), true, 40, 20ms}, seed++);
    thread_ = std::thread([this] { run(); });
  }

  ~Driver() { stop(); }

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void stop() {
    stopping_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  // Runs it between two events of the driver.
  void post(const std::function<void(HistoryChecker&)>& action) {
    std::promise<void> done;
    {
      const std::lock_guard lock(mutex_);
      if (over_) {
        return;
      }
      posted_.push_back([&] {
        action(checker_);
        done.set_value();
      });
    }
    done.get_future().wait();
  }

  void disturb_for(milliseconds time) {
    post([time](HistoryChecker& checker) { checker.disturb_until(Clock::now() + time); });
  }

  // Returns at that time, or when it has stopped by itself: true.
  bool wait_for_end(Clock::time_point until) const {
    std::unique_lock lock(mutex_);
    return ended_.wait_until(lock, until, [this] { return over_; });
  }

  // When it has stopped.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  [[nodiscard]] const HistoryChecker& checker() const { return checker_; }

  [[nodiscard]] std::uint64_t errors() const {
    std::uint64_t sum = 0;
    for (const HistoryClient& client : clients_) {
      sum += client.errors();
    }
    return sum;
  }

  [[nodiscard]] std::size_t retired_keys() const { return keys_.retired(); }

 private:
  void add(const HistoryClient::Style& style, unsigned seed) {
    clients_.emplace_back(checker_, keys_, style, seed);
  }

  void run() {
    try {
      while (turn()) {
      }
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    ended_.notify_all();
    run_posted();
  }

  bool turn() {
    run_posted();
    const auto now = Clock::now();
    auto due = now + 20ms;
    std::vector<pollfd> wishes;
    bool idle = stopping_;
    for (HistoryClient& client : clients_) {
      if (stopping_) {
        idle = client.finish() && idle;
      } else {
        due = std::min(due, std::max(now, client.due()));
      }
      wishes.push_back(client.wish());
    }
    if (idle) {
      return false;
    }
    const auto wait = std::chrono::duration_cast<std::chrono::nanoseconds>(due - now);
    const timespec limit{0, wait.count()};
    ::ppoll(wishes.data(), wishes.size(), &limit, nullptr);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i].work(wishes[i].revents);
    }
    return true;
  }

  void run_posted() {
    std::vector<std::function<void()>> actions;
    {
      const std::lock_guard lock(mutex_);
      actions.swap(posted_);
    }
    for (const auto& action : actions) {
      action();
    }
  }

  HistoryChecker checker_;
  HistoryKeys keys_;
  std::deque<HistoryClient> clients_;
  std::string failure_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  bool over_ = false;  // under mutex_, as the next
  std::vector<std::function<void()>> posted_;
  std::thread thread_;
};

// What goes wrong, on the test's own thread: it is the one that started the servers.
class Faults {
 public:
  Faults(Fleet& fleet, Driver& driver, unsigned seed)
      : fleet_(fleet),
        driver_(driver),
        random_(seed) {}

  // One of those that pass at once.
  void small() {
    driver_.disturb_for(1500ms);
    switch (any(0, 6)) {
      case 0:
        kill_tracking(fleet_.primary);
        break;
      case 1:
        kill_tracking(fleet_.replica);
        break;
      case 2:
        fleet_.to_primary.cut_after(static_cast<std::size_t>(any(1, 5000)));
        break;
      case 3:
        (any(0, 1) == 0 ? fleet_.to_primary : fleet_.to_replica).drop_all();
        break;
      case 4:
        kill_someone(any(0, 1) == 0 ? fleet_.primary : fleet_.replica);
        break;
      case 5:
        lag(fleet_.replication, milliseconds(any(20, 80)));
        break;
      default:
        lag(any(0, 1) == 0 ? fleet_.to_primary : fleet_.to_replica, milliseconds(any(5, 30)));
    }
  }

  void freeze(RedisServer& server, milliseconds time) {
    driver_.disturb_for(time + 5s);
    server.freeze();
    rest(time);
    server.thaw();
  }

  // Nothing arrives at the first Pannier, and nobody says so.
  void silence(milliseconds time) {
    driver_.disturb_for(time + 5s);
    fleet_.to_primary.stall_replies(true);
    fleet_.to_replica.stall_replies(true);
    rest(time);
    fleet_.to_primary.stall_replies(false);
    fleet_.to_replica.stall_replies(false);
  }

  // A new server without any data.
  void restart() {
    driver_.post([](HistoryChecker& checker) { checker.begin_loss(); });
    fleet_.primary.kill();
    rest(300ms);
    fleet_.primary.restart();
    fleet_.replica.wait_for_info("master_link_status", "up");
    CHECK(wait_until([&] { return fleet_.is_settled(); }, 30s));
    driver_.disturb_for(5s);  // lanes may still wait before they connect again
    driver_.post([](HistoryChecker& checker) { checker.end_loss(); });
  }

  // So long, or until the driver has seen enough: true.
  bool rest(milliseconds time) const { return driver_.wait_for_end(Clock::now() + time); }

  int any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

 private:
  // The ids of the connections whose description has this word.
  static std::vector<std::string> find_clients(RawClient& client, const std::string& word) {
    std::istringstream lines(text_of(client.call({"CLIENT", "LIST"})));
    std::vector<std::string> out;
    for (std::string line; std::getline(lines, line);) {
      if (line.find(word) != std::string::npos) {
        out.push_back(line.substr(3, line.find(' ') - 3));
      }
    }
    return out;
  }

  static void kill_tracking(const RedisServer& server) {
    RawClient client(server.port());
    for (const std::string& id : find_clients(client, "flags=tB")) {
      static_cast<void>(client.call({"CLIENT", "KILL", "ID", id}));
    }
  }

  void kill_someone(const RedisServer& server) {
    RawClient client(server.port());
    const auto ids = find_clients(client, "flags=N");
    static_cast<void>(client.call(
        {"CLIENT", "KILL", "ID", ids.at(static_cast<std::size_t>(any(0, 1000)) % ids.size())}));
  }

  void lag(Relay& relay, milliseconds delay) const {
    relay.delay_replies(delay);
    rest(1s);
    relay.delay_replies(0ms);
  }

  Fleet& fleet_;
  Driver& driver_;
  std::minstd_rand random_;
};

void run_faults(Faults& faults, Fleet& fleet, milliseconds length) {
  const auto start = Clock::now();
  const std::vector<std::pair<int, std::function<void()>>> large{
      {20,
       [&] {
         faults.freeze(fleet.primary, 1500ms);
       }},
      {40,
       [&] {
         faults.restart();
       }},
      {60,
       [&] {
         faults.silence(6500ms);
       }},
      {75,
       [&] {
         faults.freeze(fleet.replica, 1s);
       }},
  };
  std::size_t next = 0;
  bool over = false;
  while (!over && Clock::now() < start + length) {
    if (next < large.size() && Clock::now() > start + length * large[next].first / 100) {
      large[next++].second();
      over = faults.rest(2s);
    } else {
      faults.small();
      over = faults.rest(milliseconds(faults.any(2500, 4500)));
    }
  }
}

double percentile(const std::vector<double>& sorted, double part) {
  return sorted.empty()
             ? 0
             : sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

TEST_CASE("history: what two Panniers show of keys that many write", "[proxy]") {
  const std::chrono::seconds length(number_from("PANNIER_HISTORY_SECONDS", 60));
  const auto seed = static_cast<unsigned>(
      number_from("PANNIER_HISTORY_SEED", static_cast<long>(std::random_device{}() >> 1U)));
  std::cout << "history: PANNIER_HISTORY_SEED=" << seed << std::endl;
  INFO("PANNIER_HISTORY_SEED=" << seed);

  Fleet fleet;
  REQUIRE(wait_until([&] { return fleet.is_settled(); }));
  Driver driver(fleet, seed);
  Faults faults(fleet, driver, seed);
  run_faults(faults, fleet, length);
  driver.stop();
  CHECK(driver.failure() == std::string());  // NOLINT(readability-container-size-empty): shows it

  const HistoryChecker& checker = driver.checker();
  for (const PannierProcess* pannier : fleet.both()) {
    const Place place = pannier == &fleet.first ? kFirst : kSecond;
    const auto reads = static_cast<double>(checker.reads(place));
    const double hits = pannier->metric_sum("pannier_near_cache_hits_total") +
                        pannier->metric_sum("pannier_near_cache_negative_hits_total") +
                        pannier->metric_sum("pannier_near_cache_stale_hits_total");
    const double invalidations = pannier->metric_sum("pannier_near_cache_invalidations_total");
    std::cout << "history: " << reads << " reads, " << 100 * hits / reads << " % hits, "
              << pannier->metric_sum("pannier_near_cache_joins_total") << " joined, "
              << pannier->metric_sum("pannier_near_cache_doomed_total") << " doomed, "
              << invalidations << " invalidations, "
              << pannier->metric_sum("pannier_coherence_losses_total") << " losses" << std::endl;
    // Else this has proven nothing.
    CHECK(hits >= 0.5 * reads);
    CHECK(invalidations >= 1000);
  }
  const auto calm = checker.calm_lags();
  const auto all = checker.all_lags();
  std::cout << "history: writes of others were not seen for, in ms: p50 " << percentile(calm, 0.5)
            << ", p95 " << percentile(calm, 0.95) << ", p99 " << percentile(calm, 0.99) << ", most "
            << percentile(calm, 1) << " (" << calm.size()
            << " when nothing was wrong); most of all " << percentile(all, 1)
            << "\nhistory: " << checker.stale_reads() << " stale reads, "
            << checker.overtaken_reads() << " behind another command, " << driver.errors()
            << " errors, " << driver.retired_keys() << " keys given up" << std::endl;
  CHECK(calm.size() >= 1000);
  CHECK(checker.overtaken_reads() * 100 <= checker.reads(kFirst) + checker.reads(kSecond));
  CHECK(percentile(calm, 0.95) < 100);
}

TEST_CASE("history: a read in a pipeline shows no less than an earlier one of another kind",
          "[proxy]") {
  const RedisServer server;
  Relay relay(server.port());
  const PannierProcess pannier(
      {upstream_of({local(relay.port())}, "timeouts: { read: 10s }"), "", {}, kPolicy});
  REQUIRE(wait_until(
      [&] { return pannier.metric_sum("pannier_coherence_rung", "rung=\"resp3\"") == 1; }));
  RawClient direct(server.port());
  RawClient client(pannier.port());
  const Words earlier =
      GENERATE(Words{"GETRANGE", "near:k", "0", "-1"},
               Words{"MGET", "near:k"},
               Words{"EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "near:k"});
  CHECK(direct.call({"SET", "near:k", "1"}) == "+OK\r\n");
  REQUIRE(wait_until([&] {
    static_cast<void>(client.call({"GET", "near:k"}));
    return pannier.metric_sum("pannier_near_cache_hits_total") > 0;
  }));
  relay.stall_requests(true);
  client.send(request(earlier) + request({"GET", "near:k"}));
  // Both were read when a later request of the same session shows.
  client.ask({"PING"});
  REQUIRE(
      wait_until([&] { return pannier.metric_sum("pannier_commands_total", "cmd=\"ping\"") > 0; }));
  CHECK(direct.call({"SET", "near:k", "2"}) == "+OK\r\n");
  relay.stall_requests(false);
  const std::string replies = client.read(3);
  CHECK(replies.find("1\r\n2\r\n") != std::string::npos);
  CHECK(replies.ends_with(bulk("2") + "+PONG\r\n"));
}

}  // namespace pannier::test
