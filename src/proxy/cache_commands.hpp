#pragma once

#include "request_handler.hpp"

#include <span>
#include <string_view>

namespace pannier::proxy {

// PANNIER BYPASS, HOTKEYS, INVALIDATE and WARM; `subcommand` in lower case.
[[nodiscard]] bool is_cache_command(std::string_view subcommand);
[[nodiscard]] Step run_cache_command(Context& context,
                                     Session& session,
                                     std::string_view subcommand,
                                     std::span<const std::string_view> arguments);

}  // namespace pannier::proxy
