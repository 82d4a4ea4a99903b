#include "deaf_crowd.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// What clients do to Pannier's memory: with a budget of 64 MiB its resident memory stays at 80 MiB
// or below, whoever reads nothing, sends half of everything or asks for too much; others are served
// afterwards, and the memory goes back to the system.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kMost = 80 * kMiB;
constexpr std::size_t kRest = 20 * kMiB;  // when all is over; and what the near cache keeps

constexpr const char* kPolicy = R"(version: 1
classes:
  - name: product
    keys: ["product:*"]
    cache: { ttl: 60s, max_value: 512KiB, mget: true }
)";

// In bytes; `field` as in /proc/PID/status.
std::size_t status_of(pid_t pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) {
      return std::stoull(line.substr(field.size() + 1)) * kKiB;
    }
  }
  return 0;
}

struct Rig {
  explicit Rig(const std::string& rest = "", bool with_policy = false, int workers = 1)
      : relay(server.port()),
        pannier({upstream_of({"127.0.0.1:" + std::to_string(relay.port())},
                             "timeouts: { read: 5s, write: 5s, slow: 5s, connect: 2s }"),
                 "memory: 64MiB\nworkers: " + std::to_string(workers) + "\n" + rest,
                 {},
                 with_policy ? std::optional<std::string>(kPolicy) : std::nullopt}),
        direct(server.port()) {
    if (with_policy) {
      REQUIRE(wait_until(
          [&] { return pannier.metric_sum("pannier_coherence_rung", "rung=\"resp3\"") == 1; }));
    }
    REQUIRE(direct.call({"SET", "big", std::string(kMiB, 'v')}) == "+OK\r\n");
    REQUIRE(direct.call({"SET", "small", std::string(100, 'v')}) == "+OK\r\n");
    REQUIRE(RawClient(pannier.port()).call({"GET", "small"})[0] == '$');
  }

  [[nodiscard]] double closed(const std::string& reason) const {
    return pannier.metric_sum("pannier_client_connections_closed_total",
                              "reason=\"" + reason + "\"");
  }

  // 0 normal, 1 tight, 2 full.
  [[nodiscard]] double level() const { return pannier.metric("pannier_memory_level"); }

  // Until the server has answered all it was asked and nothing moves any more.
  void wait_until_calm() {
    double before = -1;
    int same = 0;
    static_cast<void>(wait_until(
        [&] {
          static_cast<void>(direct.call({"PING"}));
          const double now = pannier.metric("pannier_client_sent_bytes_total") +
                             pannier.metric("pannier_client_received_bytes_total") +
                             pannier.metric_sum("pannier_upstream_received_bytes_total");
          same = now - before < 100'000 ? same + 1 : 0;  // the probes, the metrics
          before = now;
          std::this_thread::sleep_for(60ms);
          return same >= 5;
        },
        8s));
  }

  // What is to hold during every attack, and directly after it.
  void check(const std::string& name) {
    const std::size_t peak = status_of(pannier.pid(), "VmHWM");
    std::cout << "memory: " << name << ": at most " << peak / kMiB << " MiB, closed for memory "
              << closed("memory") << ", for output " << closed("output_limit")
              << ", requests refused "
              << pannier.metric_sum("pannier_refusals_total", "reason=\"memory\"") << "\n";
    if (pannier.resident_bytes() != 0) {
      CHECK(peak <= kMost);
    }
    CHECK(wait_until([&] {
      try {  // while memory is used up newcomers are turned away
        RawClient healthy(pannier.port());
        return healthy.call({"SET", "healthy", name}) == "+OK\r\n" &&
               healthy.call({"GET", "healthy"}) == bulk(name);
      } catch (const std::runtime_error&) {
        return false;
      }
    }));
  }

  [[nodiscard]] std::size_t cached() const {
    return static_cast<std::size_t>(
        pannier.metric("pannier_memory_held_bytes{owner=\"near_cache\"}"));
  }

  void check_given_back(const std::string& name) const {
    if (pannier.resident_bytes() == 0) {
      return;
    }
    CHECK(wait_until([&] { return pannier.resident_bytes() < kRest + cached(); }, 13s));
    std::cout << "memory: " << name << ": afterwards " << pannier.resident_bytes() / kMiB
              << " MiB\n";
  }

