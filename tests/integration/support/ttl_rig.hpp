#pragma once

#include "command_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// `classes`: of policy.yaml, one per line.
[[nodiscard]] inline std::string policy_of(std::string_view classes,
                                           std::string_view mode = "enforce") {
  return "version: 1\nmode: " + std::string(mode) + "\nclasses:\n" + std::string(classes);
}

// A Pannier with TTL rules before a server, and a server of the same kind that is asked the same
// without Pannier.
struct TtlRig {
  explicit TtlRig(std::string_view classes, std::string_view mode = "enforce")
      : pannier({upstream_of({server.address()}, kPatient), {}, {}, policy_of(classes, mode)}) {}

  static constexpr std::string_view kPatient =
      "lanes: { min: 1, max: 2 }, "
      "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

  [[nodiscard]] RawClient connect() const { return RawClient(pannier.port()); }

  // The same on both servers, past Pannier.
  void both(const Words& words) { REQUIRE(direct.call(words) == twin_client.call(words)); }

  RedisServer server;
  RedisServer twin;
  RawClient direct{server.port()};
  RawClient twin_client{twin.port()};
  PannierProcess pannier;
};

// The rule that most tests use: a default, a minimum and a maximum, in seconds.
inline constexpr long long kDefault = 60;
inline constexpr long long kMin = 10;
inline constexpr long long kMax = 100;
inline constexpr std::string_view kAllClass =
    "  - { name: all, keys: [\"all:*\"], ttl: { default: 60s, min: 10s, max: 100s } }\n";

// PTTL: so many seconds, less what the test has taken; negative as it is.
inline void check_ttl(long long pttl, long long seconds) {
  if (seconds < 0) {
    CHECK(pttl == seconds);
  } else {
    CHECK(pttl <= seconds * 1000);
    CHECK(pttl > seconds * 1000 - 9000);
  }
}

}  // namespace pannier::test
