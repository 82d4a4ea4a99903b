#include "pannier/base/bytes.hpp"
#include "pannier/command/command.hpp"

#include "stream_options.hpp"

#include <charconv>
#include <cmath>

namespace pannier::command {

namespace {

using base::equals_ignoring_case;

constexpr std::int64_t kUnreadable = -1;

// Redis reads these with strtold() and rounds up to whole milliseconds.
std::int64_t milliseconds_of_seconds(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
  }
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  // Written so that NaN fails too.
  if (!whole || !(seconds >= 0 && seconds < 9e15)) {
    return kUnreadable;
  }
  return static_cast<std::int64_t>(std::ceil(seconds * 1000));
}

std::int64_t milliseconds_of(std::string_view text) {
  const auto value = base::parse_int(text);
  return value && *value >= 0 ? *value : kUnreadable;
}

}  // namespace

StreamOptions read_stream_options(std::span<const std::string_view> arguments) {
  StreamOptions found;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view option = arguments[i];
    if (equals_ignoring_case(option, "streams")) {
      found.streams = i;
      break;
    }
    if (equals_ignoring_case(option, "block")) {
      found.block = ++i;
    } else if (equals_ignoring_case(option, "count") || equals_ignoring_case(option, "claim")) {
      ++i;
    } else if (equals_ignoring_case(option, "group")) {
      i += 2;
    } else if (!equals_ignoring_case(option, "noack")) {
      break;
    }
  }
  if (found.block >= arguments.size()) {
    found.block = 0;
  }
  return found;
}

bool may_block(const CommandSpec& row, std::span<const std::string_view> arguments) {
  if (row.handling == Handling::Wait) {
    return true;
  }
  if (row.handling != Handling::Blocking) {
    return false;
  }
  if (row.rule != KeyRule::Streams) {
    return true;
  }
  // An option that we do not know may be followed by BLOCK: a pinned connection costs less than a
  // blocked lane.
  const StreamOptions options = read_stream_options(arguments);
  return options.block != 0 || options.streams == 0;
}

std::int64_t block_milliseconds(const CommandSpec& row,
                                std::span<const std::string_view> arguments) {
  if (row.handling == Handling::Wait) {
    return arity_fits(row, arguments.size()) ? milliseconds_of(arguments.back()) : kUnreadable;
  }
  if (row.handling != Handling::Blocking || !arity_fits(row, arguments.size())) {
    return kUnreadable;
  }
  switch (row.rule) {
    case KeyRule::Streams: {
      const std::size_t at = read_stream_options(arguments).block;
      return at == 0 ? kUnreadable : milliseconds_of(arguments[at]);
    }
    case KeyRule::NumKeys:  // BLMPOP, BZMPOP
      return milliseconds_of_seconds(arguments[1]);
    default:
      // A learned command may keep its timeout anywhere.
      return index_of(row) < table().size() ? milliseconds_of_seconds(arguments.back())
                                            : kUnreadable;
  }
}

bool replica_safe(const CommandSpec& row, std::span<const std::string_view> arguments) {
  if (!row.has(kReplicaSafe)) {
    return false;
  }
  if (row.rule != KeyRule::Streams) {
    return true;
  }
  // `$` is the last id of the node that is asked: on a replica that lags, an entry older than the
  // request would be taken for a new one.
  const std::size_t streams = read_stream_options(arguments).streams;
  if (streams == 0) {
    return false;
  }
  const std::size_t ids = streams + 1 + (arguments.size() - streams - 1) / 2;
  for (std::size_t i = ids; i < arguments.size(); ++i) {
    if (arguments[i] == "$") {
      return false;
    }
  }
  return true;
}

}  // namespace pannier::command
