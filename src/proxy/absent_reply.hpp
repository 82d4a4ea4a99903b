#pragma once

#include "pannier/command/command.hpp"
#include "pannier/resp/protocol.hpp"

#include <span>
#include <string>
#include <string_view>

namespace pannier::proxy {

// What a server answers to a read when there is no such key, or none of its keys; appended to
// `out`. False: that is not known, or not the same for all its arguments. Pure.
[[nodiscard]] bool append_absent_reply(std::string& out,
                                       const command::CommandSpec& row,
                                       std::span<const std::string_view> arguments,
                                       resp::Version version);

}  // namespace pannier::proxy
