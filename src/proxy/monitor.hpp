#pragma once

#include "pannier/command/command.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// What a session in MONITOR is sent: Redis's line, values redacted. Pure.
namespace pannier::proxy {

// False for commands that carry secrets, and for those of administrators, which Redis hides too.
[[nodiscard]] bool is_monitored(const command::CommandSpec& row);

// As Redis's sdscatrepr: in double quotes, with what is not printable escaped.
void append_quoted(std::string& out, std::string_view bytes);

struct MonitorFacts {
  std::chrono::microseconds unix_time{};
  std::uint32_t db = 0;
  std::string_view address;  // as in SessionState::remote_address
};

// +1339518083.107412 [0 127.0.0.1:60866] "set" "key" "(5 bytes)" and CRLF.
// REQUIRES: is_monitored(row)
void append_monitor_line(std::string& out,
                         const MonitorFacts& facts,
                         const command::CommandSpec& row,
                         std::span<const std::string_view> arguments);

}  // namespace pannier::proxy
