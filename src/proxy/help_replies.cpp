#include "local_handlers.hpp"

#include <array>

// HELP of the commands that Pannier answers itself, in Redis's words.
namespace pannier::proxy {
namespace {

// Redis 7.0's, with what Pannier has of 7.2 and 7.4.
constexpr auto kClientHelp = std::to_array<std::string_view>({
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "HELP",
    "    Prints this help.",
});

constexpr auto kCommandHelp = std::to_array<std::string_view>({
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
});

constexpr auto kSlowlogHelp = std::to_array<std::string_view>({
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
    "HELP",
    "    Prints this help.",
});

constexpr auto kPannierHelp = std::to_array<std::string_view>({
    "PANNIER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "BYPASS (ON <period>|OFF)",
    "    Turn the near cache, shared reads and leases off for a period (10m, 30s; at most 24h).",
    "EXPLAIN <command> [<arg> ...]",
    "    Tell what would be done with a command, and why, without doing it.",
    "HOTKEYS [<count>]",
    "    Return the most used keys (default: 10) of a sample of the requests.",
    "INVALIDATE <key> [<key> ...]",
    "    Remove what is kept of the keys; return how many replies that were.",
    "STATS",
    "    Return this sidecar's counters, and the near cache's by class.",
    "TOPOLOGY",
    "    Return the upstream nodes: roles, zones, state, and how their changes are heard.",
    "VERSION",
    "    Return Pannier's version.",
    "WARM <key> [<key> ...]",
    "    GET the keys in the background, to keep them; return how many were asked for.",
    "HELP",
    "    Prints this help.",
});

}  // namespace

LocalResult run_client_help(const LocalCall&) {
  return reply_lines(kClientHelp);
}

LocalResult run_command_help(const LocalCall&) {
  LocalResult result = reply_lines(kCommandHelp);
  result.action = LocalAction::ToUpstream;
  return result;
}

LocalResult run_slowlog_help(const LocalCall&) {
  return reply_lines(kSlowlogHelp);
}

LocalResult pannier_help() {
  return reply_lines(kPannierHelp);
}

}  // namespace pannier::proxy
