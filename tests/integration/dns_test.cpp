#include "dns_server.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// The program with names for its nodes, and a real name server that changes its mind.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A TTL of 1 s and a tenth, a probe of 400 ms, and what a busy machine takes.
constexpr auto kFollowed = 4s;

std::string tell(const RedisServer& server, const char* line) {
  const std::unique_ptr<redisContext, decltype(&redisFree)> context(
      redisConnect(server.host().c_str(), server.port()), &redisFree);
  REQUIRE(context->err == 0);
  const std::unique_ptr<void, decltype(&freeReplyObject)> raw(redisCommand(context.get(), line),
                                                              &freeReplyObject);
  const auto* reply = static_cast<const redisReply*>(raw.get());
  REQUIRE(reply != nullptr);
  return reply->str == nullptr ? std::string() : std::string(reply->str, reply->len);
}

// How many connections of the sidecar a server has.
std::size_t sidecar_connections(const RedisServer& server) {
  const std::string list = tell(server, "CLIENT LIST");
  std::size_t count = 0;
  for (std::size_t at = list.find("name=pannier"); at != std::string::npos;
       at = list.find("name=pannier", at + 1)) {
    ++count;
  }
  return count;
}

std::string name_servers(const DnsServer& dns) {
  return "dns: { servers: [\"" + dns.address() + "\"] }";
}

std::string at(const std::string& name, const RedisServer& server) {
  return "\"" + name + ":" + std::to_string(server.port()) + "\"";
}

double lookups(const PannierProcess& pannier, const std::string& result) {
  return pannier.metric("pannier_dns_lookups_total{result=\"" + result + "\"}");
}

std::size_t count_in(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t found = text.find(what); found != std::string::npos;
       found = text.find(what, found + 1)) {
    ++count;
  }
  return count;
}

// A primary and a replica at two addresses with one port, as a managed service has them, behind the
// name main.test.
struct Pair {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a, {}, {"127.0.0.2", a.port()});
  DnsServer dns{{{"a.test", {"127.0.0.1"}}, {"b.test", {"127.0.0.2"}}}, {{"main.test", "a.test"}}};
  PannierProcess pannier{
      {"{ kind: replicated, primary: " + at("main.test", a) + " }", name_servers(dns), {}}};

  void promote() const { REQUIRE(tell(b, "REPLICAOF NO ONE") == "OK"); }

  void flip() { dns.set_aliases({{"main.test", "b.test"}}); }
};

// Writes through the sidecar as fast as it can, until it is stopped.
class Load {
 public:
  explicit Load(int port) : thread_([this, port] { run(port); }) {}

  ~Load() { stop(); }

  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void stop() {
    stopped_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  [[nodiscard]] int written() const { return written_; }

  [[nodiscard]] int failed() const { return failed_; }

 private:
  void run(int port) {
    RawClient client(port);
    while (!stopped_) {
      const std::string value = std::to_string(written_ + 1);
      (client.call({"SET", "load", value}) == "+OK\r\n" ? written_ : failed_).fetch_add(1);
    }
  }

  std::atomic<bool> stopped_{false};
  std::atomic<int> written_{0};
  std::atomic<int> failed_{0};
  std::thread thread_;
};

// An address that takes no connection and says nothing: its queue is full.
class Hole {
 public:
  Hole(const char* host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host, &address.sin_addr);
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    descriptors_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(descriptors_.front(), where, sizeof(address)) == 0);
    REQUIRE(::listen(descriptors_.front(), 0) == 0);
    for (int i = 0; i < 4; ++i) {
      descriptors_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      static_cast<void>(::connect(descriptors_.back(), where, sizeof(address)));
    }
  }

  ~Hole() {
    for (const int descriptor : descriptors_) {
      ::close(descriptor);
    }
  }

  Hole(const Hole&) = delete;
  Hole& operator=(const Hole&) = delete;

 private:
  std::vector<int> descriptors_;
};

bool has_ipv6() {
  const int descriptor = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound =
      descriptor >= 0 &&
      ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(descriptor);
  return bound;
}

}  // namespace

