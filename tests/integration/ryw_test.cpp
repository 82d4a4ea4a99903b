#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

// Read your writes (behaviour 1.3 and 3.5) with reads on a replica: normal, slow and stuck ones.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr int kBatch = 50;  // iterations in one pipeline, each with a key of its own

constexpr const char* kPatient =
    "lanes: { min: 2, max: 3 }, read_your_writes: 100ms, "
    "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

// A primary and a replica that hears of it through a relay.
struct Pair {
  RedisServer primary;
  Relay link{primary.port()};
  RedisServer replica = start_replica(link.port());
  PannierProcess pannier{
      {upstream_of({primary.address(), replica.address()}, kPatient), "reads: replica", {}}};

  static RedisServer start_replica(int link_port) {
    RedisServer server({"--replicaof", "127.0.0.1", std::to_string(link_port)});
    server.wait_for_info("master_link_status", "up");
    return server;
  }

  // How many times the replica has run this command for clients.
  [[nodiscard]] long replica_ran(const std::string& command) const {
    const std::string line = replica.info("cmdstat_" + command);
    return line.empty() ? 0 : std::stol(line.substr(line.find('=') + 1));
  }

  // Until the replica serves reads through Pannier.
  void wait_until_used(const std::string& key = "never written") const {
    RawClient client(pannier.port());
    const long before = replica_ran("get");
    REQUIRE(wait_until([&] {
      static_cast<void>(client.call({"GET", key}));
      return replica_ran("get") > before;
    }));
  }
};

// A pipeline of many iterations of one kind, and what must come back.
struct Script {
  std::string requests;
  std::string replies;
  std::size_t frames = 0;
  std::string later;  // reads that another session sends when all was answered
  std::string later_replies;
  std::size_t later_frames = 0;

  void add(const Words& words, const std::string& reply) {
    requests += request(words);
    replies += reply;
    ++frames;
  }

  void add_later(const Words& words, const std::string& reply) {
    later += request(words);
    later_replies += reply;
    ++later_frames;
  }
};

using Kind = std::function<void(
    Script&, const std::string& key, const std::string& value, const std::string& before)>;

// What is done with a key that holds `before`; afterwards it holds `value`.
const std::vector<Kind>& kinds() {
  static const std::string ok = "+OK\r\n";
  static const std::vector<Kind> all{
      [](Script& s, const auto& key, const auto& value, const auto& before) {
        s.add({"GET", key}, bulk(before));
        s.add({"SET", key, value}, ok);
        s.add({"GET", key}, bulk(value));
      },
      [](Script& s, const auto& key, const auto& value, const auto& before) {
        s.add({"GET", key}, bulk(before));
        s.add({"DEL", key}, ":1\r\n");
        s.add({"GET", key}, "$-1\r\n");
        s.add({"SET", key, value}, ok);
      },
      [](Script& s, const auto& key, const auto& value, const auto&) {
        s.add({"EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", key, value}, ok);
        s.add({"GET", key}, bulk(value));
      },
      [](Script& s, const auto& key, const auto& value, const auto&) {
        s.add({"MSET", key, value, key + ":2", value}, ok);
        s.add({"MGET", key + ":2", key}, "*2\r\n" + bulk(value) + bulk(value));
      },
      [](Script& s, const auto& key, const auto& value, const auto& before) {
        s.add({"MULTI"}, ok);
        s.add({"GET", key}, "+QUEUED\r\n");
        s.add({"SET", key, value}, "+QUEUED\r\n");
        s.add({"EXEC"}, "*2\r\n" + bulk(before) + ok);
        s.add({"GET", key}, bulk(value));
      },
      [](Script& s, const auto& key, const auto& value, const auto&) {
        // A script may write what it does not name.
        s.add({"EVAL", "return redis.call('SET', ARGV[1], ARGV[2])", "0", key, value}, ok);
        s.add({"GET", key}, bulk(value));
      },
  };
  return all;
}

// Runs iterations on `keys` keys in turn: each once per round.
class Runner {
 public:
  Runner(const PannierProcess& pannier, std::string prefix, int keys)
      : writer_(pannier.port()),
        reader_(pannier.port()),
        prefix_(std::move(prefix)),
        keys_(keys) {
    Script script;
    for (int i = 0; i < keys_; ++i) {
      script.add({"SET", key(i), value(i, 0)}, "+OK\r\n");
    }
    writer_.send(script.requests);
    REQUIRE(writer_.read(script.frames) == script.replies);
  }

  // Every reply must be the right one; the first that is not ends the test.
  void round(std::size_t kind) {
    ++round_;
    for (int first = 0; first < keys_; first += kBatch) {
      Script script;
      for (int i = first; i < std::min(first + kBatch, keys_); ++i) {
        kinds().at(kind)(script, key(i), value(i, round_), value(i, round_ - 1));
        script.add_later({"GET", key(i)}, bulk(value(i, round_)));
      }
      writer_.send(script.requests);
      check("the writer", script.replies, writer_.read(script.frames));
      reader_.send(script.later);
      check("another session", script.later_replies, reader_.read(script.later_frames));
    }
  }

  void read_all() {
    Script script;
    for (int i = 0; i < keys_; ++i) {
      script.add({"GET", key(i)}, bulk(value(i, round_)));
    }
    reader_.send(script.requests);
    check("a later read", script.replies, reader_.read(script.frames));
  }

 private:
  [[nodiscard]] std::string key(int number) const { return prefix_ + ":" + std::to_string(number); }

  [[nodiscard]] std::string value(int number, int round) const {
    return key(number) + "=" + std::to_string(round);
  }

