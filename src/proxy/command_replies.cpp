#include "pannier/command/learned.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "local_handlers.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <vector>

// COMMAND and its kin: upstream answers; here is what to say when it is away, from the table.
namespace pannier::proxy {
namespace {

using command::CommandSpec;
using command::KeyRule;

// Those that COMMAND shows, so without may_replicate.
constexpr std::array<std::string_view, 19> kFlagNames{"write",
                                                      "readonly",
                                                      "denyoom",
                                                      "admin",
                                                      "pubsub",
                                                      "noscript",
                                                      "blocking",
                                                      "loading",
                                                      "stale",
                                                      "skip_monitor",
                                                      "skip_slowlog",
                                                      "asking",
                                                      "fast",
                                                      "no_auth",
                                                      "no_mandatory_keys",
                                                      "movablekeys",
                                                      "no_multi",
                                                      "allow_busy",
                                                      "no_async_loading"};

struct KeyRange {
  int first = 0;
  int last = 0;
  int step = 0;
};

// The keys that COMMAND can tell of a row; others are movable.
KeyRange range_of(const CommandSpec& row) {
  switch (row.rule) {
    case KeyRule::Range:
      return {row.first, row.last, row.step};
    case KeyRule::StoreNumKeys:
    case KeyRule::Sort:
    case KeyRule::GeoStore:
      return {1, 1, 1};
    case KeyRule::Migrate:
      return {3, 3, 1};
    case KeyRule::None:
    case KeyRule::NumKeys:
    case KeyRule::Streams:
      break;
  }
  return {};
}

bool is_subcommand(const CommandSpec& row) {
  return row.name.find('|') != std::string_view::npos;
}

bool is_subcommand_of(const CommandSpec& row, std::string_view container) {
  return row.name.size() > container.size() && row.name[container.size()] == '|' &&
         row.name.starts_with(container);
}

void append_flags(std::string& out, const CommandSpec& row, resp::Version version) {
  std::string names;
  std::size_t count = 0;
  for (const std::string_view name : kFlagNames) {
    if (row.has(command::flag_of(name))) {
      resp::append_simple(names, name);
      ++count;
    }
  }
  resp::append_set_header(out, count, version);
  out += names;
}

// One element of COMMAND INFO without its subcommands: the table has no ACL categories, tips and
// key specifications.
void append_row(std::string& out, const CommandSpec& row, resp::Version version) {
  const KeyRange keys = range_of(row);
  resp::append_array_header(out, 10);
  resp::append_bulk(out, row.name);
  resp::append_integer(out, row.arity);
  append_flags(out, row, version);
  resp::append_integer(out, keys.first);
  resp::append_integer(out, keys.last);
  resp::append_integer(out, keys.step);
  resp::append_set_header(out, 0, version);
  resp::append_set_header(out, 0, version);
  resp::append_set_header(out, 0, version);
}

void append_command(std::string& out, const CommandSpec& row, resp::Version version) {
  append_row(out, row, version);
  std::string subcommands;
  std::size_t count = 0;
  if (row.has(command::kContainer)) {
    for (const CommandSpec& other : command::table()) {
      if (is_subcommand_of(other, row.name)) {
        append_row(subcommands, other, version);
        resp::append_set_header(subcommands, 0, version);
        ++count;
      }
    }
  }
  // Redis writes an array of subcommands and an empty set.
  if (count == 0) {
    resp::append_set_header(out, 0, version);
  } else {
    resp::append_array_header(out, count);
    out += subcommands;
  }
}

std::size_t command_count() {
  const auto rows = command::table();
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [](const CommandSpec& row) { return !is_subcommand(row); }));
}

LocalResult upstream_first() {
  LocalResult result;
  result.action = LocalAction::ToUpstream;
  return result;
}

LocalResult error_upstream_first(std::string_view text) {
  LocalResult result = reply_error(text);
  result.action = LocalAction::ToUpstream;
  return result;
}

