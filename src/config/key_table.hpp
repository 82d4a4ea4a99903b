#pragma once

#include "pannier/base/address.hpp"

#include "faults.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

struct Draft;

inline constexpr std::int64_t kShareUnit = 1000;  // of a percent
inline constexpr std::int64_t kPercent = kShareUnit;

enum class Type : std::uint8_t {
  Section,     // a map; `words` may name the key that a plain string stands for
  Switchable,  // a section that may also be `off`
  List,        // its elements are the row "path[]"
  Text,        // printable, without spaces
  Address,     // host:port or unix:/path
  Flag,
  Count,
  Duration,      // whole milliseconds
  FineDuration,  // whole microseconds
  Size,
  Share,      // whole percent
  FineShare,  // thousandths of a percent
  Choice,     // one of `words`; the number is its place there
  Mode,       // of a file, in octal
  Glob,
  Line,     // printable, spaces too
  Command,  // "get", "config set" or "@category", in lower case then
  Per,      // one of `words`, or a capture: { name } or "{name}"
  Rate,     // an amount in a time: 60/1m, 10MiB/1s
  Amount,   // a whole number, or a size
  Path,
  Secret,      // only by ${ENV}
  SecretFile,  // the value is the file's content
  Refused      // known, but not in this version; `help` says what to do instead
};

// One value, of its row's type and within its row's range.
struct Reading {
  std::string path;  // as in messages
  Place place;
  std::string text;
  std::int64_t number = 0;  // count, microseconds, bytes, thousandths of a percent, mode or the
                            // place in `words`; of a Per that is a capture, behind the last one
  std::int64_t period = 0;  // of a Rate, in microseconds
  bool flag = false;        // of a Rate or an Amount: it is a size
  bool is_auto = false;
  base::Endpoint endpoint;
};

struct Key {
  std::string_view path;
  Type type;
  std::string_view shown;  // the default, as one would write it; empty: none
  std::string_view help;
  // Keeps the value; of a section or an element: makes room for one (flag false: it is off).
  void (*store)(Draft& draft, const Reading& reading) = nullptr;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::string_view words = {};  // Choice: "a|b|c"; other scalars: "auto" where that is allowed
  bool required = false;
};

// The keys of one kind of file: one row each. It drives the reader, and the commented example of
// that kind is tested against it.
class KeyTable {
 public:
  // Both outlive the table; `smallest` is a file that says nothing that it need not.
  constexpr KeyTable(std::span<const Key> rows, std::string_view smallest)
      : rows_(rows),
        smallest_(smallest) {}

  [[nodiscard]] std::span<const Key> rows() const { return rows_; }

  [[nodiscard]] std::string_view smallest() const { return smallest_; }

  [[nodiscard]] const Key* find(std::string_view path) const;
  // The rows right below a section.
  [[nodiscard]] std::vector<const Key*> below(std::string_view section) const;
  // The row of a section that a misspelt name most likely means, or none.
  [[nodiscard]] const Key* nearest(std::string_view section, std::string_view name) const;
  // What to say about a key that a section does not have.
  [[nodiscard]] std::string unknown_key_advice(std::string_view section,
                                               std::string_view name) const;

 private:
  // The one section elsewhere that has a key of exactly this name, for one that was indented wrong.
  [[nodiscard]] const Key* only_elsewhere(std::string_view name) const;

  std::span<const Key> rows_;
  std::string_view smallest_;
};

// The last word of a row's path.
[[nodiscard]] std::string_view name_of(const Key& key);

}  // namespace pannier::config