TEST_CASE("dns: a primary endpoint moves to a promoted replica under load", "[dns]") {
  Pair pair;
  Load load(pair.pannier.port());
  REQUIRE(wait_until([&] { return load.written() > 100; }));
  pair.promote();
  pair.flip();
  CHECK(wait_until(
      [&] {
        return !tell(pair.b, "GET load").empty() &&
               std::stoi(tell(pair.b, "GET load")) > load.written() - 1000 &&
               sidecar_connections(pair.a) == 0;
      },
      kFollowed));
  const int before = load.written();
  CHECK(wait_until([&] { return load.written() > before + 100; }));
  load.stop();
  // The old primary served until the new one was proven, and nothing was in between.
  CHECK(load.failed() == 0);
  CHECK(tell(pair.b, "GET load") == std::to_string(load.written()));
  CHECK(pair.pannier.log().find("moved to 127.0.0.2:") != std::string::npos);
}

TEST_CASE("dns: a name that points at a replica is not followed until it is promoted", "[dns]") {
  Pair pair;
  Load load(pair.pannier.port());
  REQUIRE(wait_until([&] { return load.written() > 100; }));
  pair.flip();
  REQUIRE(wait_until([&] { return count_in(pair.pannier.log(), "but stays at 127.0.0.1:") == 1; }));
  const int before = load.written();
  REQUIRE(wait_until([&] { return load.written() > before + 100; }));
  CHECK(sidecar_connections(pair.a) > 0);
  pair.promote();
  CHECK(wait_until([&] { return sidecar_connections(pair.a) == 0; }, kFollowed));
  load.stop();
  CHECK(load.failed() == 0);
  CHECK(tell(pair.b, "GET load") == std::to_string(load.written()));
  CHECK(count_in(pair.pannier.log(), "but stays at") == 1);
}

TEST_CASE("dns: the primary dies, its endpoint moves, writes are back", "[dns]") {
  Pair pair;
  RawClient client(pair.pannier.port());
  REQUIRE(client.call({"SET", "k", "v"}) == "+OK\r\n");
  pair.b.wait_for_info("master_link_status", "up");
  REQUIRE(wait_until([&] { return tell(pair.b, "GET k") == "v"; }));
  pair.a.kill();
  pair.promote();
  pair.flip();
  CHECK(wait_until([&] { return client.call({"SET", "to", "b"}) == "+OK\r\n"; }, kFollowed));
  CHECK(tell(pair.b, "GET to") == "b");
  CHECK(client.call({"GET", "k"}) == "$1\r\nv\r\n");
}

TEST_CASE("dns: without name servers, and without the name, all goes on", "[dns]") {
  Pair pair;
  RawClient client(pair.pannier.port());
  REQUIRE(client.call({"SET", "k", "v"}) == "+OK\r\n");

  pair.dns.kill();
  REQUIRE(wait_until(
      [&] { return lookups(pair.pannier, "failed") + lookups(pair.pannier, "timed_out") >= 2; }));
  CHECK(client.call({"GET", "k"}) == "$1\r\nv\r\n");
  // Also a connection that is new: the last good answer is enough.
  pair.a.restart();
  CHECK(wait_until([&] { return client.call({"SET", "k", "w"}) == "+OK\r\n"; }));

  pair.dns.set_hosts({});
  pair.dns.set_aliases({});
  REQUIRE(wait_until([&] { return lookups(pair.pannier, "not_found") >= 2; }));
  CHECK(client.call({"GET", "k"}) == "$1\r\nw\r\n");
  const std::string name = "{name=\"main.test:" + std::to_string(pair.a.port()) + "\"}";
  CHECK(pair.pannier.metric("pannier_dns_age_seconds" + name) > 1);
  CHECK(count_in(pair.pannier.log(), "does not resolve any more") == 1);

  pair.dns.set_hosts({{"a.test", {"127.0.0.1"}}});
  pair.dns.set_aliases({{"main.test", "a.test"}});
  CHECK(wait_until([&] { return count_in(pair.pannier.log(), "resolves again") == 1; }));
  CHECK(pair.pannier.metric("pannier_dns_age_seconds" + name) < 10);
}

TEST_CASE("dns: addresses where nobody answers are passed over", "[dns]") {
  const RedisServer server;
  const Hole hole("127.0.0.9", server.port());
  const DnsServer dns(DnsServer::Hosts{{"main.test", {"127.0.0.9", "127.0.0.8", "127.0.0.1"}}});
  const PannierProcess pannier(
      {"{ primary: " + at("main.test", server) + " }", name_servers(dns), {}});
  RawClient client(pannier.port());
  CHECK(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }, 3s));
  CHECK(tell(server, "GET k") == "v");
}

