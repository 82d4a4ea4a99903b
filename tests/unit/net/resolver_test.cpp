#include "pannier/net/resolver.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier;
using base::SocketAddress;

namespace {

std::vector<SocketAddress> addresses(const std::vector<std::string>& hosts) {
  std::vector<SocketAddress> out;
  for (const auto& host : hosts) {
    out.push_back(SocketAddress::from_ip(host, 1));
  }
  return out;
}

std::optional<net::LookupAnswer> look_up(const std::string& host) {
  boost::asio::io_context io;
  // Nobody is there: what needs a server fails.
  net::Resolver resolver(io, {base::Endpoint{"127.0.0.1", 9, ""}});
  std::optional<net::LookupAnswer> out;
  resolver.look_up(host, 6379, [&](const net::LookupAnswer& answer) { out = answer; });
  REQUIRE_FALSE(out);
  io.run_for(5s);
  return out;
}

}  // namespace

TEST_CASE("resolver: an answer holds between a second and a minute") {
  CHECK(net::holds_for(0s) == 1s);
  CHECK(net::holds_for(1s) == 1s);
  CHECK(net::holds_for(5s) == 5s);
  CHECK(net::holds_for(60s) == 60s);
  CHECK(net::holds_for(86400s) == 60s);
}

TEST_CASE("resolver: families take turns, and keep their order") {
  CHECK(net::in_turns({}).empty());
  CHECK(net::in_turns(addresses({"10.0.0.2", "10.0.0.1"})) == addresses({"10.0.0.2", "10.0.0.1"}));
  CHECK(net::in_turns(addresses({"fd00::1", "fd00::2", "10.0.0.1", "10.0.0.2"})) ==
        addresses({"fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"}));
  CHECK(net::in_turns(addresses({"10.0.0.1", "fd00::1", "fd00::2", "fd00::3"})) ==
        addresses({"10.0.0.1", "fd00::1", "fd00::2", "fd00::3"}));
}

TEST_CASE("resolver: literal addresses and localhost need no server") {
  const auto literal = look_up("10.1.2.3");
  REQUIRE(literal);
  CHECK(literal->addresses == std::vector{SocketAddress::from_ip("10.1.2.3", 6379)});
  const auto local = look_up("localhost");
  REQUIRE(local);
  INFO(local->error);
  REQUIRE(local->result == net::LookupResult::Found);
  CHECK(std::count(local->addresses.begin(),
                   local->addresses.end(),
                   SocketAddress::from_ip("127.0.0.1", 6379)) == 1);
}

TEST_CASE("resolver: without a server a name fails, and says why") {
  const auto answer = look_up("main.test");
  REQUIRE(answer);
  const bool failed =
      answer->result == net::LookupResult::Failed || answer->result == net::LookupResult::TimedOut;
  CHECK(failed);
  CHECK_FALSE(answer->error.empty());
  CHECK(answer->addresses.empty());
}

TEST_CASE("resolver: dropped questions are silent") {
  boost::asio::io_context io;
  int answers = 0;
  {
    net::Resolver resolver(io, {base::Endpoint{"127.0.0.1", 9, ""}});
    for (const auto* host : {"10.1.2.3", "localhost", "a.test", "b.test"}) {
      resolver.look_up(host, 1, [&](const net::LookupAnswer&) { ++answers; });
    }
  }
  io.run_for(5s);
  CHECK(io.stopped());
  CHECK(answers == 0);
}

TEST_CASE("resolver: open questions die with the io_context") {
  int answers = 0;
  auto io = std::make_unique<boost::asio::io_context>();
  auto resolver =
      std::make_unique<net::Resolver>(*io, std::vector{base::Endpoint{"127.0.0.1", 9, ""}});
  resolver->look_up("a.test", 1, [&](const net::LookupAnswer&) { ++answers; });
  io->poll_one();
  io.reset();
  resolver.reset();
  CHECK(answers == 0);
}