  RedisServer server{{"--client-output-buffer-limit", "pubsub 256mb 128mb 60"}};
  Relay relay;
  PannierProcess pannier;
  RawClient direct;
};

void ask_for_big(Rig& rig, const std::string& name) {
  static const std::string kGet = request({"GET", "big"});
  {
    DeafCrowd crowd(rig.pannier.port(), 500);
    crowd.tell_all(kGet);
    crowd.speak(5s);
    rig.wait_until_calm();
    rig.check(name);
  }
  rig.check_given_back(name);
}

}  // namespace

TEST_CASE("memory: 500 clients ask for 1 MiB and do not read", "[memory]") {
  const int workers = GENERATE(1, 2);
  Rig rig("", false, workers);
  ask_for_big(rig, "(a) with " + std::to_string(workers) + " workers");
}

TEST_CASE("memory: 200 clients pipeline 100,000 GETs and read nothing", "[memory]") {
  Rig rig;
  std::string gets;
  for (int i = 0; i < 1000; ++i) {
    gets += request({"GET", "small"});
  }
  {
    DeafCrowd crowd(rig.pannier.port(), 200);
    crowd.tell_all(gets, 100);
    crowd.speak(3s);
    rig.check("(b)");
  }
  rig.check_given_back("(b)");
}

TEST_CASE("memory: a thousand clients send half a request of 60 KiB", "[memory]") {
  Rig rig;
  const std::string half = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$62000\r\n" + std::string(60 * kKiB, 'x');
  {
    DeafCrowd crowd(rig.pannier.port(), 1000);
    crowd.tell_all(half);
    crowd.speak(3s);
    rig.wait_until_calm();
    rig.check("(c)");
  }
  rig.check_given_back("(c)");
}

TEST_CASE("memory: 50 uploads of 20 MiB and an upstream that stalls", "[memory]") {
  Rig rig;
  const std::string head = "*3\r\n$3\r\nSET\r\n$1\r\nu\r\n$" + std::to_string(20 * kMiB) + "\r\n" +
                           std::string(128 * kKiB, 'x');
  const std::string rest = std::string(20 * kMiB - 128 * kKiB, 'x') + "\r\n";
  {
    DeafCrowd crowd(rig.pannier.port(), 50);
    crowd.tell_all(head);
    crowd.speak(2s);
    REQUIRE(wait_until(
        [&] { return rig.pannier.metric_sum("pannier_upstream_pinned", "used") >= 50; }));
    rig.relay.stall_requests(true);
    crowd.tell_all(rest);
    crowd.speak(2s);
    rig.relay.stall_requests(false);
    rig.check("(d)");
  }
  rig.check_given_back("(d)");
}

TEST_CASE("memory: a full near cache gives room, and takes it back", "[memory]") {
  Rig rig("", true);
  const std::string value(16 * kKiB, 'p');
  for (int i = 0; i < 2200; ++i) {
    rig.direct.ask({"SET", "product:" + std::to_string(i), value});
  }
  static_cast<void>(rig.direct.read(2200));
  RawClient reader(rig.pannier.port());
  const auto fill = [&] {
    for (int i = 0; i < 2200; ++i) {
      REQUIRE(reader.call({"GET", "product:" + std::to_string(i)}).size() > value.size());
    }
  };
  fill();
  CHECK(rig.pannier.metric("pannier_memory_held_bytes{owner=\"near_cache\"}") > 20.0 * kMiB);
  ask_for_big(rig, "(e)");
  // Back to its share, as far as there is room.
  CHECK(wait_until([&] {
    fill();
    return rig.pannier.metric("pannier_memory_held_bytes{owner=\"near_cache\"}") > 20.0 * kMiB;
  }));
}