TEST_CASE("dns: a node with an IPv6 address only", "[dns]") {
  if (!has_ipv6()) {
    WARN("this machine has no ::1");
    return;
  }
  const RedisServer server({}, {"::1", 0});
  const DnsServer dns(DnsServer::Hosts{{"main.test", {"::1"}}});
  const PannierProcess pannier(
      {"{ primary: " + at("main.test", server) + " }", name_servers(dns), {}});
  RawClient client(pannier.port());
  CHECK(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }, 3s));
  CHECK(tell(server, "GET k") == "v");
}

namespace {

// A primary behind main.test and replicas behind main-ro.test.
struct Readers {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a, {}, {"127.0.0.2", a.port()});
  RedisServer c = RedisServer::start_replica_of(a, {}, {"127.0.0.3", a.port()});
  DnsServer dns{
      DnsServer::Hosts{{"main.test", {"127.0.0.1"}}, {"main-ro.test", {"127.0.0.2", "127.0.0.3"}}}};
  PannierProcess pannier{
      {"{ primary: " + at("main.test", a) + ", reader: " + at("main-ro.test", a) + " }",
       name_servers(dns) + "\nreads: replica",
       {}}};

  double ready(int place) const {
    return pannier.metric("pannier_upstream_ready{node=\"main-ro.test:" + std::to_string(a.port()) +
                          "#" + std::to_string(place) + "\"}");
  }

  // Whether reads of many clients reach this server.
  bool is_read(const RedisServer& server) const {
    const auto calls = [&server] {
      return server.info("cmdstat_get");
    };
    const std::string before = calls();
    std::vector<RawClient> clients;
    for (int i = 0; i < 6; ++i) {
      clients.emplace_back(pannier.port());
    }
    return wait_until([&] {
      for (RawClient& client : clients) {
        static_cast<void>(client.call({"GET", "k"}));
      }
      return calls() != before;
    });
  }
};

}  // namespace

TEST_CASE("dns: a reader endpoint is a node for each of its addresses, as they come and go",
          "[dns]") {
  Readers fleet;
  REQUIRE(wait_until([&] { return fleet.ready(1) == 1 && fleet.ready(2) == 1; }));
  CHECK(fleet.is_read(fleet.b));
  CHECK(fleet.is_read(fleet.c));

  const auto d = RedisServer::start_replica_of(fleet.a, {}, {"127.0.0.4", fleet.a.port()});
  fleet.dns.set_hosts(
      {{"main.test", {"127.0.0.1"}}, {"main-ro.test", {"127.0.0.2", "127.0.0.3", "127.0.0.4"}}});
  REQUIRE(wait_until([&] { return fleet.ready(3) == 1; }, kFollowed));
  CHECK(fleet.is_read(d));

  fleet.dns.set_hosts({{"main.test", {"127.0.0.1"}}, {"main-ro.test", {"127.0.0.3", "127.0.0.4"}}});
  CHECK(wait_until([&] { return sidecar_connections(fleet.b) == 0; }, kFollowed));
  CHECK(fleet.is_read(fleet.c));
  CHECK(fleet.is_read(d));
  CHECK(sidecar_connections(fleet.b) == 0);
}

TEST_CASE("dns: a promoted reader takes the writes before the name of the primary moves", "[dns]") {
  Readers fleet;
  REQUIRE(wait_until([&] { return fleet.ready(1) == 1 && fleet.ready(2) == 1; }));
  fleet.a.kill();
  REQUIRE(tell(fleet.b, "REPLICAOF NO ONE") == "OK");
  REQUIRE(tell(fleet.c, ("REPLICAOF 127.0.0.2 " + std::to_string(fleet.a.port())).c_str()) == "OK");
  RawClient client(fleet.pannier.port());
  CHECK(wait_until([&] { return client.call({"SET", "k", "1"}) == "+OK\r\n"; }, 3s));
  CHECK(tell(fleet.b, "GET k") == "1");

  // Now both names lead there; it is one server, and the name of the primary is the one to keep.
  Load load(fleet.pannier.port());
  fleet.dns.set_hosts({{"main.test", {"127.0.0.2"}}, {"main-ro.test", {"127.0.0.3"}}});
  const std::string main = "main.test:" + std::to_string(fleet.a.port());
  CHECK(wait_until(
      [&] { return fleet.pannier.metric("pannier_upstream_ready{node=\"" + main + "\"}") == 1; }));
  CHECK(wait_until([&] { return fleet.ready(1) == 0 && fleet.ready(2) == 1; }));
  const int before = load.written();
  CHECK(wait_until([&] { return load.written() > before + 100; }));
  load.stop();
  CHECK(load.failed() == 0);
  CHECK(tell(fleet.b, "GET load") == std::to_string(load.written()));
}

}  // namespace pannier::test
