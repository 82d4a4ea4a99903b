#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace pannier::config {

// A larger file of configuration is none.
inline constexpr std::size_t kMaxFile = 1 << 20;

// `name` as seen from `directory`.
[[nodiscard]] std::string resolve_path(const std::string& directory, const std::string& name);

// The whole of a regular file of at most `limit` bytes; otherwise empty, and `problem` says why. A
// pipe or a device is refused, because reading it could wait for ever.
[[nodiscard]] std::optional<std::string> read_small_file(const std::string& path,
                                                         std::size_t limit,
                                                         std::string& problem);

}  // namespace pannier::config
