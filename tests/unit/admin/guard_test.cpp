#include "guard.hpp"

#include <catch2/catch.hpp>

using namespace pannier::admin;
using pannier::base::Endpoint;

namespace {

Request request(const std::string& method,
                std::vector<std::pair<std::string, std::string>> headers) {
  Request out;
  out.method = method;
  out.target = out.path = "/";
  out.headers = std::move(headers);
  return out;
}

unsigned verdict(const Guard& guard, const Request& r) {
  const auto answer = guard(r);
  return answer ? answer->status : 0;
}

unsigned with_host(const Guard& guard, const std::string& host) {
  return verdict(guard, request("GET", {{"Host", host}}));
}

const Guard kOpen{Endpoint{"127.0.0.1", 9181, ""}, ""};

}  // namespace

TEST_CASE("guard: without a token only names of this machine are served") {
  for (const char* host : {"localhost",
                           "LocalHost:9181",
                           "127.0.0.1",
                           "127.0.0.1:9181",
                           "127.1.2.3:80",
                           "[::1]",
                           "[::1]:9181"}) {
    INFO(host);
    CHECK(with_host(kOpen, host) == 0);
  }
  for (const char* host : {"evil.example",
                           "evil.example:9181",
                           "127.evil.example",
                           "127.0.0.1.evil.example",
                           "localhost.evil.example",
                           "10.0.0.1",
                           "[::2]",
                           "[::1",
                           "",
                           ":9181",
                           "0.0.0.0"}) {
    INFO(host);
    CHECK(with_host(kOpen, host) == 403);
  }
  CHECK(verdict(kOpen, request("GET", {})) == 403);
}

TEST_CASE("guard: the configured host is served too") {
  const Guard named{Endpoint{"Sidecar.internal", 9181, ""}, ""};
  CHECK(with_host(named, "sidecar.INTERNAL:9181") == 0);
  CHECK(with_host(named, "other.internal:9181") == 403);
}

TEST_CASE("guard: a Unix socket does not look at the Host") {
  const Guard local{Endpoint{"", 0, "/run/x.sock"}, ""};
  CHECK(with_host(local, "anything") == 0);
  CHECK(verdict(local, request("GET", {})) == 0);
  CHECK(verdict(local, request("POST", {})) == 403);
}

TEST_CASE("guard: an action wants X-Pannier: 1") {
  CHECK(verdict(kOpen, request("POST", {{"Host", "localhost"}})) == 403);
  CHECK(verdict(kOpen, request("POST", {{"Host", "localhost"}, {"X-Pannier", "0"}})) == 403);
  CHECK(verdict(kOpen, request("POST", {{"Host", "localhost"}, {"x-pannier", "1"}})) == 0);
  const auto hint = kOpen(request("POST", {{"Host", "localhost"}}));
  CHECK(hint->body.find("X-Pannier: 1") != std::string::npos);
}

TEST_CASE("guard: a token is wanted for everything, then any Host will do") {
  const Guard guarded{Endpoint{"0.0.0.0", 9181, ""}, "s3cret"};
  CHECK(with_host(guarded, "localhost") == 401);
  for (const char* wrong : {"Bearer s3creT",
                            "Bearer s3cre",
                            "Bearer s3cret ",
                            "Bearer ",
                            "Bearer",
                            "Basic s3cret",
                            "s3cret",
                            ""}) {
    INFO(wrong);
    CHECK(verdict(guarded, request("GET", {{"Authorization", wrong}})) == 401);
  }
  CHECK(verdict(guarded, request("GET", {{"Authorization", "Bearer s3cret"}})) == 0);
  CHECK(verdict(guarded, request("GET", {{"authorization", "bearer s3cret"}})) == 0);
  CHECK(verdict(guarded, request("POST", {{"Authorization", "Bearer s3cret"}})) == 403);
  CHECK(verdict(guarded,
                request("POST", {{"Authorization", "Bearer s3cret"}, {"X-Pannier", "1"}})) == 0);
}

TEST_CASE("guard: constant-time comparison is right at every byte") {
  const std::string token = "0123456789abcdef";
  CHECK(equals_in_constant_time(token, token));
  CHECK(equals_in_constant_time("", ""));
  CHECK_FALSE(equals_in_constant_time(token, token + "0"));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto other = token;
    other[i] = static_cast<char>(other[i] ^ 0x80);
    CHECK_FALSE(equals_in_constant_time(token, other));
  }
}
