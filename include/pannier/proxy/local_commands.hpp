#pragma once

#include "pannier/command/command.hpp"
#include "pannier/config/config.hpp"
#include "pannier/proxy/session_state.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The commands that Pannier answers itself (behaviour 1.5-1.7). Pure: a session's state, what is
// known of the server, and the request in; reply bytes and what the session has to do out.
namespace pannier::proxy {

// What replies say about the server.
struct ServerFacts {
  std::string_view version;  // the last one learned upstream, else 7.0.0
  std::uint32_t databases = 16;
  const std::vector<config::User>* users = nullptr;  // empty or null: no users
  config::AuthPolicy auth = config::AuthPolicy::Accept;
  base::TimePoint now{};
};

// Which clients CLIENT LIST and CLIENT KILL mean. Empty options match everything.
struct ClientFilter {
  std::vector<std::uint64_t> ids;
  std::optional<std::string> address;
  std::optional<std::string> local_address;
  std::optional<std::string> user;
  std::optional<std::string> type;               // normal | master | replica | pubsub
  std::optional<base::TimePoint> created_until;  // CLIENT KILL MAXAGE: those that are this old
  bool skip_self = false;
  std::uint64_t self = 0;
  bool old_form = false;  // CLIENT KILL addr:port: +OK or an error instead of a count

  [[nodiscard]] bool matches(const SessionState& session) const;
};

// What the session does after a local command; `reply` is already complete unless said otherwise.
enum class LocalAction : std::uint8_t {
  Reply,          // nothing but the reply
  Quit,           // reply, then close
  Reset,          // RESET: the session drops MULTI, WATCH, subscriptions, tracking, MONITOR
  Select,         // SELECT number: reply +OK after a lane in db `number` opened; `reply` is what to
                  // say when upstream is away
  Monitor,        // reply, then the session sees this sidecar's traffic
  ClientList,     // gather format_client over all sessions that match `filter`
  ClientKill,     // close those that match `filter`; reply the count (or +OK / error: old form)
  ClientUnblock,  // session `number`; `flag`: with an error
  ClientPause,    // for `number` ms; `flag`: only writes
  ClientUnpause,
  ToPinned,    // CLIENT TRACKING ON/OFF and what follows it: to the pinned connection
  ToUpstream,  // COMMAND*: ask upstream; `reply` is what to say when it is away
  Slowlog,     // SLOWLOG GET/LEN/RESET: see `text` (get|len|reset) and `number`
  Pannier,     // PANNIER *: the session dispatches on the subcommand
  Throttle     // CL.THROTTLE, whose words are right: the primary is asked
};

struct LocalResult {
  LocalAction action = LocalAction::Reply;
  std::string reply;  // empty: nothing is said (CLIENT REPLY OFF and SKIP)
  std::int64_t number = 0;
  bool flag = false;  // of AUTH and HELLO: a secret was ignored
  std::string text;
  ClientFilter filter;
};

// REQUIRES: row.handling == Handling::Local, or the row is CLIENT/HELLO/... in another guise.
[[nodiscard]] LocalResult run_local(const command::CommandSpec& row,
                                    std::span<const std::string_view> arguments,
                                    SessionState& session,
                                    const ServerFacts& facts);

// "-NOAUTH Authentication required." unless the session may run this command.
[[nodiscard]] bool needs_auth(const command::CommandSpec& row, const SessionState& session);

// One line of CLIENT LIST, as Redis 7.0 prints it, with '\n'.
void append_client_line(std::string& out, const SessionState& session, base::TimePoint now);

// Redis's own words.
void append_wrong_arity(std::string& out, const command::CommandSpec& row);
void append_unknown_command(std::string& out, std::span<const std::string_view> arguments);
// REQUIRES: arguments[0] is a container and arguments[1] no subcommand that it has.
void append_unknown_subcommand(std::string& out, std::span<const std::string_view> arguments);

}  // namespace pannier::proxy
