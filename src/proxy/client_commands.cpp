#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "local_handlers.hpp"

#include <fmt/format.h>

#include <algorithm>

// CLIENT: what a client says about its own connection, and how it stops and wakes others.
namespace pannier::proxy {
namespace {

// As long as anybody means, and far from where adding it to a time overflows.
constexpr std::int64_t kLongestPause = std::int64_t{365} * 24 * 3600 * 1000;  // ms

LocalResult to_pinned() {
  LocalResult result;
  result.action = LocalAction::ToPinned;
  return result;
}

LocalResult set_switch(const LocalCall& call, bool& value) {
  if (call.says(2, "on")) {
    value = true;
  } else if (call.says(2, "off")) {
    value = false;
  } else {
    return reply_syntax_error();
  }
  return reply_ok();
}

}  // namespace

bool is_client_attribute(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

LocalResult run_client_setname(const LocalCall& call) {
  if (!is_client_attribute(call.arguments[2])) {
    return reply_error(kBadClientName);
  }
  call.session.name = call.arguments[2];
  return reply_ok();
}

LocalResult run_client_getname(const LocalCall& call) {
  LocalResult result;
  if (call.session.name.empty()) {
    resp::append_null(result.reply, call.session.version);
  } else {
    resp::append_bulk(result.reply, call.session.name);
  }
  return result;
}

// As Redis 7.2, with any upstream.
LocalResult run_client_setinfo(const LocalCall& call) {
  const std::string_view option = call.arguments[2];
  std::string* field = nullptr;
  if (call.says(2, "lib-name")) {
    field = &call.session.library_name;
  } else if (call.says(2, "lib-ver")) {
    field = &call.session.library_version;
  } else {
    return reply_error(fmt::format("ERR Unrecognized option '{}'", as_printed(option)));
  }
  if (!is_client_attribute(call.arguments[3])) {
    return reply_error(fmt::format("ERR {} cannot contain spaces, newlines or special characters.",
                                   as_printed(option)));
  }
  *field = call.arguments[3];
  return reply_ok();
}

LocalResult run_client_id(const LocalCall& call) {
  LocalResult result;
  resp::append_integer(result.reply, static_cast<std::int64_t>(call.session.id));
  return result;
}

LocalResult run_client_reply(const LocalCall& call) {
  ReplyMode& mode = call.session.reply_mode;
  if (call.says(2, "on")) {
    mode = ReplyMode::On;  // also behind a SKIP: then this answer is not the one to leave out
    return reply_ok();
  }
  if (call.says(2, "off")) {
    mode = ReplyMode::Off;
    return {};
  }
  if (call.says(2, "skip")) {
    if (mode != ReplyMode::Off) {
      mode = ReplyMode::SkipNext;
    }
    return {};
  }
  return reply_syntax_error();
}

LocalResult run_client_no_evict(const LocalCall& call) {
  return set_switch(call, call.session.no_evict);
}

LocalResult run_client_no_touch(const LocalCall& call) {
  return set_switch(call, call.session.no_touch);
}

LocalResult run_client_pause(const LocalCall& call) {
  if (call.arguments.size() > 4) {
    return reply_subcommand_syntax(call);
  }
  LocalResult result = reply_ok();
  result.action = LocalAction::ClientPause;
  if (call.arguments.size() == 4) {
    result.flag = call.says(3, "write");
    if (!result.flag && !call.says(3, "all")) {
      return reply_error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  const auto length = base::parse_int(call.arguments[2]);
  if (!length) {
    return reply_error("ERR timeout is not an integer or out of range");
  }
  if (*length < 0) {
    return reply_error("ERR timeout is negative");
  }
  result.number = std::min(*length, kLongestPause);
  return result;
}

LocalResult run_client_unpause(const LocalCall&) {
  LocalResult result = reply_ok();
  result.action = LocalAction::ClientUnpause;
  return result;
}

LocalResult run_client_unblock(const LocalCall& call) {
  if (call.arguments.size() > 4) {
    return reply_subcommand_syntax(call);
  }
  LocalResult result;
  result.action = LocalAction::ClientUnblock;
  if (call.arguments.size() == 4) {
    result.flag = call.says(3, "error");
    if (!result.flag && !call.says(3, "timeout")) {
      return reply_error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  }
  const auto id = base::parse_int(call.arguments[2]);
  if (!id) {
    return reply_not_an_integer();
  }
  result.number = *id;
  return result;
}

LocalResult run_client_tracking(const LocalCall&) {
  return to_pinned();
}

LocalResult run_client_caching(const LocalCall& call) {
  if (call.session.tracking) {
    return to_pinned();
  }
  return reply_error(
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
      "OPTOUT mode enabled");
}

LocalResult run_client_getredir(const LocalCall& call) {
  if (call.session.tracking) {
    return to_pinned();
  }
  LocalResult result;
  resp::append_integer(result.reply, -1);
  return result;
}

LocalResult run_client_trackinginfo(const LocalCall& call) {
  if (call.session.tracking) {
    return to_pinned();
  }
  LocalResult result;
  resp::append_map_header(result.reply, 3, call.session.version);
  resp::append_bulk(result.reply, "flags");
  resp::append_set_header(result.reply, 1, call.session.version);
  resp::append_bulk(result.reply, "off");
  resp::append_bulk(result.reply, "redirect");
  resp::append_integer(result.reply, -1);
  resp::append_bulk(result.reply, "prefixes");
  resp::append_array_header(result.reply, 0);
  return result;
}

// Valkey 8: what the client can do. Pannier sends no redirections, so there is nothing to remember.
LocalResult run_client_capa(const LocalCall&) {
  return reply_ok();
}

// Valkey 8: for a tool that fills a server in import mode, which it does not do through a cache.
LocalResult run_client_import_source(const LocalCall&) {
  return reply_error("ERR Server is not in import mode");
}

}  // namespace pannier::proxy
