#include "local_session.hpp"

#include <catch2/catch.hpp>

// Expected bytes are redis-server 7.0.15's.
namespace pannier::proxy {

namespace {

std::string unknown(std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> arguments(words);
  std::string out;
  append_unknown_command(out, arguments);
  return out;
}

}  // namespace

TEST_CASE("local_commands: an unknown command is quoted as Redis quotes it", "[proxy]") {
  CHECK(unknown({"foo"}) == "-ERR unknown command 'foo', with args beginning with: \r\n");
  CHECK(unknown({"foo", "a", ""}) ==
        "-ERR unknown command 'foo', with args beginning with: 'a' '' \r\n");
  CHECK(unknown({"f\r\noo", "a\r\nb", "c"}) ==
        "-ERR unknown command 'f  oo', with args beginning with: 'a  b' 'c' \r\n");
  CHECK(unknown({std::string_view("f\0oo", 4), std::string_view("a\0b", 3), "z"}) ==
        "-ERR unknown command 'f', with args beginning with: 'a' 'z' \r\n");
}

TEST_CASE("local_commands: of an unknown command 128 bytes and of its arguments 128 are shown",
          "[proxy]") {
  const std::string x(200, 'x');
  const std::string y(100, 'y');
  const auto cut = [](const std::string& text, std::size_t size) {
    return text.substr(0, size);
  };
  const std::string head = "-ERR unknown command 'foo', with args beginning with: '";
  CHECK(unknown({x}) ==
        "-ERR unknown command '" + cut(x, 128) + "', with args beginning with: \r\n");
  CHECK(unknown({"foo", cut(x, 100), y, "z"}) ==
        head + cut(x, 100) + "' '" + cut(y, 25) + "' \r\n");
  CHECK(unknown({"foo", cut(x, 125), y, "z"}) == head + cut(x, 125) + "' \r\n");
  CHECK(unknown({"foo", cut(x, 126), y, "z"}) == head + cut(x, 126) + "' \r\n");
  CHECK(unknown({"foo", x, y, "z"}) == head + cut(x, 128) + "' \r\n");
}

TEST_CASE("local_commands: unknown subcommands and wrong arities", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"cLiEnT", "Foo"}) == "-ERR unknown subcommand 'Foo'. Try CLIENT HELP.\r\n");
  CHECK(session.say({"CLIENT", "a\r\nb", "c"}) ==
        "-ERR unknown subcommand 'a  b'. Try CLIENT HELP.\r\n");
  CHECK(session.say({"CLIENT", std::string(200, 'f')}) ==
        "-ERR unknown subcommand '" + std::string(128, 'f') + "'. Try CLIENT HELP.\r\n");
  CHECK(session.say({"CLUSTER", "FOO"}) == "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.\r\n");
  CHECK(session.say({"SLOWLOG", "foo"}) == "-ERR unknown subcommand 'foo'. Try SLOWLOG HELP.\r\n");
  CHECK(session.say({"CLIENT"}) == "-ERR wrong number of arguments for 'client' command\r\n");
  CHECK(session.say({"CLIENT", "SETNAME"}) ==
        "-ERR wrong number of arguments for 'client|setname' command\r\n");
  CHECK(session.say({"CLIENT", "HELP", "A"}) ==
        "-ERR wrong number of arguments for 'client|help' command\r\n");
}

TEST_CASE("local_commands: HELP is an array of lines", "[proxy]") {
  LocalSession session;
  const std::string client = session.say({"CLIENT", "HELP"});
  CHECK(client.starts_with(
      "*56\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+CACHING"));
  CHECK(client.ends_with("+HELP\r\n+    Prints this help.\r\n"));
  CHECK(session.say({"SLOWLOG", "HELP"}).starts_with("*12\r\n"));
  CHECK(session.say({"COMMAND", "HELP"}).starts_with("*21\r\n"));
  CHECK(session.say({"PANNIER", "help"}).starts_with("*19\r\n+PANNIER <subcommand>"));
}

