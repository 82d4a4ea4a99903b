#pragma once

#include "pannier/command/learned.hpp"

#include <optional>
#include <string_view>

namespace pannier::proxy {

// The first element of a COMMAND INFO reply (RESP2 or RESP3). Empty when it is null, an error or
// not what COMMAND INFO says.
[[nodiscard]] std::optional<command::CommandInfo> parse_command_info(std::string_view reply);

}  // namespace pannier::proxy
