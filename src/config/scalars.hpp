#pragma once

#include "key_table.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pannier::config {

// Reads `text` as the row's type into `reading`; returns what is wrong, or nothing. REQUIRES: a row
// whose type is a scalar that does not come from a file.
[[nodiscard]] std::string read_scalar(const Key& key, std::string_view text, Reading& reading);

// 1500000 -> "1500ms", 2000000 -> "2s"
[[nodiscard]] std::string duration_text(std::int64_t microseconds);

}  // namespace pannier::config
