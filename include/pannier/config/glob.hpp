#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The patterns that name keys in policy.yaml. They have Redis's meaning (* ? [a-z] [^a] \x) plus
// captures {name}, which match one non-empty segment up to the next literal character, or up to the
// end of the key where nothing follows; braces are written \{ and \}. Pure functions.
namespace pannier::config {

inline constexpr std::size_t kMaxGlob = 256;     // bytes
inline constexpr std::size_t kMaxGlobStars = 8;  // what matching may have to try again

struct GlobToken {
  enum class Kind : std::uint8_t {
    Literal,
    Any,      // ?
    Set,      // [...]
    Capture,  // {name}
    Star
  };

  Kind kind = Kind::Literal;
  std::bitset<256> bytes;  // those that it takes: one of them, a run for Capture and Star
  char literal = 0;        // itself; of a capture the byte that ends it
  bool to_end = false;     // a capture that nothing follows

  [[nodiscard]] bool operator==(const GlobToken&) const = default;
};

struct Glob {
  std::vector<GlobToken> tokens;      // never two stars in a row
  std::vector<std::string> captures;  // their names, in order
  std::string fault;                  // what is wrong with it ("'[' is not closed"); empty: nothing
};

[[nodiscard]] Glob parse_glob(std::string_view text);

[[nodiscard]] std::string glob_fault(std::string_view glob);
// Bytes up to the first character that is not a literal; escapes are resolved.
[[nodiscard]] std::string literal_prefix(std::string_view glob);
[[nodiscard]] std::string literal_prefix(const Glob& glob);
// All of them, the prefix's too.
[[nodiscard]] std::size_t literal_count(std::string_view glob);
[[nodiscard]] std::size_t literal_count(const Glob& glob);
// True when `glob` matches `key`. For tests, EXPLAIN and the loader; the hot path has KeyMatcher.
[[nodiscard]] bool glob_matches(std::string_view glob, std::string_view key);
// A shortest key that both globs match, or nothing when there is none (behaviour 8.1).
[[nodiscard]] std::optional<std::string> common_key(std::string_view a, std::string_view b);
// The same; `work` grows by what it cost, about ten nanoseconds each.
[[nodiscard]] std::optional<std::string> common_key(const Glob& a,
                                                    const Glob& b,
                                                    std::size_t& work);
// True when each key that `b` matches is one that `a` matches too. May miss a few: that a star of
// `a` could stand for several tokens of `b` is seen, that a capture could is not.
[[nodiscard]] bool covers(const Glob& a, const Glob& b);
// True when neither is more specific than the other (behaviour 8.1).
[[nodiscard]] bool equally_specific(std::string_view a, std::string_view b);

}  // namespace pannier::config
