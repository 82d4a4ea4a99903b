#pragma once

#include "command_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <string>
#include <string_view>

namespace pannier::test {

inline constexpr std::string_view kPatientUpstream =
    "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

// One Pannier with these lines of policy.yaml before one real server. Periods are a day where time
// must not matter.
class RulesRig {
 public:
  explicit RulesRig(const std::string& policy, std::string_view upstream = kPatientUpstream)
      : pannier({upstream_of({server.address()}, upstream), {}, {}, "version: 1\n" + policy}) {}

  [[nodiscard]] RawClient connect() const { return RawClient(pannier.port()); }

  // pannier_limit_<what>_total, or pannier_denied_total.
  [[nodiscard]] double limit(std::string_view what,
                             std::string_view name,
                             std::string_view mode = "enforce") const {
    return pannier.metric("pannier_limit_" + std::string(what) + "_total{limit=\"" +
                          std::string(name) + "\",mode=\"" + std::string(mode) + "\"}");
  }

  [[nodiscard]] double denied(std::string_view name, std::string_view mode = "enforce") const {
    return pannier.metric("pannier_denied_total{rule=\"" + std::string(name) + "\",mode=\"" +
                          std::string(mode) + "\"}");
  }

  RedisServer server;
  RawClient direct{server.port()};
  PannierProcess pannier;
};

}  // namespace pannier::test
