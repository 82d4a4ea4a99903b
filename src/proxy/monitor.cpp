#include "monitor.hpp"

#include "redaction.hpp"

#include <fmt/format.h>

#include <iterator>
#include <vector>

namespace pannier::proxy {
namespace {

// "/path:0" is how CLIENT LIST calls a Unix socket; MONITOR says "unix:/path".
void append_address(std::string& out, std::string_view address) {
  if (!address.starts_with('/')) {
    out += address;
    return;
  }
  if (address.ends_with(":0")) {
    address.remove_suffix(2);
  }
  out += "unix:";
  out += address;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '\\':
    case '"':
      out += '\\';
      out += c;
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\a':
      out += "\\a";
      return;
    case '\b':
      out += "\\b";
      return;
    default:
      break;
  }
  if (c >= ' ' && c <= '~') {
    out += c;
  } else {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
  }
}

}  // namespace

bool is_monitored(const command::CommandSpec& row) {
  // Not kSkipMonitor: Redis shows those all the same (EVAL*, FCALL*, EXEC), only later.
  return !row.has(command::kNoAuth | command::kAdmin);
}

void append_quoted(std::string& out, std::string_view bytes) {
  out += '"';
  for (const char c : bytes) {
    append_escaped(out, c);
  }
  out += '"';
}

void append_monitor_line(std::string& out,
                         const MonitorFacts& facts,
                         const command::CommandSpec& row,
                         std::span<const std::string_view> arguments) {
  const auto us = facts.unix_time.count();
  fmt::format_to(
      std::back_inserter(out), "+{}.{:06} [{} ", us / 1'000'000, us % 1'000'000, facts.db);
  append_address(out, facts.address);
  out += ']';
  const std::vector<bool> shown = shown_arguments(row, arguments);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    out += ' ';
    if (shown[i]) {
      append_quoted(out, arguments[i]);
    } else {
      append_quoted(out, hidden_argument(arguments[i]));
    }
  }
  out += "\r\n";
}

}  // namespace pannier::proxy
