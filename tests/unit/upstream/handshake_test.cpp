#include "pannier/upstream/handshake.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <string>
#include <vector>

using pannier::config::Config;
using pannier::config::Credentials;
using pannier::resp::Version;
using pannier::upstream::ConnectionSpec;
using pannier::upstream::HandshakeStep;
using pannier::upstream::is_fatal;
using pannier::upstream::make_handshake;

namespace {

Config config_with(std::optional<Credentials> auth) {
  Config config;
  config.service = "cart";
  config.upstream.auth = std::move(auth);
  return config;
}

std::string introduction() {
  const std::string name = "pannier:cart:" + std::to_string(::getpid());
  return "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$" + std::to_string(name.size()) + "\r\n" + name +
         "\r\n*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$7\r\npannier\r\n"
         "*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n";
}

std::string bytes_of(const ConnectionSpec& spec, const Config& config) {
  std::string out;
  for (const auto& request : make_handshake(spec, config)) {
    out += request.bytes;
  }
  return out;
}

}  // namespace

TEST_CASE("handshake: RESP2, db 0, no secret: only the introduction", "[upstream]") {
  REQUIRE(bytes_of({0, 0, Version::Resp2}, config_with({})) == introduction());
}

TEST_CASE("handshake: RESP2 says AUTH first, with the user if there is one", "[upstream]") {
  REQUIRE(bytes_of({0, 0, Version::Resp2}, config_with(Credentials{"", "s3cret"})) ==
          "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n" + introduction());
  REQUIRE(bytes_of({0, 0, Version::Resp2}, config_with(Credentials{"app", "s3cret"})) ==
          "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ns3cret\r\n" + introduction());
}

TEST_CASE("handshake: RESP3 says HELLO 3, which carries the secret", "[upstream]") {
  REQUIRE(bytes_of({0, 0, Version::Resp3}, config_with({})) ==
          "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" + introduction());
  REQUIRE(bytes_of({0, 0, Version::Resp3}, config_with(Credentials{"", "s3cret"})) ==
          "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$6\r\ns3cret\r\n" +
              introduction());
  REQUIRE(bytes_of({0, 0, Version::Resp3}, config_with(Credentials{"app", "s3cret"})) ==
          "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ns3cret\r\n" +
              introduction());
}

TEST_CASE("handshake: another database is selected last", "[upstream]") {
  REQUIRE(bytes_of({0, 15, Version::Resp2}, config_with({})) ==
          introduction() + "*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n");
}

TEST_CASE("handshake: the steps are named in the order of the requests", "[upstream]") {
  std::vector<HandshakeStep> steps;
  for (const auto& request :
       make_handshake({0, 3, Version::Resp3}, config_with(Credentials{"", "s3cret"}))) {
    steps.push_back(request.step);
  }
  REQUIRE(steps == std::vector{HandshakeStep::Hello,
                               HandshakeStep::SetName,
                               HandshakeStep::SetInfo,
                               HandshakeStep::ClientId,
                               HandshakeStep::Select});
}

TEST_CASE("handshake: what is not an error is never fatal", "[upstream]") {
  for (const auto step : {HandshakeStep::Hello,
                          HandshakeStep::Auth,
                          HandshakeStep::SetName,
                          HandshakeStep::SetInfo,
                          HandshakeStep::ClientId,
                          HandshakeStep::Select}) {
    REQUIRE_FALSE(is_fatal(step, "+OK\r\n"));
    REQUIRE_FALSE(is_fatal(step, "%0\r\n"));
    REQUIRE_FALSE(is_fatal(step, ":7\r\n"));
  }
}

TEST_CASE("handshake: a refused secret, version or database is fatal", "[upstream]") {
  REQUIRE(is_fatal(HandshakeStep::Hello, "-WRONGPASS no\r\n"));
  REQUIRE(is_fatal(HandshakeStep::Hello, "-ERR unknown command 'HELLO'\r\n"));
  REQUIRE(is_fatal(HandshakeStep::Auth, "-ERR invalid password\r\n"));
  REQUIRE(is_fatal(HandshakeStep::Select, "-ERR DB index is out of range\r\n"));
  REQUIRE(is_fatal(HandshakeStep::Select, "-LOADING Redis is loading the dataset\r\n"));
}

TEST_CASE("handshake: a refused introduction is harmless, a refused connection is not",
          "[upstream]") {
  for (const auto step :
       {HandshakeStep::SetName, HandshakeStep::SetInfo, HandshakeStep::ClientId}) {
    REQUIRE_FALSE(is_fatal(step, "-ERR unknown subcommand 'SETINFO'\r\n"));
    REQUIRE_FALSE(is_fatal(step, "-NOPERM no\r\n"));
    REQUIRE_FALSE(is_fatal(step, "-LOADING Redis is loading the dataset in memory\r\n"));
    REQUIRE(is_fatal(step, "-NOAUTH Authentication required.\r\n"));
    REQUIRE(is_fatal(step, "-ERR max number of clients reached\r\n"));
    REQUIRE(is_fatal(step, "-DENIED Redis is running in protected mode because...\r\n"));
  }
}
