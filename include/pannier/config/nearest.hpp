#pragma once

#include <span>
#include <string_view>

// What somebody who misspelt a name most likely meant. Pure functions.
namespace pannier::config {

// Of `known`, which is in lower case, the name that is next to `name`; empty when none is near.
[[nodiscard]] std::string_view nearest_name(std::string_view name,
                                            std::span<const std::string_view> known);

}  // namespace pannier::config
