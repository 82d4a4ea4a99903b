#include "pannier/proxy/local_commands.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "local_handlers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace pannier::proxy {
namespace {

constexpr std::size_t kMaxQuoted = 128;  // bytes of a client's words in an error
constexpr std::int64_t kSlowlogDefault = 10;

std::string to_upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  });
  return out;
}

LocalResult run_role(const LocalCall&) {
  LocalResult result;
  resp::append_array_header(result.reply, 3);
  resp::append_bulk(result.reply, "master");
  resp::append_integer(result.reply, 0);
  resp::append_array_header(result.reply, 0);
  return result;
}

LocalResult run_cluster(const LocalCall&) {
  return reply_error("ERR This instance has cluster support disabled");
}

LocalResult run_monitor(const LocalCall& call) {
  if (call.session.monitoring) {
    return {};  // Redis does not answer a second MONITOR
  }
  LocalResult result = reply_ok();
  result.action = LocalAction::Monitor;
  return result;
}

LocalResult run_acl_whoami(const LocalCall& call) {
  LocalResult result;
  resp::append_bulk(result.reply, call.session.user);
  return result;
}

LocalResult run_acl_write(const LocalCall&) {
  return reply_error(
      "NOPERM [pannier rule=acl-writes] users are changed on the server itself, not through "
      "Pannier");
}

LocalResult slowlog_result(std::string_view what) {
  LocalResult result;
  result.action = LocalAction::Slowlog;
  result.text = what;
  return result;
}

LocalResult run_slowlog_get(const LocalCall& call) {
  if (call.arguments.size() > 3) {
    return reply_subcommand_syntax(call);
  }
  LocalResult result = slowlog_result("get");
  result.number = kSlowlogDefault;
  if (call.arguments.size() == 3) {
    const auto count = base::parse_int(call.arguments[2]);
    if (!count || *count < -1) {
      return reply_error("ERR count should be greater than or equal to -1");
    }
    result.number = *count;
  }
  return result;
}

LocalResult run_slowlog_len(const LocalCall&) {
  return slowlog_result("len");
}

LocalResult run_slowlog_reset(const LocalCall&) {
  return slowlog_result("reset");
}

using Handler = LocalResult (*)(const LocalCall&);

struct Entry {
  std::string_view name;
  Handler run;
};

constexpr Entry kHandlers[] = {
    {"acl|deluser", run_acl_write},
    {"acl|load", run_acl_write},
    {"acl|save", run_acl_write},
    {"acl|setuser", run_acl_write},
    {"acl|whoami", run_acl_whoami},
    {"auth", run_auth},
    {"cl.throttle", run_throttle},
    {"client|caching", run_client_caching},
    {"client|capa", run_client_capa},
    {"client|getname", run_client_getname},
    {"client|getredir", run_client_getredir},
    {"client|help", run_client_help},
    {"client|id", run_client_id},
    {"client|import-source", run_client_import_source},
    {"client|info", run_client_info},
    {"client|kill", run_client_kill},
    {"client|list", run_client_list},
    {"client|no-evict", run_client_no_evict},
    {"client|no-touch", run_client_no_touch},
    {"client|pause", run_client_pause},
    {"client|reply", run_client_reply},
    {"client|setinfo", run_client_setinfo},
    {"client|setname", run_client_setname},
    {"client|tracking", run_client_tracking},
    {"client|trackinginfo", run_client_trackinginfo},
    {"client|unblock", run_client_unblock},
    {"client|unpause", run_client_unpause},
    {"command", run_command_all},
    {"command|count", run_command_count},
    {"command|docs", run_command_docs},
    {"command|getkeys", run_command_getkeys},
    {"command|getkeysandflags", run_command_getkeys},
    {"command|help", run_command_help},
    {"command|info", run_command_info},
    {"command|list", run_command_list},
    {"echo", run_echo},
    {"hello", run_hello},
    {"monitor", run_monitor},
    {"ping", run_ping},
    {"quit", run_quit},
    {"reset", run_reset},
    {"role", run_role},
    {"select", run_select},
    {"slowlog|get", run_slowlog_get},
    {"slowlog|help", run_slowlog_help},
    {"slowlog|len", run_slowlog_len},
    {"slowlog|reset", run_slowlog_reset},
};

constexpr bool before(const Entry& a, const Entry& b) {
  return a.name < b.name;
}

static_assert(std::is_sorted(std::begin(kHandlers), std::end(kHandlers), before));

