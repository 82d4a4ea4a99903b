#include "info_section.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace pannier::proxy {
namespace {

constexpr std::string_view kVerbatimPrefix = "txt:";

// The text of a bulk or verbatim reply that is complete.
std::optional<std::string_view> text_of(std::string_view reply) {
  if (reply.empty() || (reply[0] != '$' && reply[0] != '=')) {
    return std::nullopt;
  }
  const std::size_t line_end = reply.find("\r\n");
  if (line_end == std::string_view::npos) {
    return std::nullopt;
  }
  const auto length = base::parse_int(reply.substr(1, line_end - 1));
  const std::string_view rest = reply.substr(line_end + 2);
  if (!length || *length < 0 || rest.size() != static_cast<std::size_t>(*length) + 2) {
    return std::nullopt;  // null, or not one whole reply
  }
  std::string_view text = rest.substr(0, static_cast<std::size_t>(*length));
  if (reply[0] == '=') {
    if (!text.starts_with(kVerbatimPrefix)) {
      return std::nullopt;
    }
    text.remove_prefix(kVerbatimPrefix.size());
  }
  return text;
}

// Redis puts an empty line between sections.
void begin_section(std::string& text, std::string_view title) {
  if (!text.empty()) {
    text += "\r\n";
  }
  text += "# ";
  text += title;
  text += "\r\n";
}

void append_field(std::string& text, std::string_view name, std::string_view value) {
  text += name;
  text += ':';
  // A line end in a value would begin a field of its own.
  std::replace_copy_if(
      value.begin(),
      value.end(),
      std::back_inserter(text),
      [](char c) { return c == '\r' || c == '\n'; },
      ' ');
  text += "\r\n";
}

void append_own_section(std::string& text, const InfoFields& fields) {
  begin_section(text, "Pannier");
  for (const auto& [name, value] : fields) {
    append_field(text, name, value);
  }
}

void append_server_section(std::string& text, const LocalInfo& info) {
  begin_section(text, "Server");
  append_field(text, "redis_version", info.redis_version);
  append_field(text, "redis_mode", "standalone");
  append_field(text, "process_id", fmt::format("{}", info.process_id));
  append_field(text, "uptime_in_seconds", fmt::format("{}", info.uptime_seconds));
  append_field(text, "uptime_in_days", fmt::format("{}", info.uptime_seconds / (24 * 3600)));
}

}  // namespace

bool wants_info_section(std::span<const std::string_view> arguments, std::string_view name) {
  if (arguments.size() <= 1) {
    return true;
  }
  return std::any_of(arguments.begin() + 1, arguments.end(), [name](std::string_view asked) {
    return base::equals_ignoring_case(asked, name) ||
           base::equals_ignoring_case(asked, "default") ||
           base::equals_ignoring_case(asked, "all") ||
           base::equals_ignoring_case(asked, "everything");
  });
}

void append_info(std::string& out, std::string_view reply, const InfoFields& fields) {
  const auto upstream = text_of(reply);
  if (!upstream) {
    out += reply;
    return;
  }
  std::string text(*upstream);
  append_own_section(text, fields);
  resp::append_verbatim(out, text, reply[0] == '=' ? resp::Version::Resp3 : resp::Version::Resp2);
}

void append_local_info(std::string& out,
                       const LocalInfo& info,
                       std::span<const std::string_view> arguments,
                       const InfoFields& fields) {
  const auto wants = [&](std::string_view name) {
    return wants_info_section(arguments, name);
  };
  std::string text;
  if (wants("server")) {
    append_server_section(text, info);
  }
  if (wants("clients")) {
    begin_section(text, "Clients");
    append_field(text, "connected_clients", fmt::format("{}", info.connected_clients));
  }
  if (wants("persistence")) {
    begin_section(text, "Persistence");
    append_field(text, "loading", "0");
  }
  if (wants("replication")) {
    begin_section(text, "Replication");
    append_field(text, "role", "master");
    append_field(text, "connected_slaves", "0");
  }
  if (wants("cluster")) {
    begin_section(text, "Cluster");
    append_field(text, "cluster_enabled", "0");
  }
  if (wants("keyspace")) {
    begin_section(text, "Keyspace");
  }
  if (wants("pannier")) {
    append_own_section(text, fields);
  }
  resp::append_verbatim(out, text, info.version);
}

}  // namespace pannier::proxy
