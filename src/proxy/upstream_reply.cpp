#include "upstream_reply.hpp"

#include "pannier/base/bytes.hpp"

#include <cstdint>
#include <string>

namespace pannier::proxy {
namespace {

// Walks the few reply types that COMMAND INFO uses. The frame is complete: the scanner saw its end.
class Reader {
 public:
  explicit Reader(std::string_view reply) : rest_(reply) {}

  // Length of an array or set; negative when the next thing is neither.
  std::int64_t array() {
    if (rest_.empty() || (rest_[0] != '*' && rest_[0] != '~')) {
      return -1;
    }
    return number();
  }

  std::optional<std::int64_t> integer() {
    if (rest_.empty() || rest_[0] != ':') {
      return std::nullopt;
    }
    return number();
  }

  // A simple or bulk string.
  std::optional<std::string> text() {
    if (rest_.starts_with('+')) {
      return std::string(line());
    }
    if (!rest_.starts_with('$')) {
      return std::nullopt;
    }
    const std::int64_t length = number();
    if (length < 0 || rest_.size() < static_cast<std::size_t>(length) + 2) {
      return std::nullopt;
    }
    std::string out(rest_.substr(0, static_cast<std::size_t>(length)));
    rest_.remove_prefix(static_cast<std::size_t>(length) + 2);
    return out;
  }

 private:
  std::string_view line() {
    const auto end = rest_.find("\r\n");
    if (end == std::string_view::npos) {
      rest_ = {};
      return {};
    }
    const std::string_view out = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 2);
    return out;
  }

  std::int64_t number() { return base::parse_int(line()).value_or(-1); }

  std::string_view rest_;
};

}  // namespace

std::optional<command::CommandInfo> parse_command_info(std::string_view reply) {
  Reader reader(reply);
  if (reader.array() != 1 || reader.array() < 6) {
    return std::nullopt;
  }
  command::CommandInfo info;
  const auto name = reader.text();
  const auto arity = reader.integer();
  const std::int64_t flags = reader.array();
  if (!name || !arity || flags < 0) {
    return std::nullopt;
  }
  info.name = *name;
  info.arity = *arity;
  for (std::int64_t i = 0; i < flags; ++i) {
    info.flags.push_back(reader.text().value_or(""));
  }
  info.first = reader.integer().value_or(0);
  info.last = reader.integer().value_or(0);
  info.step = reader.integer().value_or(0);
  return info;
}

}  // namespace pannier::proxy
