#include "memory_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

// Large values stream through, and whoever is slow with one holds up nobody else (behaviour §9,
// design §7 "Large things").
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = 1024UL * 1024;
constexpr const char* kPatient = "timeouts: { connect: 5s, read: 20s, write: 20s }";

// Whether the next reply is a bulk of exactly this value.
bool reads_value(RawClient& client, const std::string& value) {
  if (client.read_line() != "$" + std::to_string(value.size()) + "\r\n") {
    return false;
  }
  std::size_t at = 0;
  bool same = true;
  client.read_bytes(value.size(), [&](std::string_view part) {
    same = same && std::string_view(value).substr(at, part.size()) == part;
    at += part.size();
  });
  return same && client.read_line() == "\r\n";
}

// The 99th percentile of the time that a request takes, of `count` ones.
std::chrono::microseconds p99(int count, const std::function<void()>& action) {
  std::vector<Clock::duration> all;
  for (int i = 0; i < count; ++i) {
    const auto started = Clock::now();
    action();
    all.push_back(Clock::now() - started);
  }
  std::sort(all.begin(), all.end());
  return std::chrono::duration_cast<std::chrono::microseconds>(
      all.at(all.size() - 1 - all.size() / 100));
}

}  // namespace

TEST_CASE("large: 100 MiB go up and down unchanged while Pannier stays small", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  const std::string value = large_value(100 * kMiB);
  RawClient client(pannier.port());
  CHECK(client.call({"PING"}) == "+PONG\r\n");
  MemoryWatch memory(pannier);
  client.send("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$" + std::to_string(value.size()) + "\r\n");
  client.send(value);
  client.send("\r\n" + request({"STRLEN", "big"}));
  CHECK(client.read(2) == "+OK\r\n:" + std::to_string(value.size()) + "\r\n");
  for (int i = 0; i < 2; ++i) {
    client.send(request({"GET", "big"}) + request({"PING", "behind"}));
    CHECK(reads_value(client, value));
    CHECK(client.read() == bulk("behind"));
  }
  client.send(request({"MULTI"}) + request({"GET", "big"}) + request({"EXEC"}));
  CHECK(client.read(2) == "+OK\r\n+QUEUED\r\n");
  CHECK(client.read_line() == "*1\r\n");
  CHECK(reads_value(client, value));
  CHECK(memory.growth() < 64 * kMiB);
}

TEST_CASE("large: a transaction with TTL rules streams as any other", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, kPatient),
       "",
       {},
       "version: 1\nclasses:\n  - { name: a, keys: [\"a:*\"], ttl: { default: 60s } }\n"});
  const std::string value = large_value(100 * kMiB);
  RawClient direct(server.port());
  REQUIRE(direct.call({"SET", "big", value}) == "+OK\r\n");
  RawClient client(pannier.port());
  CHECK(client.call({"PING"}) == "+PONG\r\n");
  MemoryWatch memory(pannier);
  client.send(request({"MULTI"}) + request({"INCR", "a:n"}) + request({"GET", "big"}) +
              request({"SETNX", "a:x", "v"}) + request({"GET", "big"}) + request({"EXEC"}) +
              request({"PING", "behind"}));
  CHECK(client.read(5) == "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
  CHECK(client.read_line() == "*4\r\n");
  CHECK(client.read() == ":1\r\n");
  CHECK(reads_value(client, value));
  CHECK(client.read() == ":1\r\n");
  CHECK(reads_value(client, value));
  CHECK(client.read() == bulk("behind"));
  CHECK(direct.call_integer({"TTL", "a:n"}) > 50);
  CHECK(memory.growth() < 64 * kMiB);
}

TEST_CASE("large: a client that never reads its reply holds up nobody", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "lanes: { min: 1, max: 1 }"), "", {}});
  REQUIRE(RawClient(server.port()).call({"SET", "big", large_value(30 * kMiB)}) == "+OK\r\n");
  RawClient reader(pannier.port());
  RawClient writer(pannier.port());
  CHECK(writer.call({"SET", "small", "v"}) == "+OK\r\n");
  MemoryWatch memory(pannier);
  std::vector<RawClient> lazy;
  for (int i = 0; i < 5; ++i) {
    lazy.emplace_back(pannier.port());
    lazy.back().ask({"GET", "big"});
    lazy.back().ask({"GET", "small"});
    REQUIRE(lazy.back().has_input(5s));  // it has begun, and is not read
    CHECK(p99(200, [&] { REQUIRE(reader.call({"GET", "small"}) == bulk("v")); }) < 100ms);
    CHECK(p99(200, [&] { REQUIRE(writer.call({"SET", "other", "w"}) == "+OK\r\n"); }) < 100ms);
  }
  CHECK(memory.growth() < 64 * kMiB);
  // They may still change their mind.
  const std::string value = large_value(30 * kMiB);
  CHECK(reads_value(lazy.front(), value));
  CHECK(lazy.front().read() == bulk("v"));
}