// COMMAND GETKEYSANDFLAGS: what the table knows is whether the command writes.
void append_key_flags(std::string& out, const CommandSpec& row, resp::Version version) {
  if (row.has(command::kReadOnly)) {
    resp::append_set_header(out, 2, version);
    resp::append_simple(out, "RO");
    resp::append_simple(out, "access");
    return;
  }
  resp::append_set_header(out, 3, version);
  resp::append_simple(out, "RW");
  resp::append_simple(out, "access");
  resp::append_simple(out, "update");
}

}  // namespace

LocalResult run_command_all(const LocalCall& call) {
  LocalResult result = upstream_first();
  resp::append_array_header(result.reply, command_count());
  for (const CommandSpec& row : command::table()) {
    if (!is_subcommand(row)) {
      append_command(result.reply, row, call.session.version);
    }
  }
  return result;
}

LocalResult run_command_count(const LocalCall&) {
  LocalResult result = upstream_first();
  resp::append_integer(result.reply, static_cast<std::int64_t>(command_count()));
  return result;
}

LocalResult run_command_docs(const LocalCall& call) {
  LocalResult result = upstream_first();
  resp::append_map_header(result.reply, 0, call.session.version);
  return result;
}

LocalResult run_command_info(const LocalCall& call) {
  if (call.arguments.size() == 2) {
    return run_command_all(call);
  }
  LocalResult result = upstream_first();
  const auto names = call.arguments.subspan(2);
  resp::append_array_header(result.reply, names.size());
  for (const std::string_view name : names) {
    if (const CommandSpec* row = command::find(name)) {
      append_command(result.reply, *row, call.session.version);
    } else {
      resp::append_null(result.reply, call.session.version);
    }
  }
  return result;
}

LocalResult run_command_list(const LocalCall& call) {
  const bool is_filtered = call.arguments.size() == 5 && call.says(2, "filterby");
  const bool by_pattern = is_filtered && call.says(3, "pattern");
  const bool by_origin = is_filtered && (call.says(3, "module") || call.says(3, "aclcat"));
  if (call.arguments.size() > 2 && !by_pattern && !by_origin) {
    return error_upstream_first("ERR syntax error");
  }
  std::string names;
  std::size_t count = 0;
  for (const CommandSpec& row : command::table()) {
    // A pattern is held against subcommands too. Of modules and categories the table knows nothing.
    const bool listed = by_pattern ? fnmatch(std::string(call.arguments[4]).c_str(),
                                             std::string(row.name).c_str(),
                                             FNM_CASEFOLD) == 0
                                   : !by_origin && !is_subcommand(row);
    if (listed) {
      resp::append_bulk(names, row.name);
      ++count;
    }
  }
  LocalResult result = upstream_first();
  resp::append_array_header(result.reply, count);
  result.reply += names;
  return result;
}

LocalResult run_command_getkeys(const LocalCall& call) {
  const auto request = call.arguments.subspan(2);
  const CommandSpec* row = command::find(request);
  if (row == nullptr) {
    return error_upstream_first("ERR Invalid command specified");
  }
  if (row->rule == KeyRule::None) {
    return error_upstream_first("ERR The command has no key arguments");
  }
  if (!command::arity_fits(*row, request.size())) {
    return error_upstream_first("ERR Invalid number of arguments specified for command");
  }
  std::vector<std::string_view> keys;
  if (command::extract_keys(*row, request, keys) == command::KeyStatus::Unknown &&
      !row->has(command::kNoMandatoryKeys)) {
    return error_upstream_first("ERR Invalid arguments specified for command");
  }
  const bool with_flags = call.row.name.ends_with("flags");
  LocalResult result = upstream_first();
  resp::append_array_header(result.reply, keys.size());
  for (const std::string_view key : keys) {
    if (with_flags) {
      resp::append_array_header(result.reply, 2);
    }
    resp::append_bulk(result.reply, key);
    if (with_flags) {
      append_key_flags(result.reply, *row, call.session.version);
    }
  }
  return result;
}

}  // namespace pannier::proxy
