#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "local_handlers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

// HELLO, AUTH, SELECT and what else every client says first or last.
namespace pannier::proxy {
namespace {

constexpr std::string_view kDefaultUser = "default";
constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";

enum class AuthOutcome : std::uint8_t {
  Ok,
  Ignored,  // accepted without looking at the secret
  Wrong
};

// Takes as long for a right secret as for a wrong one of the same length.
bool is_same_secret(std::string_view given, std::string_view expected) {
  unsigned difference = given.size() == expected.size() ? 0U : 1U;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char other = expected.empty() ? '\0' : expected[i % expected.size()];
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^
                                        static_cast<unsigned char>(other));
    asm volatile("" : "+r"(difference));  // no early way out
  }
  return difference == 0;
}

AuthOutcome authenticate(const LocalCall& call, std::string_view user, std::string_view secret) {
  if (!call.has_users()) {
    // Redis, too, lets its default user in with any secret as long as none is set.
    if (call.facts.auth == config::AuthPolicy::Reject) {
      return user == kDefaultUser ? AuthOutcome::Ok : AuthOutcome::Wrong;
    }
    return AuthOutcome::Ignored;
  }
  const auto& users = *call.facts.users;
  const auto found = std::find_if(
      users.begin(), users.end(), [user](const config::User& known) { return known.name == user; });
  if (found == users.end() || !is_same_secret(secret, found->password)) {
    return AuthOutcome::Wrong;
  }
  call.session.authenticated = true;
  call.session.user = user;
  return AuthOutcome::Ok;
}

// The options of HELLO, each taking effect as it is read, as in Redis 7.0. Empty: all went well.
std::string read_hello_options(const LocalCall& call, bool& secret_ignored) {
  const auto& arguments = call.arguments;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::size_t more = arguments.size() - 1 - i;
    if (call.says(i, "auth") && more >= 2) {
      const AuthOutcome outcome = authenticate(call, arguments[i + 1], arguments[i + 2]);
      if (outcome == AuthOutcome::Wrong) {
        return std::string(kWrongPass);
      }
      secret_ignored = secret_ignored || outcome == AuthOutcome::Ignored;
      i += 2;
    } else if (call.says(i, "setname") && more >= 1) {
      if (!is_client_attribute(arguments[i + 1])) {
        return std::string(kBadClientName);
      }
      call.session.name = arguments[i + 1];
      i += 1;
    } else {
      return fmt::format("ERR Syntax error in HELLO option '{}'", as_printed(arguments[i]));
    }
  }
  return {};
}

void append_greeting(std::string& out, const LocalCall& call) {
  const resp::Version version = call.session.version;
  resp::append_map_header(out, 7, version);
  resp::append_bulk(out, "server");
  resp::append_bulk(out, "redis");
  resp::append_bulk(out, "version");
  resp::append_bulk(out, call.facts.version);
  resp::append_bulk(out, "proto");
  resp::append_integer(out, static_cast<std::int64_t>(version));
  resp::append_bulk(out, "id");
  resp::append_integer(out, static_cast<std::int64_t>(call.session.id));
  resp::append_bulk(out, "mode");
  resp::append_bulk(out, "standalone");
  resp::append_bulk(out, "role");
  resp::append_bulk(out, "master");
  resp::append_bulk(out, "modules");
  resp::append_array_header(out, 0);
}

}  // namespace

LocalResult run_hello(const LocalCall& call) {
  resp::Version version = call.session.version;
  if (call.arguments.size() > 1) {
    const auto number = base::parse_int(call.arguments[1]);
    if (!number) {
      return reply_error("ERR Protocol version is not an integer or out of range");
    }
    if (*number < 2 || *number > 3) {
      return reply_error("NOPROTO unsupported protocol version");
    }
    version = *number == 3 ? resp::Version::Resp3 : resp::Version::Resp2;
  }
  LocalResult result;
  const std::string error = read_hello_options(call, result.flag);
  if (!error.empty()) {
    resp::append_error(result.reply, error);
    return result;
  }
  if (!call.session.authenticated) {
    return reply_error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
        "protocol version at the same time");
  }
  call.session.version = version;
  append_greeting(result.reply, call);
  return result;
}

LocalResult run_auth(const LocalCall& call) {
  if (call.arguments.size() > 3) {
    return reply_syntax_error();
  }
  const bool names_user = call.arguments.size() == 3;
  if (!names_user && !call.has_users() && call.facts.auth == config::AuthPolicy::Reject) {
    return reply_error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  const AuthOutcome outcome =
      authenticate(call, names_user ? call.arguments[1] : kDefaultUser, call.arguments.back());
  if (outcome == AuthOutcome::Wrong) {
    return reply_error(kWrongPass);
  }
  LocalResult result = reply_ok();
  result.flag = outcome == AuthOutcome::Ignored;
  return result;
}

LocalResult run_select(const LocalCall& call) {
  constexpr std::string_view kOutOfRange = "ERR DB index is out of range";
  const auto number = base::parse_int(call.arguments[1]);
  if (!number) {
    return reply_not_an_integer();
  }
  if (*number < std::numeric_limits<std::int32_t>::min() ||
      *number > std::numeric_limits<std::int32_t>::max()) {
    return reply_error("ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*number < 0) {
    return reply_error(kOutOfRange);
  }
  LocalResult result = *number < static_cast<std::int64_t>(call.facts.databases)
                           ? reply_ok()
                           : reply_error(kOutOfRange);
  result.action = LocalAction::Select;
  result.number = *number;
  return result;
}

LocalResult run_ping(const LocalCall& call) {
  if (call.arguments.size() > 2) {
    LocalResult result;
    append_wrong_arity(result.reply, call.row);
    return result;
  }
  const std::string_view message = call.arguments.size() == 2 ? call.arguments[1] : "";
  LocalResult result;
  if (call.session.subscribed() && call.session.version == resp::Version::Resp2) {
    resp::append_array_header(result.reply, 2);
    resp::append_bulk(result.reply, "pong");
    resp::append_bulk(result.reply, message);
  } else if (call.arguments.size() == 2) {
    resp::append_bulk(result.reply, message);
  } else {
    resp::append_simple(result.reply, "PONG");
  }
  return result;
}

LocalResult run_echo(const LocalCall& call) {
  LocalResult result;
  resp::append_bulk(result.reply, call.arguments[1]);
  return result;
}

LocalResult run_quit(const LocalCall&) {
  LocalResult result = reply_ok();
  result.action = LocalAction::Quit;
  return result;
}

// As in Redis 7.0, and NO-TOUCH as in 7.2: what the client library is called and NO-EVICT stay.
LocalResult run_reset(const LocalCall& call) {
  SessionState& session = call.session;
  session.db = 0;
  session.version = resp::Version::Resp2;
  session.name.clear();
  session.user = kDefaultUser;
  session.authenticated = !call.has_users();
  session.no_touch = false;
  if (session.reply_mode != ReplyMode::Skip) {  // a SKIP in front of it hides its reply even so
    session.reply_mode = ReplyMode::On;
  }
  LocalResult result;
  resp::append_simple(result.reply, "RESET");
  result.action = LocalAction::Reset;
  return result;
}

}  // namespace pannier::proxy