TEST_CASE("large: replies of two nodes that wait for one client both go on when it reads",
          "[proxy]") {
  const RedisServer primary;
  const RedisServer replica = RedisServer::start_replica_of(primary);
  const PannierProcess pannier(
      {upstream_of({primary.address(), replica.address()},
                   "read_your_writes: 60s, timeouts: { read: 20s, write: 20s, attempt: 20s }"),
       "reads: replica",
       {}});
  const std::string value = large_value(20 * kMiB);
  RawClient direct(primary.port());
  CHECK(direct.call({"SET", "one", value}) == "+OK\r\n");
  CHECK(direct.call({"WAIT", "1", "20000"}) == ":1\r\n");
  RawClient client(pannier.port());
  CHECK(client.call({"SET", "two", value}) == "+OK\r\n");  // stays on the primary
  REQUIRE(wait_until([&] { return pannier.metric_sum("pannier_upstream_ready") == 2; }));
  for (int i = 0; i < 10; ++i) {
    client.ask({"GET", "one"});
    client.ask({"GET", "two"});
    client.ask({"GET", "one"});
    REQUIRE(client.has_input(5s));
    REQUIRE(wait_until([&] { return pannier.metric("pannier_client_output_bytes") > 250e3; }));
    CHECK(reads_value(client, value));
    CHECK(reads_value(client, value));
    CHECK(reads_value(client, value));
  }
  CHECK(replica.info("cmdstat_get").starts_with("calls=20,"));
}

TEST_CASE("large: thousands of pipelined replies that nobody reads cost bounded memory",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient other(pannier.port());
  const std::string value = large_value(30'000);
  CHECK(other.call({"SET", "big", value}) == "+OK\r\n");
  MemoryWatch memory(pannier);
  constexpr int kMany = 4000;  // 120 MB of replies
  RawClient lazy(pannier.port());
  std::string requests;
  for (int i = 0; i < kMany; ++i) {
    requests += request({"GET", "big"});
  }
  lazy.send(requests);
  REQUIRE(lazy.has_input(5s));
  CHECK(p99(500, [&] { REQUIRE(other.call({"STRLEN", "big"}) == ":30000\r\n"); }) < 100ms);
  CHECK(memory.growth() < 64 * kMiB);
  for (int i = 0; i < kMany; ++i) {
    REQUIRE(reads_value(lazy, value));
  }
}

TEST_CASE("large: what is pipelined behind a large reply waits for as long as its client reads",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "timeouts: { read: 600ms, write: 600ms }"), "", {}});
  const std::string value = large_value(30 * kMiB);
  REQUIRE(RawClient(server.port()).call({"SET", "big", value}) == "+OK\r\n");
  RawClient client(pannier.port());
  client.send(request({"GET", "big"}) + request({"STRLEN", "big"}) + request({"SET", "k", "v"}));
  REQUIRE(client.has_input(5s));
  CHECK_FALSE(wait_until(  // several of their deadlines
      [&] { return pannier.metric_sum("pannier_upstream_timeouts_total") > 0; },
      1500ms));
  CHECK(reads_value(client, value));
  CHECK(client.read(2) == ":" + std::to_string(30 * kMiB) + "\r\n+OK\r\n");
}

TEST_CASE("large: a session that never reads is closed after timeouts.slow", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, "timeouts: { slow: 1s }"), "", {}});
  REQUIRE(RawClient(server.port()).call({"SET", "big", large_value(30 * kMiB)}) == "+OK\r\n");
  RawClient lazy(pannier.port());
  lazy.ask({"GET", "big"});
  CHECK(wait_until(
      [&] {
        return pannier.metric("pannier_client_connections_closed_total{reason=\"stalled\"}") == 1;
      },
      6s));
  CHECK(RawClient(pannier.port()).call({"STRLEN", "big"}) ==
        ":" + std::to_string(30 * kMiB) + "\r\n");
}

