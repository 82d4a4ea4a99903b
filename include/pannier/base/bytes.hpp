#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Small helpers over byte strings. All are pure and thread-safe.
namespace pannier::base {

// ASCII lower case; other bytes are unchanged.
[[nodiscard]] constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);
[[nodiscard]] std::string to_lower(std::string_view text);

// A whole decimal integer as Redis reads one: optional '-', no '+', no spaces, no leading zeros
// except "0" itself. Empty on anything else and on overflow.
[[nodiscard]] std::optional<std::int64_t> parse_int(std::string_view text);

void append_int(std::string& out, std::int64_t value);

// For logs and error texts: printable ASCII as it is, the rest as \xNN, cut at `limit` bytes with
// "..." appended.
[[nodiscard]] std::string printable(std::string_view bytes, std::size_t limit = 64);

// 1536 -> "1.5KiB"; for logs and status texts.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace pannier::base
