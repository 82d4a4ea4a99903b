#pragma once

#include "pannier/config/config.hpp"

#include "faults.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The table of configuration keys: one row each. It drives the reader, and the commented example
// config/pannier.yaml is tested against it.
namespace pannier::config {

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
  Choice,  // one of `words`; the number is its place there
  Mode,    // of a file, in octal
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
  std::int64_t number = 0;  // count, microseconds, bytes, mode or the place in `words`
  bool flag = false;
  bool is_auto = false;
  base::Endpoint endpoint;
};

// A setting that is `auto` until the whole file is read.
struct Automatic {
  bool is_auto = true;
  Place place;  // line 0: the file does not mention it
};

// The configuration in the making, and what the last checks need to know of the file.
struct Draft {
  Config config;
  Faults* faults = nullptr;
  bool kind_given = false;
  Automatic workers{false, {}};
  Automatic memory;
  Automatic near_cache;
  std::vector<std::string> node_paths;  // beside config.upstream.nodes
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

[[nodiscard]] std::span<const Key> keys();
[[nodiscard]] const Key* find_key(std::string_view path);
// The rows right below a section.
[[nodiscard]] std::vector<const Key*> keys_below(std::string_view section);
// The last word of a row's path.
[[nodiscard]] std::string_view name_of(const Key& key);
// The row of a section that a misspelt name most likely means, or none.
[[nodiscard]] const Key* nearest_key(std::string_view section, std::string_view name);
// What to say about a key that a section does not have.
[[nodiscard]] std::string unknown_key_advice(std::string_view section, std::string_view name);

}  // namespace pannier::config