  static void check(const std::string& who, const std::string& wanted, const std::string& got) {
    if (wanted == got) {
      return;
    }
    std::size_t at = 0;
    while (at < wanted.size() && at < got.size() && wanted[at] == got[at]) {
      ++at;
    }
    at = at < 40 ? 0 : at - 40;
    FAIL(who << " wanted: " << wanted.substr(at, 200) << "\ngot: " << got.substr(at, 200));
  }

  RawClient writer_;
  RawClient reader_;
  std::string prefix_;
  int keys_;
  int round_ = 0;
};

#ifdef NDEBUG
constexpr int kScale = 1;
#else
constexpr int kScale = 5;  // a build that is slow by its nature does fewer
#endif

}  // namespace

TEST_CASE("read your writes: 100,000 times with a replica that keeps up", "[proxy]") {
  const Pair pair;
  pair.wait_until_used();
  constexpr int kKeys = 1000;
  for (std::size_t kind = 0; kind < kinds().size(); ++kind) {
    Runner runner(pair.pannier, "normal:" + std::to_string(kind), kKeys);
    for (int round = 0; round < 17 / kScale + 1; ++round) {
      runner.round(kind);
    }
    CHECK(pair.pannier.metric_sum("pannier_reads_kept_on_primary_total") > 0);
    // The window passes; then the replica is asked, and has it all.
    const long before = pair.replica_ran("get");
    REQUIRE(wait_until([&] {
      runner.read_all();
      return pair.replica_ran("get") >= before + kKeys;
    }));
  }
}

TEST_CASE("read your writes: a GET on the replica is answered before the DEL behind it leaves",
          "[proxy]") {
  const Pair pair;
  pair.wait_until_used();
  constexpr int kKeys = 5000 / kScale;
  RawClient client(pair.pannier.port());
  for (int i = 0; i < kKeys; ++i) {
    client.ask({"SET", "k" + std::to_string(i), "v"});
  }
  static_cast<void>(client.read(kKeys));
  const long before = pair.replica_ran("get");
  REQUIRE(wait_until([&] {
    static_cast<void>(client.call({"GET", "k0"}));
    return pair.replica_ran("get") > before;
  }));
  const long settled = pair.replica_ran("get");
  std::string requests;
  std::string replies;
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = "k" + std::to_string(i);
    requests += request({"GET", key}) + request({"DEL", key});
    replies += bulk("v") + ":1\r\n";
  }
  client.send(requests);
  CHECK((client.read(2 * kKeys) == replies));
  CHECK(pair.replica_ran("get") > settled);  // else nothing was shown
}

TEST_CASE("read your writes: with a replication link that lags by 50 ms", "[proxy]") {
  Pair pair;
  pair.wait_until_used();
  pair.link.delay_replies(50ms);
  for (std::size_t kind = 0; kind < kinds().size(); ++kind) {
    Runner runner(pair.pannier, "lag:" + std::to_string(kind), 500);
    for (int round = 0; round < 4; ++round) {
      runner.round(kind);
    }
  }
  const long before = pair.replica_ran("get");
  RawClient client(pair.pannier.port());
  CHECK(wait_until([&] {
    static_cast<void>(client.call({"GET", "never written"}));
    return pair.replica_ran("get") > before;
  }));
}

TEST_CASE("read your writes: with a stuck replication link, beyond the window and when it recovers",
          "[proxy]") {
  // Of the last two kinds the keys are not known: they keep every read on the primary.
  const auto [first, last] = GENERATE(std::pair(0, 4), std::pair(4, 6));
  Pair pair;
  RawClient bystander(pair.pannier.port());
  CHECK(bystander.call({"SET", "bystander", "v"}) == "+OK\r\n");
  pair.wait_until_used("bystander");
  pair.link.stall_replies(true);
  std::vector<std::unique_ptr<Runner>> runners;
  for (int kind = first; kind < last; ++kind) {
    runners.push_back(std::make_unique<Runner>(pair.pannier, "stuck:" + std::to_string(kind), 300));
  }
  CHECK(RawClient(pair.replica.port()).call({"GET", "stuck:4:0"}) == "$-1\r\n");  // it is stuck
  const long before = pair.replica_ran("get");
  // More than ten windows of 100 ms.
  const auto end = std::chrono::steady_clock::now() + 1200ms;
  while (std::chrono::steady_clock::now() < end) {
    for (std::size_t i = 0; i < runners.size(); ++i) {
      runners[i]->round(static_cast<std::size_t>(first) + i);
      runners[(i + 1) % runners.size()]->read_all();
      REQUIRE(bystander.call({"GET", "bystander"}) == bulk("v"));
    }
  }
  CHECK((pair.replica_ran("get") > before + 2) == (first == 0));
  pair.link.stall_replies(false);
  const long stuck = pair.replica_ran("get");
  CHECK(wait_until([&] {
    for (const auto& runner : runners) {
      runner->read_all();
    }
    return pair.replica_ran("get") > stuck + 300;
  }));
}

TEST_CASE("read your writes: with a replica that freezes in the middle", "[proxy]") {
  Pair pair;
  pair.wait_until_used();
  Runner runner(pair.pannier, "frozen", 500);
  runner.round(0);
  pair.replica.freeze();
  RawClient client(pair.pannier.port());
  REQUIRE(wait_until([&] { return pair.pannier.metric_sum("pannier_upstream_ready") < 2; }));
  for (int round = 0; round < 5; ++round) {
    for (std::size_t kind = 0; kind < kinds().size(); ++kind) {
      runner.round(kind);
    }
  }
  pair.replica.thaw();
  const long before = pair.replica_ran("get");
  CHECK(wait_until([&] {
    runner.read_all();
    return pair.replica_ran("get") > before;
  }));
}

}  // namespace pannier::test