// 10 MiB of messages a second to `deaf` who do not read and one who does.
void publish_to(Rig& rig, std::size_t deaf, const std::string& closed_for) {
  const std::string subscribe = request({"SUBSCRIBE", "news"});
  const std::string message(64 * kKiB, 'm');
  {
    RawClient reads(rig.pannier.port());
    CHECK(reads.call({"SUBSCRIBE", "news"})[0] == '*');
    DeafCrowd crowd(rig.pannier.port(), deaf);
    crowd.tell_all(subscribe);
    crowd.speak(2s);
    const std::string all = ":" + std::to_string(deaf + 1) + "\r\n";
    REQUIRE(wait_until([&] { return rig.direct.call({"PUBLISH", "news", "first"}) == all; }));
    const auto start = Clock::now();
    std::size_t received = 0;
    for (int i = 0; i < 320; ++i) {  // 10 MiB a second
      rig.direct.ask({"PUBLISH", "news", message});
      static_cast<void>(rig.direct.read());
      while (reads.has_input(0ms)) {
        received += reads.read().size();
      }
      std::this_thread::sleep_until(start + i * 6250us);
    }
    while (received < 320 * message.size()) {
      received += reads.read().size();
    }
    rig.check("(f)");
    CHECK(wait_until([&] { return rig.closed(closed_for) == static_cast<double>(deaf); }));
    // Nobody else was disturbed.
    CHECK(wait_until([&] { return rig.direct.call({"PUBLISH", "news", "last"}) == ":1\r\n"; }));
    while (reads.read().find("last") == std::string::npos) {
    }
  }
  rig.check_given_back("(f)");
}

TEST_CASE("memory: a subscriber that does not read is closed over its limit", "[memory]") {
  Rig rig("output_limits: { pubsub: { hard: 8MiB, soft: 4MiB, for: 1m } }");
  publish_to(rig, 3, "output_limit");
  CHECK(rig.pannier.log().find("over output_limits.pubsub.hard of 8MiB") != std::string::npos);
}

TEST_CASE("memory: a subscriber that stays over its soft limit is closed", "[memory]") {
  Rig rig("output_limits: { pubsub: { hard: 0B, soft: 4MiB, for: 500ms } }");
  publish_to(rig, 2, "output_limit");
  CHECK(rig.pannier.log().find("over output_limits.pubsub.soft of 4MiB") != std::string::npos);
}

TEST_CASE("memory: many subscribers that do not read", "[memory]") {
  Rig rig;
  publish_to(rig, 20, "stalled");
}

TEST_CASE("memory: five thousand clients connect within 2 s, and 500 more do not read",
          "[memory]") {
  Rig rig;
  const auto start = Clock::now();
  DeafCrowd idle(rig.pannier.port(), 5000);
  REQUIRE(wait_until([&] { return rig.pannier.metric("pannier_client_connections") >= 5000; }));
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  std::cout << "memory: 5,000 clients connected in " << took.count() << " ms, "
            << rig.pannier.resident_bytes() / kMiB << " MiB then\n";
  CHECK(took < 10s);  // 2 s where nothing else runs
  CHECK(rig.closed("max_clients") == 0);
  CHECK(rig.closed("memory") == 0);
  ask_for_big(rig, "(g)");
}

TEST_CASE("memory: large replies of many kinds that are not read", "[memory]") {
  Rig rig("", true);
  const std::string field_value(64 * kKiB, 'f');
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) {
    names.push_back("product:" + std::to_string(i));
    rig.direct.ask({"HSET", "hash", std::to_string(i), field_value});
    rig.direct.ask({"SET", names.back(), std::string(256 * kKiB, 'p')});
  }
  static_cast<void>(rig.direct.read(128));
  Words mget{"MGET"};
  mget.insert(mget.end(), names.begin(), names.end());
  const std::string all = request({"HGETALL", "hash"});
  const std::string many = request(mget);
  std::string transaction = request({"MULTI"});
  for (int i = 0; i < 4; ++i) {
    transaction += request({"GET", "big"});
  }
  transaction += request({"EXEC"});
  const std::string set = request({"SET", "queued", std::string(60 * kKiB, 'q')});
  const std::string multi = request({"MULTI"});
  {
    DeafCrowd crowd(rig.pannier.port(), 160);
    for (std::size_t i = 0; i < crowd.size(); ++i) {
      if (i % 4 == 3) {
        crowd.tell(i, multi);
        crowd.tell(i, set, 30);
      } else {
        crowd.tell(i, i % 4 == 0 ? all : i % 4 == 1 ? many : transaction);
      }
    }
    crowd.speak(5s);
    rig.wait_until_calm();
    rig.check("(h)");
  }
  rig.check_given_back("(h)");
}