TEST_CASE("local_commands: to a client this is a lone primary", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"ROLE"}) == "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
  CHECK(session.say({"ROLE", "1"}) == "-ERR wrong number of arguments for 'role' command\r\n");
  for (const std::string_view subcommand : {"INFO", "slots", "SHARDS", "NODES", "HELP"}) {
    CHECK(session.say({"CLUSTER", subcommand}) ==
          "-ERR This instance has cluster support disabled\r\n");
  }
  CHECK(session.say({"CLUSTER", "KEYSLOT"}) ==
        "-ERR wrong number of arguments for 'cluster|keyslot' command\r\n");
  CHECK(session.say({"CLUSTER"}) == "-ERR wrong number of arguments for 'cluster' command\r\n");
}

TEST_CASE("local_commands: a second MONITOR is not answered", "[proxy]") {
  LocalSession session;
  const LocalResult first = session.run({"MONITOR"});
  CHECK(first.action == LocalAction::Monitor);
  CHECK(first.reply == "+OK\r\n");
  session.state.monitoring = true;
  const LocalResult second = session.run({"MONITOR"});
  CHECK(second.action == LocalAction::Reply);
  CHECK(second.reply.empty());
}

TEST_CASE("local_commands: SLOWLOG counts as Redis does", "[proxy]") {
  LocalSession session;
  const LocalResult get = session.run({"SLOWLOG", "GET"});
  CHECK(get.action == LocalAction::Slowlog);
  CHECK(get.text == "get");
  CHECK(get.number == 10);
  CHECK(session.run({"SLOWLOG", "GET", "-1"}).number == -1);
  CHECK(session.run({"SLOWLOG", "GET", "3"}).number == 3);
  for (const std::string_view count : {"-2", "abc", ""}) {
    CHECK(session.say({"SLOWLOG", "GET", count}) ==
          "-ERR count should be greater than or equal to -1\r\n");
  }
  CHECK(session.say({"SLOWLOG", "GET", "1", "2"}) ==
        "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n");
  CHECK(session.run({"SLOWLOG", "LEN"}).text == "len");
  CHECK(session.run({"SLOWLOG", "RESET"}).text == "reset");
}

TEST_CASE("local_commands: users are not changed through Pannier", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"ACL", "WHOAMI"}) == "$7\r\ndefault\r\n");
  for (const std::string_view subcommand : {"SETUSER", "DELUSER"}) {
    CHECK(
        session.say({"ACL", subcommand, "bob"}).starts_with("-NOPERM [pannier rule=acl-writes] "));
  }
  for (const std::string_view subcommand : {"LOAD", "SAVE"}) {
    CHECK(session.say({"ACL", subcommand}).starts_with("-NOPERM [pannier rule=acl-writes] "));
  }
}

TEST_CASE("local_commands: Pannier's own commands go to the session", "[proxy]") {
  LocalSession session;
  const LocalResult explain = session.run({"pannier", "EXPLAIN", "GET", "k"});
  CHECK(explain.action == LocalAction::Pannier);
  CHECK(explain.text == "explain");
  CHECK(session.say({"PANNIER", "EXPLAIN"}) ==
        "-ERR wrong number of arguments for 'pannier|explain' command\r\n");
  CHECK(session.say({"PANNIER", "FOO"}) == "-ERR unknown subcommand 'FOO'. Try PANNIER HELP.\r\n");
  CHECK(session.run({"CL.THROTTLE", "k", "1", "1", "1"}).action == LocalAction::Throttle);
}

TEST_CASE("local_commands: CL.THROTTLE is checked before the primary is asked", "[proxy]") {
  LocalSession session;
  CHECK(session.run({"cl.throttle", "k", "+0", "1000000", "01", "0"}).action ==
        LocalAction::Throttle);
  const std::string usage =
      "-Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> "
      "[<quantity>]\r\n";
  CHECK(session.say({"CL.THROTTLE", "k", "1", "1"}) == usage);
  CHECK(session.say({"CL.THROTTLE", "k", "1", "1", "1", "1", "1"}) == usage);
  CHECK(session.say({"CL.THROTTLE", "k", "1", "1", "x\r\ny"}) ==
        "-Cell error: Couldn't parse as integer: x  y\r\n");
  CHECK(session.say({"CL.THROTTLE", "k", "1", "0", "1"}) ==
        "-Cell error: Zero rates are not supported\r\n");
}