TEST_CASE("large: tens of thousands of arguments pass in one request", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient client(pannier.port());
  constexpr std::size_t kMany = 50'000;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kMany; ++i) {
    keys.push_back("key:" + std::to_string(i));
  }
  Words set{"MSET"};
  Words get{"MGET"};
  Words subscribe{"SUBSCRIBE"};
  std::string values = "*" + std::to_string(kMany) + "\r\n";
  for (const std::string& key : keys) {
    set.insert(set.end(), {key, key});
    get.push_back(key);
    subscribe.push_back(key);
    values += bulk(key);
  }
  CHECK(client.call(set) == "+OK\r\n");
  client.send(request(get) + request({"ECHO", "behind"}));
  CHECK((client.read(2) == values + bulk("behind")));
  client.ask(subscribe);
  for (std::size_t i = 0; i < kMany; ++i) {
    REQUIRE(client.read() ==
            "*3\r\n" + bulk("subscribe") + bulk(keys[i]) + ":" + std::to_string(i + 1) + "\r\n");
  }
  CHECK(client.call({"PING"}) == "*2\r\n" + bulk("pong") + bulk(""));
  RawClient publisher(pannier.port());
  CHECK(publisher.call({"PUBLISH", "key:777", "m"}) == ":1\r\n");
  CHECK(client.read() == "*3\r\n" + bulk("message") + bulk("key:777") + bulk("m"));
}

TEST_CASE("large: an argument of megabytes inside MULTI stays in its transaction", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  const std::string value = large_value(3 * kMiB);
  RawClient client(pannier.port());
  RawClient other(pannier.port());
  client.send(request({"MULTI"}) + request({"SET", "big", value}) + request({"STRLEN", "big"}));
  CHECK(client.read(3) == "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  CHECK(other.call({"EXISTS", "big"}) == ":0\r\n");
  CHECK(client.call({"EXEC"}) == "*2\r\n+OK\r\n:" + std::to_string(value.size()) + "\r\n");
  other.ask({"GET", "big"});
  CHECK(reads_value(other, value));
}

TEST_CASE("large: an upload whose client stalls or dies disturbs nobody and stores nothing",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient other(pannier.port());
  const std::string begin = "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$10000000\r\n" + large_value(2 * kMiB);
  for (const bool with_reset : {false, true}) {
    RawClient stalled(pannier.port());
    stalled.send(begin);
    CHECK(p99(200, [&] { REQUIRE(other.call({"SET", "k", "v"}) == "+OK\r\n"); }) < 100ms);
    if (with_reset) {
      stalled.reset();
    } else {
      stalled.close();
    }
    CHECK(wait_until(
        [&] { return pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0; }));
    CHECK(other.call({"EXISTS", "big"}) == ":0\r\n");
  }
}

TEST_CASE("large: an upload to a node that stops reading is held back, not piled up", "[proxy]") {
  const RedisServer server;
  Relay relay(server.port());
  const PannierProcess pannier(
      {upstream_of({"127.0.0.1:" + std::to_string(relay.port())}, kPatient), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
  MemoryWatch memory(pannier);
  const std::string value = large_value(60 * kMiB);
  std::jthread slow([&] {
    std::this_thread::sleep_for(300ms);
    relay.stall_requests(false);
  });
  relay.stall_requests(true);
  client.ask({"SET", "big", value});
  slow.join();
  CHECK(client.read() == "+OK\r\n");
  CHECK(memory.growth() < 32 * kMiB);
}

TEST_CASE("large: a node lost in the middle of a large reply ends that client only", "[proxy]") {
  const RedisServer server;
  Relay relay(server.port());
  const PannierProcess pannier(
      {upstream_of({"127.0.0.1:" + std::to_string(relay.port())}, kPatient), "", {}});
  REQUIRE(RawClient(server.port()).call({"SET", "big", large_value(20 * kMiB)}) == "+OK\r\n");
  RawClient client(pannier.port());
  RawClient other(pannier.port());
  CHECK(other.call({"SET", "k", "v"}) == "+OK\r\n");
  relay.cut_after(5 * kMiB);
  client.ask({"GET", "big"});
  const std::string got = client.read_to_end();
  CHECK(got.size() < 20 * kMiB);
  CHECK(got.find("-UPSTREAM") == std::string::npos);  // nothing may be said inside a reply
  CHECK(other.call({"PING"}) == "+PONG\r\n");
  CHECK(wait_until([&] { return other.call({"GET", "k"}) == bulk("v"); }));
}

TEST_CASE("large: a node lost in the middle of an upload is told to the client", "[proxy]") {
  const RedisServer server;
  Relay relay(server.port());
  const PannierProcess pannier(
      {upstream_of({"127.0.0.1:" + std::to_string(relay.port())}, kPatient), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
  const std::string value = large_value(8 * kMiB);
  const std::string header = "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$" + std::to_string(value.size());
  client.send(header + "\r\n" + value.substr(0, 4 * kMiB));
  relay.drop_all();
  REQUIRE(client.has_input(5s));
  client.send(value.substr(4 * kMiB) + "\r\n");
  CHECK(client.read().starts_with("-UPSTREAM "));
  CHECK(wait_until([&] { return client.call({"GET", "k"}) == bulk("v"); }));
  CHECK(client.call({"EXISTS", "big"}) == ":0\r\n");
}

}  // namespace pannier::test