TEST_CASE("memory: a stampede on large values that are kept", "[memory]") {
  Rig rig("", true);
  std::vector<std::string> gets;
  for (int i = 0; i < 100; ++i) {
    const std::string key = "product:" + std::to_string(i);
    rig.direct.ask({"SET", key, std::string(256 * kKiB, 'p')});
    gets.push_back(request({"GET", key}));
  }
  static_cast<void>(rig.direct.read(100));
  {
    DeafCrowd crowd(rig.pannier.port(), 400);
    for (std::size_t i = 0; i < crowd.size(); ++i) {
      for (std::size_t k = 0; k < 10; ++k) {
        crowd.tell(i, gets[(i / 4 + k) % gets.size()]);
      }
    }
    crowd.speak(5s);
    rig.wait_until_calm();
    rig.check("(i)");
  }
  rig.check_given_back("(i)");
}

// Half a request of 14 KiB each: nobody holds enough to be closed at once.
void fill_with_halves(Rig& rig, DeafCrowd& crowd) {
  static const std::string kHalf =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000\r\n" + std::string(14 * kKiB, 'x');
  crowd.tell_all(kHalf);
  crowd.speak(5s);
  REQUIRE(wait_until([&] { return rig.level() == 2; }));
}

TEST_CASE("memory: while it is used up new work is refused, until those who hold it go",
          "[memory]") {
  Rig rig;
  RawClient client(rig.pannier.port());
  REQUIRE(client.call({"SET", "n", "0"}) == "+OK\r\n");
  if (rig.pannier.resident_bytes() == 0) {
    return;  // a sanitizer's memory: nothing is ever full
  }
  {
    DeafCrowd crowd(rig.pannier.port(), 4500);
    fill_with_halves(rig, crowd);
    // One request at a time is served still, and so is what Pannier answers itself.
    CHECK(client.call({"INCR", "n"}) == ":1\r\n");
    const std::string incr = request({"INCR", "n"});
    client.send(incr + incr + request({"PING"}) + request({"MULTI"}) + incr + request({"EXEC"}));
    CHECK(client.read() == ":2\r\n");
    const std::string refused = client.read();
    CHECK(refused ==
          "-UPSTREAM Pannier's memory budget of 64MiB is used up; read the replies that are under "
          "way and try again (not sent)\r\n");
    CHECK(client.read() == "+PONG\r\n");
    CHECK(client.read() == "+OK\r\n");
    CHECK(client.read() == refused);
    CHECK(client.read() == "-EXECABORT Transaction discarded because of: " + refused.substr(1));
    CHECK(rig.pannier.metric_sum("pannier_refusals_total", "reason=\"memory\"") == 2);
  }
  CHECK(wait_until([&] { return rig.level() == 0; }));
  client.send(request({"GET", "n"}) + request({"GET", "n"}));
  CHECK(client.read(2) == bulk("2") + bulk("2"));
  rig.check("(l)");
  rig.check_given_back("(l)");
}

TEST_CASE("memory: those who hold half a request each do not hold it for ever", "[memory]") {
  Rig rig;
  if (rig.pannier.resident_bytes() == 0) {
    return;
  }
  DeafCrowd crowd(rig.pannier.port(), 4500);
  fill_with_halves(rig, crowd);
  rig.check("(m)");  // others are served again
  CHECK(rig.closed("memory") > 0);
  CHECK(rig.closed("memory") < static_cast<double>(crowd.size()));
}

TEST_CASE("memory: requests of 60 KiB in pipelines whose replies do not come", "[memory]") {
  Rig rig;
  const std::string set = request({"SET", "k", std::string(60 * kKiB, 'x')});
  {
    DeafCrowd crowd(rig.pannier.port(), 100);
    rig.relay.stall_replies(true);
    crowd.tell_all(set, 100);
    crowd.speak(2s);
    rig.relay.stall_replies(false);
    rig.wait_until_calm();
    rig.check("(k)");
  }
  rig.check_given_back("(k)");
}

TEST_CASE("memory: 100 MB to one that reads and to one that does not", "[memory]") {
  Rig rig;
  const std::string value(100'000'000, 'v');
  REQUIRE(rig.direct.call({"SET", "huge", value}) == "+OK\r\n");
  const std::string get = request({"GET", "huge"});
  DeafCrowd deaf(rig.pannier.port(), 1);
  deaf.tell_all(get);
  deaf.speak(2s);
  RawClient reads(rig.pannier.port());
  reads.send(get);
  std::size_t received = 0;
  reads.read_bytes(value.size() + 14, [&](std::string_view part) { received += part.size(); });
  CHECK(received == value.size() + 14);
  rig.check("(j)");
  rig.check_given_back("(j)");
}

}  // namespace pannier::test