TEST_CASE("local_commands: COMMAND asks upstream and has an answer of its own", "[proxy]") {
  LocalSession session;
  const LocalResult info = session.run({"COMMAND", "INFO", "get", "nope", "zunionstore"});
  CHECK(info.action == LocalAction::ToUpstream);
  CHECK(info.reply ==
        "*3\r\n"
        "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n"
        "*0\r\n"
        "$-1\r\n"
        "*10\r\n$11\r\nzunionstore\r\n:-4\r\n*3\r\n+write\r\n+denyoom\r\n+movablekeys\r\n:1\r\n"
        ":1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
  session.state.version = resp::Version::Resp3;
  CHECK(session.say({"COMMAND", "INFO", "get", "nope"}) ==
        "*2\r\n"
        "*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n~0\r\n~0\r\n~0\r\n"
        "~0\r\n"
        "_\r\n");
  CHECK(session.say({"COMMAND", "DOCS", "get"}) == "%0\r\n");
}

TEST_CASE("local_commands: a container is told with its subcommands", "[proxy]") {
  LocalSession session;
  const std::string reply = session.say({"COMMAND", "INFO", "config"});
  CHECK(reply.starts_with(
      "*1\r\n*10\r\n$6\r\nconfig\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*5\r\n"
      "*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n"));
  CHECK(reply.ends_with(":0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n"));
}

TEST_CASE("local_commands: COMMAND, COUNT and LIST tell of the same commands", "[proxy]") {
  LocalSession session;
  const LocalResult count = session.run({"COMMAND", "COUNT"});
  CHECK(count.action == LocalAction::ToUpstream);
  const std::string size = count.reply.substr(1);
  CHECK(session.say({"COMMAND"}).starts_with("*" + size));
  CHECK(session.say({"COMMAND", "INFO"}).starts_with("*" + size));
  CHECK(session.say({"COMMAND", "LIST"}).starts_with("*" + size));
  CHECK(session.say({"COMMAND", "LIST", "FILTERBY", "PATTERN", "GET?I*"}) ==
        "*1\r\n$6\r\ngetbit\r\n");
  CHECK(session.say({"COMMAND", "LIST", "filterby", "pattern", "config|*t"}) ==
        "*3\r\n$10\r\nconfig|get\r\n$16\r\nconfig|resetstat\r\n$10\r\nconfig|set\r\n");
  CHECK(session.say({"COMMAND", "LIST", "FILTERBY", "MODULE", "x"}) == "*0\r\n");
  CHECK(session.say({"COMMAND", "LIST", "FILTERBY"}) == "-ERR syntax error\r\n");
  const LocalResult newer = session.run({"COMMAND", "NEWER"});
  CHECK(newer.action == LocalAction::ToUpstream);
  CHECK(newer.reply == "-ERR unknown subcommand 'NEWER'. Try COMMAND HELP.\r\n");
}

TEST_CASE("local_commands: COMMAND GETKEYS finds what the table finds", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"COMMAND", "GETKEYS", "mset", "a", "b", "c", "d"}) ==
        "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "eval", "s", "2", "a", "b"}) ==
        "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "eval", "s", "0"}) == "*0\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "eval", "s", "9", "a"}) == "*0\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "foo", "a"}) == "-ERR Invalid command specified\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "ping", "a"}) ==
        "-ERR The command has no key arguments\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "get", "a", "b"}) ==
        "-ERR Invalid number of arguments specified for command\r\n");
  CHECK(session.say({"COMMAND", "GETKEYS", "get"}) ==
        "-ERR wrong number of arguments for 'command|getkeys' command\r\n");
  CHECK(session.say({"COMMAND", "GETKEYSANDFLAGS", "get", "a"}) ==
        "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n");
}

TEST_CASE("local_commands: every row that Pannier answers has an answer", "[proxy]") {
  LocalSession session;
  for (const command::CommandSpec& row : command::table()) {
    if (row.handling != command::Handling::Local || row.has(command::kContainer)) {
      continue;
    }
    const std::size_t bar = row.name.find('|');
    std::vector<std::string_view> arguments{row.name.substr(0, bar)};
    if (bar != std::string_view::npos) {
      arguments.push_back(row.name.substr(bar + 1));
    }
    arguments.resize(static_cast<std::size_t>(row.arity < 0 ? -row.arity : row.arity), "1");
    const LocalResult result = run_local(row, arguments, session.state, session.facts);
    INFO(row.name << ": " << result.reply);
    CHECK_FALSE(result.reply.starts_with("-ERR unknown"));
  }
}

}  // namespace pannier::proxy
