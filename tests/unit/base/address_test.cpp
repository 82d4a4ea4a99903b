#include "pannier/base/address.hpp"

#include <catch2/catch.hpp>

#include <string>

using pannier::base::Endpoint;
using pannier::base::SocketAddress;

TEST_CASE("address: numeric hosts become addresses, names do not", "[base]") {
  const auto v4 = SocketAddress::from_ip("127.0.0.1", 6379);
  REQUIRE(v4.family() == AF_INET);
  REQUIRE(v4.to_string() == "127.0.0.1:6379");
  const auto v6 = SocketAddress::from_ip("::1", 6380);
  REQUIRE(v6.family() == AF_INET6);
  REQUIRE(v6.to_string() == "[::1]:6380");
  REQUIRE(SocketAddress::from_ip("localhost", 1).length == 0);
  REQUIRE(SocketAddress::from_ip("127.1", 1).length == 0);
  REQUIRE(SocketAddress::from_ip("", 1).length == 0);
}

TEST_CASE("address: Unix paths up to 107 bytes fit", "[base]") {
  const auto local = SocketAddress::from_unix_path("/run/pannier.sock");
  REQUIRE(local.family() == AF_UNIX);
  REQUIRE(local.to_string() == "unix:/run/pannier.sock");
  const std::string longest(107, 'p');
  REQUIRE(SocketAddress::from_unix_path(longest).to_string() == "unix:" + longest);
  REQUIRE(SocketAddress::from_unix_path(longest + "p").length == 0);
}

TEST_CASE("address: equal means same family, host and port", "[base]") {
  const auto a = SocketAddress::from_ip("10.0.0.1", 1);
  REQUIRE(a == SocketAddress::from_ip("10.0.0.1", 1));
  REQUIRE_FALSE(a == SocketAddress::from_ip("10.0.0.1", 2));
  REQUIRE_FALSE(a == SocketAddress::from_ip("10.0.0.2", 1));
  REQUIRE_FALSE(a == SocketAddress::from_ip("::1", 1));
  REQUIRE_FALSE(a == SocketAddress{});
  REQUIRE(SocketAddress{} == SocketAddress{});
  REQUIRE(SocketAddress::from_unix_path("/a") == SocketAddress::from_unix_path("/a"));
  REQUIRE_FALSE(SocketAddress::from_unix_path("/a") == SocketAddress::from_unix_path("/ab"));
}

TEST_CASE("address: endpoints are read and written alike", "[base]") {
  for (const auto* text : {"127.0.0.1:6379",
                           "[::1]:6379",
                           "[fe80::1]:1",
                           "cache.example.com:65535",
                           "unix:/run/pannier.sock"}) {
    Endpoint endpoint;
    REQUIRE(Endpoint::parse(text, endpoint));
    REQUIRE(endpoint.to_string() == text);
  }
  Endpoint v6;
  REQUIRE(Endpoint::parse("[::1]:6379", v6));
  REQUIRE(v6.host == "::1");
  REQUIRE(v6.port == 6379);
}

TEST_CASE("address: what is no endpoint changes nothing", "[base]") {
  for (const auto* text : {"",
                           "host",
                           ":6379",
                           "host:",
                           "host:0",
                           "host:65536",
                           "host:-1",
                           "host:+1",
                           "host: 1",
                           "host:06379",
                           "::1:6379",
                           "[::1:6379",
                           "::1]:6379",
                           "[]:6379",
                           "unix:"}) {
    CAPTURE(text);
    Endpoint endpoint{"before", 7, ""};
    REQUIRE_FALSE(Endpoint::parse(text, endpoint));
    REQUIRE(endpoint == Endpoint{"before", 7, ""});
  }
}

TEST_CASE("address: loopback is what no other machine reaches", "[base]") {
  for (const auto* text : {"127.0.0.1:1", "127.8.9.10:1", "localhost:1", "[::1]:1", "unix:/a"}) {
    Endpoint endpoint;
    REQUIRE(Endpoint::parse(text, endpoint));
    REQUIRE(endpoint.is_loopback());
  }
  for (const auto* text : {"0.0.0.0:1",
                           "10.0.0.1:1",
                           "[::]:1",
                           "128.0.0.1:1",
                           "127.evil.example.com:1",
                           "localhost.example.com:1"}) {
    CAPTURE(text);
    Endpoint endpoint;
    REQUIRE(Endpoint::parse(text, endpoint));
    REQUIRE_FALSE(endpoint.is_loopback());
  }
}
