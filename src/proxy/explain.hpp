#pragma once

#include "pannier/proxy/context.hpp"

#include <span>
#include <string>
#include <string_view>

namespace pannier::proxy {

// The reply of PANNIER EXPLAIN, TOPOLOGY, STATS or VERSION (`subcommand` in lower case), as RESP
// for the session's version.
[[nodiscard]] std::string pannier_command(Context& context,
                                          const Session& session,
                                          std::string_view subcommand,
                                          std::span<const std::string_view> arguments);

// "key: value" lines: what a node is and does, for PANNIER TOPOLOGY and logs.
[[nodiscard]] std::string describe_topology(const Context& context);

}  // namespace pannier::proxy
