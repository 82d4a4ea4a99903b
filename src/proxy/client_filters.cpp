#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "local_handlers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>

// CLIENT LIST, INFO and KILL: which sessions are meant, and what is shown of them.
namespace pannier::proxy {
namespace {

// The longest age that can be taken from a time; nobody is that old.
constexpr std::int64_t kLongestAge = std::int64_t{100} * 365 * 24 * 3600;  // s

std::string_view type_of(const SessionState& session) {
  return session.subscribed() ? "pubsub" : "normal";
}

// "slave" is an older name. Empty: there is no such type.
std::string type_named(std::string_view name) {
  const std::string type = base::to_lower(name);
  if (type == "slave") {
    return "replica";
  }
  return type == "normal" || type == "replica" || type == "pubsub" || type == "master"
             ? type
             : std::string();
}

std::string unknown_type(std::string_view name) {
  return fmt::format("ERR Unknown client type '{}'", as_printed(name));
}

std::string flags_of(const SessionState& session) {
  std::string flags;
  const auto add = [&flags](bool is_set, char flag) {
    if (is_set) {
      flags += flag;
    }
  };
  add(session.monitoring, 'O');
  add(session.subscribed(), 'P');
  add(session.in_multi, 'x');
  add(session.blocked, 'b');
  add(session.tracking, 't');
  add(session.remote_address.starts_with('/'), 'U');
  add(session.no_evict, 'e');
  add(session.no_touch, 'T');
  return flags.empty() ? "N" : flags;
}

std::int64_t seconds_since(base::TimePoint then, base::TimePoint now) {
  return std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::seconds>(now - then).count());
}

bool user_exists(const LocalCall& call, std::string_view name) {
  if (!call.has_users()) {
    return name == "default";
  }
  return std::any_of(call.facts.users->begin(),
                     call.facts.users->end(),
                     [name](const config::User& user) { return user.name == name; });
}

// One option of CLIENT KILL and its value. Empty: fine.
std::string read_kill_option(const LocalCall& call, std::size_t i, ClientFilter& filter) {
  const std::string_view value = call.arguments[i + 1];
  const auto number = base::parse_int(value);
  if (call.says(i, "id")) {
    if (!number || *number < 1) {
      return "ERR client-id should be greater than 0";
    }
    filter.ids = {static_cast<std::uint64_t>(*number)};
  } else if (call.says(i, "type")) {
    filter.type = type_named(value);
    if (filter.type->empty()) {
      return unknown_type(value);
    }
  } else if (call.says(i, "addr")) {
    filter.address = value;
  } else if (call.says(i, "laddr")) {
    filter.local_address = value;
  } else if (call.says(i, "user")) {
    if (!user_exists(call, value)) {
      return fmt::format("ERR No such user '{}'", as_printed(value));
    }
    filter.user = value;
  } else if (call.says(i, "skipme") && call.says(i + 1, "yes")) {
    filter.skip_self = true;
  } else if (call.says(i, "skipme") && call.says(i + 1, "no")) {
    filter.skip_self = false;
  } else if (call.says(i, "maxage")) {  // Redis 7.4
    if (!number) {
      return "ERR maxage is not an integer or out of range";
    }
    if (*number < 1) {
      return "ERR maxage should be greater than 0";
    }
    filter.created_until = call.facts.now - std::chrono::seconds(std::min(*number, kLongestAge));
  } else {
    return "ERR syntax error";
  }
  return {};
}

}  // namespace

bool ClientFilter::matches(const SessionState& session) const {
  if (!ids.empty() && std::find(ids.begin(), ids.end(), session.id) == ids.end()) {
    return false;
  }
  return (!address || *address == session.remote_address) &&
         (!local_address || *local_address == session.local_address) &&
         (!user || *user == session.user) && (!type || *type == type_of(session)) &&
         (!created_until || session.created <= *created_until) &&
         !(skip_self && session.id == self);
}

void append_client_line(std::string& out, const SessionState& session, base::TimePoint now) {
  fmt::format_to(
      std::back_inserter(out),
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} "
      "multi={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={} "
      "tot-mem={} events={} cmd={} user={} redir=-1 resp={}",
      session.id,
      session.remote_address,
      session.local_address,
      session.fd,
      session.name,
      seconds_since(session.created, now),
      seconds_since(session.last_active, now),
      flags_of(session),
      session.db,
      session.channels,
      session.patterns,
      session.shard_channels,
      session.in_multi ? static_cast<std::int64_t>(session.queued_in_multi) : -1,
      session.input_bytes,
      session.output_bytes,
      session.input_bytes + session.output_bytes,
      session.output_bytes > 0 ? "rw" : "r",
      session.last_command,
      session.user,
      static_cast<int>(session.version));
  if (!session.library_name.empty() || !session.library_version.empty()) {
    fmt::format_to(std::back_inserter(out),
                   " lib-name={} lib-ver={}",
                   session.library_name,
                   session.library_version);
  }
  out += '\n';
}

LocalResult run_client_info(const LocalCall& call) {
  call.session.last_command = call.row.name;
  std::string line;
  append_client_line(line, call.session, call.facts.now);
  LocalResult result;
  resp::append_verbatim(result.reply, line, call.session.version);
  return result;
}

LocalResult run_client_list(const LocalCall& call) {
  LocalResult result;
  result.action = LocalAction::ClientList;
  result.filter.self = call.session.id;
  const std::size_t count = call.arguments.size();
  if (count == 4 && call.says(2, "type")) {
    result.filter.type = type_named(call.arguments[3]);
    if (result.filter.type->empty()) {
      return reply_error(unknown_type(call.arguments[3]));
    }
  } else if (count > 3 && call.says(2, "id")) {
    for (const std::string_view argument : call.arguments.subspan(3)) {
      const auto id = base::parse_int(argument);
      if (!id) {
        return reply_error("ERR Invalid client ID");
      }
      // No session has id 0, which stands for all that cannot be.
      result.filter.ids.push_back(*id > 0 ? static_cast<std::uint64_t>(*id) : 0);
    }
  } else if (count != 2) {
    return reply_syntax_error();
  }
  call.session.last_command = call.row.name;
  return result;
}

LocalResult run_client_kill(const LocalCall& call) {
  LocalResult result;
  result.action = LocalAction::ClientKill;
  ClientFilter& filter = result.filter;
  filter.self = call.session.id;
  if (call.arguments.size() == 3) {
    filter.old_form = true;
    filter.address = call.arguments[2];
    return result;
  }
  filter.skip_self = true;
  for (std::size_t i = 2; i < call.arguments.size(); i += 2) {
    const std::string error =
        i + 1 < call.arguments.size() ? read_kill_option(call, i, filter) : "ERR syntax error";
    if (!error.empty()) {
      return reply_error(error);
    }
  }
  return result;
}

}  // namespace pannier::proxy
