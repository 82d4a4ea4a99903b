#pragma once

#include "pannier/command/command.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What may be shown of a request: names and keys, never values or secrets. Pure.
namespace pannier::proxy {

// True for each argument that may be shown: the command's name, its subcommand, its keys.
[[nodiscard]] std::vector<bool> shown_arguments(const command::CommandSpec& row,
                                                std::span<const std::string_view> arguments);

// What stands for an argument that may not: "(12 bytes)".
[[nodiscard]] std::string hidden_argument(std::string_view argument);

}  // namespace pannier::proxy
