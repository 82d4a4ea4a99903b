#include "pannier/base/bytes.hpp"
#include "pannier/command/command.hpp"

#include "stream_options.hpp"

#include <optional>

namespace pannier::command {

namespace {

using Arguments = std::span<const std::string_view>;
using Keys = std::vector<std::string_view>;
using base::equals_ignoring_case;

void append(Arguments arguments, std::size_t first, std::size_t count, Keys& keys) {
  const auto part = arguments.subspan(first, count);
  keys.insert(keys.end(), part.begin(), part.end());
}

KeyStatus range_keys(const CommandSpec& row, Arguments arguments, Keys& keys) {
  const auto count = static_cast<std::ptrdiff_t>(arguments.size());
  const std::ptrdiff_t last = row.last < 0 ? count + row.last : row.last;
  if (row.first < 1 || row.step < 1 || last < row.first || last >= count) {
    return KeyStatus::Unknown;
  }
  for (std::ptrdiff_t i = row.first; i <= last; i += row.step) {
    keys.push_back(arguments[static_cast<std::size_t>(i)]);
  }
  return KeyStatus::Ok;
}

// How many keys `at` announces, if they are all there. The server is laxer with the text (it
// uses atoi()), but then refuses the request itself.
std::optional<std::size_t> announced_keys(Arguments arguments, std::size_t at) {
  if (at >= arguments.size()) {
    return std::nullopt;
  }
  const auto count = base::parse_int(arguments[at]);
  if (!count || *count < 0 || static_cast<std::uint64_t>(*count) > arguments.size() - at - 1) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(*count);
}

KeyStatus numbered_keys(const CommandSpec& row, Arguments arguments, Keys& keys) {
  const auto at = static_cast<std::size_t>(row.first);
  const auto count = announced_keys(arguments, at);
  if (!count) {
    return KeyStatus::Unknown;
  }
  // A script without keys reads none that matter here, or hides those that it writes.
  if (*count == 0 && !(row.has(kNoMandatoryKeys) && row.has(kReadOnly))) {
    return KeyStatus::Unknown;
  }
  append(arguments, at + 1, *count, keys);
  return KeyStatus::Ok;
}

KeyStatus store_numbered_keys(Arguments arguments, Keys& keys) {
  const auto count = announced_keys(arguments, 2);
  if (!count || *count == 0) {
    return KeyStatus::Unknown;
  }
  keys.push_back(arguments[1]);
  append(arguments, 3, *count, keys);
  return KeyStatus::Ok;
}

KeyStatus stream_keys(Arguments arguments, Keys& keys) {
  const std::size_t streams = read_stream_options(arguments).streams;
  const std::size_t rest = streams == 0 ? 0 : arguments.size() - streams - 1;
  if (rest == 0 || rest % 2 != 0) {
    return KeyStatus::Unknown;
  }
  append(arguments, streams + 1, rest / 2, keys);
  return KeyStatus::Ok;
}

// SORT key [BY p] [LIMIT o n] [GET p ...] [ASC|DESC] [ALPHA] [STORE d]; the last STORE counts.
KeyStatus sort_keys(Arguments arguments, Keys& keys) {
  if (arguments.size() < 2) {
    return KeyStatus::Unknown;
  }
  std::size_t store = 0;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (equals_ignoring_case(arguments[i], "limit")) {
      i += 2;
    } else if (equals_ignoring_case(arguments[i], "get") ||
               equals_ignoring_case(arguments[i], "by")) {
      ++i;
    } else if (equals_ignoring_case(arguments[i], "store") && i + 1 < arguments.size()) {
      store = ++i;
    }
  }
  keys.push_back(arguments[1]);
  if (store != 0) {
    keys.push_back(arguments[store]);
  }
  return KeyStatus::Ok;
}

// Options begin at the fifth argument (GEORADIUSBYMEMBER) or behind the unit that stands there
// (GEORADIUS). The last STORE or STOREDIST counts, but COMMAND GETKEYS names both.
KeyStatus geo_keys(Arguments arguments, Keys& keys) {
  if (arguments.size() < 2) {
    return KeyStatus::Unknown;
  }
  keys.push_back(arguments[1]);
  for (std::size_t i = 5; i + 1 < arguments.size(); ++i) {
    if (equals_ignoring_case(arguments[i], "store") ||
        equals_ignoring_case(arguments[i], "storedist")) {
      keys.push_back(arguments[i + 1]);
    }
  }
  return KeyStatus::Ok;
}

// MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH p] [AUTH2 u p] [KEYS k ...]
KeyStatus migrate_keys(Arguments arguments, Keys& keys) {
  if (arguments.size() < 4) {
    return KeyStatus::Unknown;
  }
  for (std::size_t i = 6; i < arguments.size(); ++i) {
    if (equals_ignoring_case(arguments[i], "auth")) {
      ++i;
    } else if (equals_ignoring_case(arguments[i], "auth2")) {
      i += 2;
    } else if (equals_ignoring_case(arguments[i], "keys")) {
      if (!arguments[3].empty() || i + 1 == arguments.size()) {
        return KeyStatus::Unknown;
      }
      append(arguments, i + 1, arguments.size() - i - 1, keys);
      return KeyStatus::Ok;
    }
  }
  keys.push_back(arguments[3]);
  return KeyStatus::Ok;
}

// A row without a rule names no keys, unless we cannot know that.
KeyStatus keyless(const CommandSpec& row, Arguments arguments) {
  const bool hidden = row.has(kUnknownKeys | kMovableKeys);
  const bool unknown_subcommand = row.has(kContainer) && arguments.size() > 1;
  return hidden || unknown_subcommand ? KeyStatus::Unknown : KeyStatus::Ok;
}

}  // namespace

KeyStatus extract_many_keys(const CommandSpec& row,
                            std::span<const std::string_view> arguments,
                            std::vector<std::string_view>& keys) {
  switch (row.rule) {
    case KeyRule::None:
      return keyless(row, arguments);
    case KeyRule::Range:
      return range_keys(row, arguments, keys);
    case KeyRule::NumKeys:
      return numbered_keys(row, arguments, keys);
    case KeyRule::StoreNumKeys:
      return store_numbered_keys(arguments, keys);
    case KeyRule::Streams:
      return stream_keys(arguments, keys);
    case KeyRule::Sort:
      return sort_keys(arguments, keys);
    case KeyRule::GeoStore:
      return geo_keys(arguments, keys);
    case KeyRule::Migrate:
      return migrate_keys(arguments, keys);
  }
  return KeyStatus::Unknown;
}

}  // namespace pannier::command
