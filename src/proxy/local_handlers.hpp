#pragma once

#include "pannier/proxy/local_commands.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

// One function per command that Pannier answers itself; local_commands.cpp has the table. The
// number of arguments was checked against the command's row before.
namespace pannier::proxy {

struct LocalCall {
  const command::CommandSpec& row;
  std::span<const std::string_view> arguments;
  SessionState& session;
  const ServerFacts& facts;

  [[nodiscard]] bool has_users() const { return facts.users != nullptr && !facts.users->empty(); }

  // Whether argument i says `word`, in any case.
  [[nodiscard]] bool says(std::size_t i, std::string_view word) const;
};

// A client's words as Redis prints them, with %s: a NUL ends them.
[[nodiscard]] std::string_view as_printed(std::string_view text,
                                          std::size_t limit = std::string_view::npos);

[[nodiscard]] LocalResult reply_ok();
[[nodiscard]] LocalResult reply_error(std::string_view text);
// Redis: "value is not an integer or out of range", "syntax error".
[[nodiscard]] LocalResult reply_not_an_integer();
[[nodiscard]] LocalResult reply_syntax_error();
// More arguments than the subcommand takes, where the row's arity has no upper bound.
[[nodiscard]] LocalResult reply_subcommand_syntax(const LocalCall& call);
[[nodiscard]] LocalResult reply_lines(std::span<const std::string_view> lines);

// handshake_commands.cpp
[[nodiscard]] LocalResult run_hello(const LocalCall& call);
[[nodiscard]] LocalResult run_auth(const LocalCall& call);
[[nodiscard]] LocalResult run_select(const LocalCall& call);
[[nodiscard]] LocalResult run_ping(const LocalCall& call);
[[nodiscard]] LocalResult run_echo(const LocalCall& call);
[[nodiscard]] LocalResult run_quit(const LocalCall& call);
[[nodiscard]] LocalResult run_reset(const LocalCall& call);

// client_commands.cpp
[[nodiscard]] LocalResult run_client_caching(const LocalCall& call);
[[nodiscard]] LocalResult run_client_capa(const LocalCall& call);
[[nodiscard]] LocalResult run_client_getname(const LocalCall& call);
[[nodiscard]] LocalResult run_client_getredir(const LocalCall& call);
[[nodiscard]] LocalResult run_client_id(const LocalCall& call);
[[nodiscard]] LocalResult run_client_import_source(const LocalCall& call);
[[nodiscard]] LocalResult run_client_no_evict(const LocalCall& call);
[[nodiscard]] LocalResult run_client_no_touch(const LocalCall& call);
[[nodiscard]] LocalResult run_client_pause(const LocalCall& call);
[[nodiscard]] LocalResult run_client_reply(const LocalCall& call);
[[nodiscard]] LocalResult run_client_setinfo(const LocalCall& call);
[[nodiscard]] LocalResult run_client_setname(const LocalCall& call);
[[nodiscard]] LocalResult run_client_tracking(const LocalCall& call);
[[nodiscard]] LocalResult run_client_trackinginfo(const LocalCall& call);
[[nodiscard]] LocalResult run_client_unblock(const LocalCall& call);
[[nodiscard]] LocalResult run_client_unpause(const LocalCall& call);
// True for what may be a client's name: no spaces, nothing unprintable.
[[nodiscard]] bool is_client_attribute(std::string_view text);
inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// client_filters.cpp
[[nodiscard]] LocalResult run_client_info(const LocalCall& call);
[[nodiscard]] LocalResult run_client_kill(const LocalCall& call);
[[nodiscard]] LocalResult run_client_list(const LocalCall& call);

// command_replies.cpp
[[nodiscard]] LocalResult run_command_all(const LocalCall& call);
[[nodiscard]] LocalResult run_command_count(const LocalCall& call);
[[nodiscard]] LocalResult run_command_docs(const LocalCall& call);
[[nodiscard]] LocalResult run_command_getkeys(const LocalCall& call);
[[nodiscard]] LocalResult run_command_info(const LocalCall& call);
[[nodiscard]] LocalResult run_command_list(const LocalCall& call);

// throttle.cpp: redis-cell's words where it has some
[[nodiscard]] LocalResult run_throttle(const LocalCall& call);
inline constexpr std::string_view kThrottleUsage =
    "Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";

// help_replies.cpp
[[nodiscard]] LocalResult run_client_help(const LocalCall& call);
[[nodiscard]] LocalResult run_command_help(const LocalCall& call);
[[nodiscard]] LocalResult run_slowlog_help(const LocalCall& call);
[[nodiscard]] LocalResult pannier_help();

}  // namespace pannier::proxy