Handler find_handler(std::string_view name) {
  const Entry* entry =
      std::lower_bound(std::begin(kHandlers), std::end(kHandlers), Entry{name, nullptr}, before);
  return entry != std::end(kHandlers) && entry->name == name ? entry->run : nullptr;
}

LocalResult run_pannier(const LocalCall& call) {
  LocalResult result;
  result.action = LocalAction::Pannier;
  result.text = call.row.name.substr(call.row.name.find('|') + 1);
  return result;
}

// Neither a command with a function of its own nor one of a family.
LocalResult run_other(const LocalCall& call) {
  const bool unknown_subcommand = call.row.has(command::kContainer) && call.arguments.size() > 1;
  if (unknown_subcommand && call.row.name == "pannier" && call.says(1, "help") &&
      call.arguments.size() == 2) {
    return pannier_help();
  }
  LocalResult result;
  if (unknown_subcommand) {
    append_unknown_subcommand(result.reply, call.arguments);
    if (call.row.name == "command") {  // a newer server may have it
      result.action = LocalAction::ToUpstream;
    }
  } else {
    append_unknown_command(result.reply, call.arguments);
  }
  return result;
}

}  // namespace

LocalResult run_local(const command::CommandSpec& row,
                      std::span<const std::string_view> arguments,
                      SessionState& session,
                      const ServerFacts& facts) {
  if (!command::arity_fits(row, arguments.size())) {
    LocalResult result;
    append_wrong_arity(result.reply, row);
    return result;
  }
  const LocalCall call{row, arguments, session, facts};
  // "COMMAND" itself is a command; what follows it, a subcommand that the table does not have.
  const bool is_bare = !row.has(command::kContainer) || arguments.size() == 1;
  if (const Handler run = is_bare ? find_handler(row.name) : nullptr) {
    return run(call);
  }
  if (row.name.starts_with("cluster|")) {
    return run_cluster(call);
  }
  if (row.name.starts_with("pannier|")) {
    return run_pannier(call);
  }
  return run_other(call);
}

bool needs_auth(const command::CommandSpec& row, const SessionState& session) {
  return !session.authenticated && !row.has(command::kNoAuth);
}

void append_wrong_arity(std::string& out, const command::CommandSpec& row) {
  if (row.name == "cl.throttle") {
    resp::append_error(out, kThrottleUsage);
    return;
  }
  resp::append_error(out, fmt::format("ERR wrong number of arguments for '{}' command", row.name));
}

void append_unknown_command(std::string& out, std::span<const std::string_view> arguments) {
  std::string shown;
  for (std::size_t i = 1; i < arguments.size() && shown.size() < kMaxQuoted; ++i) {
    shown += '\'';
    shown += as_printed(arguments[i], kMaxQuoted - (shown.size() - 1));
    shown += "' ";
  }
  resp::append_error(out,
                     fmt::format("ERR unknown command '{}', with args beginning with: {}",
                                 as_printed(arguments[0], kMaxQuoted),
                                 shown));
}

void append_unknown_subcommand(std::string& out, std::span<const std::string_view> arguments) {
  resp::append_error(out,
                     fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                                 as_printed(arguments[1], kMaxQuoted),
                                 to_upper(arguments[0])));
}

std::string_view as_printed(std::string_view text, std::size_t limit) {
  return text.substr(0, std::min(text.find('\0'), limit));
}

bool LocalCall::says(std::size_t i, std::string_view word) const {
  return i < arguments.size() && base::equals_ignoring_case(arguments[i], word);
}

LocalResult reply_ok() {
  LocalResult result;
  result.reply = "+OK\r\n";
  return result;
}

LocalResult reply_error(std::string_view text) {
  LocalResult result;
  resp::append_error(result.reply, text);
  return result;
}

LocalResult reply_not_an_integer() {
  return reply_error("ERR value is not an integer or out of range");
}

LocalResult reply_syntax_error() {
  return reply_error("ERR syntax error");
}

LocalResult reply_subcommand_syntax(const LocalCall& call) {
  return reply_error(
      fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
                  as_printed(call.arguments[1], kMaxQuoted),
                  to_upper(call.arguments[0])));
}

LocalResult reply_lines(std::span<const std::string_view> lines) {
  LocalResult result;
  resp::append_array_header(result.reply, lines.size());
  for (const std::string_view line : lines) {
    resp::append_simple(result.reply, line);
  }
  return result;
}

}  // namespace pannier::proxy
