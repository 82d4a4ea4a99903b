#include "pannier/net/resolver.hpp"

#include "dns_server.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <fcntl.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>

using namespace std::chrono_literals;
using namespace pannier;
using base::SocketAddress;
using net::LookupAnswer;
using net::LookupResult;
using test::DnsServer;

namespace {

std::vector<base::Endpoint> servers(const DnsServer& server) {
  std::vector<base::Endpoint> out(1);
  REQUIRE(base::Endpoint::parse(server.address(), out.front()));
  return out;
}

LookupAnswer look_up(const DnsServer& server, const std::string& host) {
  boost::asio::io_context io;
  net::Resolver resolver(io, servers(server));
  std::optional<LookupAnswer> out;
  resolver.look_up(host, 6379, [&](const LookupAnswer& answer) { out = answer; });
  io.run_for(10s);
  REQUIRE(out);
  REQUIRE(io.stopped());  // nothing is left: no timer, no socket
  return *out;
}

std::set<std::string> texts(const LookupAnswer& answer) {
  std::set<std::string> out;
  for (const auto& each : answer.addresses) {
    out.insert(each.to_string());
  }
  return out;
}

std::set<int> descriptors() {
  std::set<int> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    out.insert(std::stoi(entry.path().filename().string()));
  }
  return out;
}

}  // namespace

TEST_CASE("resolver: addresses of both families, through aliases, with the smallest TTL") {
  DnsServer server({{"node-1.test", {"127.0.0.2", "127.0.0.3", "::1"}}},
                   {{"main.test", "node-1.test"}});
  const auto answer = look_up(server, "main.test");
  INFO(answer.error);
  REQUIRE(answer.result == LookupResult::Found);
  CHECK(texts(answer) == std::set<std::string>{"127.0.0.2:6379", "127.0.0.3:6379", "[::1]:6379"});
  CHECK(answer.ttl == 1s);
}

TEST_CASE("resolver: what does not exist, what is refused, and who is silent") {
  DnsServer server(DnsServer::Hosts{{"node-1.test", {"127.0.0.2"}}});
  CHECK(look_up(server, "nobody.test").result == LookupResult::NotFound);
  CHECK(look_up(server, "node-1.example").result == LookupResult::Failed);
  server.freeze();
  const auto from = std::chrono::steady_clock::now();
  CHECK(look_up(server, "node-1.test").result == LookupResult::TimedOut);
  CHECK(std::chrono::steady_clock::now() - from < net::Resolver::kWithin + 500ms);
  server.thaw();
  CHECK(look_up(server, "node-1.test").result == LookupResult::Found);
}

TEST_CASE("resolver: a server that answers late is heard, and another one is asked") {
  DnsServer good(DnsServer::Hosts{{"node-1.test", {"127.0.0.2"}}});
  DnsServer mute(DnsServer::Hosts{});
  mute.freeze();
  boost::asio::io_context io;
  auto both = servers(mute);
  both.push_back(servers(good).front());
  net::Resolver resolver(io, both);
  std::optional<LookupAnswer> out;
  resolver.look_up("node-1.test", 1, [&](const LookupAnswer& answer) { out = answer; });
  io.run_for(10s);
  REQUIRE(out);
  CHECK(out->result == LookupResult::Found);
}

TEST_CASE("resolver: its sockets are closed on exec, and when it ends") {
  DnsServer server(DnsServer::Hosts{});
  server.freeze();
  const auto before = descriptors();
  boost::asio::io_context io;
  {
    net::Resolver resolver(io, servers(server));
    resolver.look_up("node-1.test", 1, [](const LookupAnswer&) {});
    std::size_t fresh = 0;
    for (const int descriptor : descriptors()) {
      if (before.count(descriptor) != 0 || ::fcntl(descriptor, F_GETFD) < 0) {
        continue;
      }
      INFO(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor)));
      CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
      fresh += std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor))
                       .string()
                       .starts_with("socket:")
                   ? 1U
                   : 0U;
    }
    CHECK(fresh > 0);
  }
  io.poll();
  std::size_t sockets = 0;
  for (const int descriptor : descriptors()) {
    std::error_code error;
    const auto link =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), error);
    sockets += before.count(descriptor) == 0 && link.string().starts_with("socket:") ? 1U : 0U;
  }
  CHECK(sockets == 0);
}
