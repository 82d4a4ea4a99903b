#include "local_session.hpp"

#include <catch2/catch.hpp>

// Expected bytes are redis-server 7.0.15's; SETINFO, NO-TOUCH and MAXAGE those of later versions.
namespace pannier::proxy {

TEST_CASE("local_commands: client names and library names have no spaces", "[proxy]") {
  LocalSession session;
  const std::string bad =
      "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
  CHECK(session.say({"CLIENT", "SETNAME", "a b"}) == bad);
  CHECK(session.say({"CLIENT", "SETNAME", "\xc3\xa9"}) == bad);
  CHECK(session.say({"CLIENT", "SETNAME", "a\n"}) == bad);
  CHECK(session.say({"CLIENT", "SETNAME", "x~!"}) == "+OK\r\n");
  CHECK(session.say({"CLIENT", "GETNAME"}) == "$3\r\nx~!\r\n");
  CHECK(session.say({"CLIENT", "SETNAME", ""}) == "+OK\r\n");
  CHECK(session.say({"CLIENT", "GETNAME"}) == "$-1\r\n");

  CHECK(session.say({"CLIENT", "SETINFO", "LIB-NAME", "redis-py"}) == "+OK\r\n");
  CHECK(session.say({"CLIENT", "SETINFO", "lib-ver", "5.0.1"}) == "+OK\r\n");
  CHECK(session.state.library_name == "redis-py");
  CHECK(session.state.library_version == "5.0.1");
  CHECK(session.say({"CLIENT", "SETINFO", "lib-ver", "5 0"}) ==
        "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
  CHECK(session.say({"CLIENT", "SETINFO", "lib", "x"}) == "-ERR Unrecognized option 'lib'\r\n");
  CHECK(session.say({"CLIENT", "SETINFO", "lib-ver"}) ==
        "-ERR wrong number of arguments for 'client|setinfo' command\r\n");
}

TEST_CASE("local_commands: CLIENT ID, CAPA and the switches", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"CLIENT", "ID"}) == ":7\r\n");
  CHECK(session.say({"CLIENT", "NO-EVICT", "on"}) == "+OK\r\n");
  CHECK(session.state.no_evict);
  CHECK(session.say({"CLIENT", "NO-EVICT", "OFF"}) == "+OK\r\n");
  CHECK_FALSE(session.state.no_evict);
  CHECK(session.say({"CLIENT", "NO-EVICT", "maybe"}) == "-ERR syntax error\r\n");
  CHECK(session.say({"CLIENT", "NO-TOUCH", "ON"}) == "+OK\r\n");
  CHECK(session.state.no_touch);
  CHECK(session.say({"CLIENT", "CAPA", "redirect"}) == "+OK\r\n");
}

TEST_CASE("local_commands: CLIENT REPLY is silent unless it says ON", "[proxy]") {
  LocalSession session;
  ReplyMode& mode = session.state.reply_mode;
  CHECK(session.say({"CLIENT", "REPLY", "ON"}) == "+OK\r\n");
  CHECK(session.say({"CLIENT", "REPLY", "SKIP"}).empty());
  CHECK(mode == ReplyMode::SkipNext);
  mode = ReplyMode::Skip;  // as the session makes it for the next command
  CHECK(session.say({"CLIENT", "REPLY", "ON"}) == "+OK\r\n");
  CHECK(mode == ReplyMode::On);
  CHECK(session.say({"CLIENT", "REPLY", "off"}).empty());
  CHECK(session.say({"CLIENT", "REPLY", "SKIP"}).empty());
  CHECK(mode == ReplyMode::Off);
  CHECK(session.say({"CLIENT", "REPLY", "foo"}) == "-ERR syntax error\r\n");
  CHECK(mode == ReplyMode::Off);
}

TEST_CASE("local_commands: CLIENT PAUSE and UNPAUSE", "[proxy]") {
  LocalSession session;
  const LocalResult all = session.run({"CLIENT", "PAUSE", "100"});
  CHECK(all.action == LocalAction::ClientPause);
  CHECK(all.number == 100);
  CHECK_FALSE(all.flag);
  CHECK(all.reply == "+OK\r\n");
  CHECK(session.run({"CLIENT", "PAUSE", "1", "write"}).flag);
  CHECK_FALSE(session.run({"CLIENT", "PAUSE", "1", "ALL"}).flag);
  // It must be possible to add it to a time.
  CHECK(session.run({"CLIENT", "PAUSE", "9223372036854775807"}).number < 1'000'000'000'000);
  CHECK(session.say({"CLIENT", "PAUSE", "abc"}) ==
        "-ERR timeout is not an integer or out of range\r\n");
  CHECK(session.say({"CLIENT", "PAUSE", "-1"}) == "-ERR timeout is negative\r\n");
  CHECK(session.say({"CLIENT", "PAUSE", "abc", "foo"}) ==
        "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
  const LocalResult many = session.run({"CLIENT", "Pause", "1", "ALL", "X"});
  CHECK(many.action == LocalAction::Reply);
  CHECK(many.reply ==
        "-ERR unknown subcommand or wrong number of arguments for 'Pause'. Try CLIENT HELP.\r\n");
  const LocalResult end = session.run({"CLIENT", "UNPAUSE"});
  CHECK(end.action == LocalAction::ClientUnpause);
  CHECK(end.reply == "+OK\r\n");
}

TEST_CASE("local_commands: CLIENT UNBLOCK names a session and how it ends", "[proxy]") {
  LocalSession session;
  const LocalResult plain = session.run({"CLIENT", "UNBLOCK", "9"});
  CHECK(plain.action == LocalAction::ClientUnblock);
  CHECK(plain.number == 9);
  CHECK_FALSE(plain.flag);
  CHECK_FALSE(session.run({"CLIENT", "UNBLOCK", "9", "timeout"}).flag);
  CHECK(session.run({"CLIENT", "UNBLOCK", "9", "ERROR"}).flag);
  CHECK(session.say({"CLIENT", "UNBLOCK", "x"}) ==
        "-ERR value is not an integer or out of range\r\n");
  CHECK(session.say({"CLIENT", "UNBLOCK", "x", "foo"}) ==
        "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
}

TEST_CASE("local_commands: tracking is the pinned connection's, its absence is known", "[proxy]") {
  LocalSession session;
  CHECK(session.run({"CLIENT", "TRACKING", "ON"}).action == LocalAction::ToPinned);
  CHECK(session.say({"CLIENT", "GETREDIR"}) == ":-1\r\n");
  CHECK(session.say({"CLIENT", "CACHING", "YES"}) ==
        "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled\r\n");
  CHECK(session.say({"CLIENT", "TRACKINGINFO"}) ==
        "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n"
        "*0\r\n");
  session.state.version = resp::Version::Resp3;
  CHECK(session.say({"CLIENT", "TRACKINGINFO"}) ==
        "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n"
        "*0\r\n");
  session.state.tracking = true;
  for (const std::string_view subcommand : {"GETREDIR", "TRACKINGINFO"}) {
    CHECK(session.run({"CLIENT", subcommand}).action == LocalAction::ToPinned);
  }
  CHECK(session.run({"CLIENT", "CACHING", "YES"}).action == LocalAction::ToPinned);
}

TEST_CASE("local_commands: a line of CLIENT LIST is Redis's", "[proxy]") {
  LocalSession session;
  session.state.fd = 8;
  CHECK(session.say({"CLIENT", "INFO"}) ==
        "$251\r\nid=7 addr=127.0.0.1:43180 laddr=127.0.0.1:6379 fd=8 name= age=12 idle=3 flags=N "
        "db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 "
        "obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|info user=default redir=-1 resp=2\n\r\n");
  session.state.version = resp::Version::Resp3;
  CHECK(session.say({"CLIENT", "INFO"}).starts_with("=255\r\ntxt:id=7 "));
}

TEST_CASE("local_commands: a line of CLIENT LIST shows what the session is at", "[proxy]") {
  LocalSession session;
  SessionState& state = session.state;
  state.remote_address = state.local_address = "/run/redis.sock:0";
  state.name = "cart";
  state.library_name = "ioredis";
  state.in_multi = state.tracking = state.monitoring = state.blocked = true;
  state.no_evict = state.no_touch = true;
  state.queued_in_multi = 2;
  state.channels = 1;
  state.patterns = 2;
  state.shard_channels = 3;
  state.db = 4;
  state.output_bytes = 100;
  state.input_bytes = 20;
  state.last_command = "subscribe";
  std::string line;
  append_client_line(line, state, session.facts.now);
  CHECK(line ==
        "id=7 addr=/run/redis.sock:0 laddr=/run/redis.sock:0 fd=-1 name=cart age=12 idle=3 "
        "flags=OPxbtUeT db=4 sub=1 psub=2 ssub=3 multi=2 qbuf=20 qbuf-free=0 argv-mem=0 "
        "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=100 tot-mem=120 events=rw cmd=subscribe "
        "user=default redir=-1 resp=2 lib-name=ioredis lib-ver=\n");
}

TEST_CASE("local_commands: CLIENT LIST filters by type or by ids", "[proxy]") {
  LocalSession session;
  SessionState other;
  other.id = 9;
  other.channels = 1;
  const LocalResult all = session.run({"CLIENT", "LIST"});
  CHECK(all.action == LocalAction::ClientList);
  CHECK(all.filter.matches(session.state));
  CHECK(all.filter.matches(other));
  const ClientFilter pubsub = session.run({"CLIENT", "LIST", "TYPE", "PubSub"}).filter;
  CHECK(pubsub.matches(other));
  CHECK_FALSE(pubsub.matches(session.state));
  const ClientFilter replicas = session.run({"CLIENT", "LIST", "TYPE", "slave"}).filter;
  CHECK(replicas.type == "replica");
  CHECK_FALSE(replicas.matches(session.state));
  const ClientFilter ids = session.run({"CLIENT", "LIST", "ID", "7", "1"}).filter;
  CHECK(ids.matches(session.state));
  CHECK_FALSE(ids.matches(other));
  CHECK_FALSE(session.run({"CLIENT", "LIST", "ID", "-1"}).filter.matches(other));
}

TEST_CASE("local_commands: CLIENT LIST refuses as Redis does", "[proxy]") {
  LocalSession session;
  for (const auto& words :
       {std::vector<std::string_view>{"CLIENT", "LIST", "ID"},
        std::vector<std::string_view>{"CLIENT", "LIST", "TYPE"},
        std::vector<std::string_view>{"CLIENT", "LIST", "foo", "bar"},
        std::vector<std::string_view>{"CLIENT", "LIST", "TYPE", "normal", "ID", "1"}}) {
    CHECK(run_local(*command::find(words), words, session.state, session.facts).reply ==
          "-ERR syntax error\r\n");
  }
  CHECK(session.say({"CLIENT", "LIST", "TYPE", "foo"}) == "-ERR Unknown client type 'foo'\r\n");
  CHECK(session.say({"CLIENT", "LIST", "ID", "1", "TYPE"}) == "-ERR Invalid client ID\r\n");
}

TEST_CASE("local_commands: CLIENT KILL's old form is an address and may be the caller's",
          "[proxy]") {
  LocalSession session;
  const LocalResult result = session.run({"CLIENT", "KILL", "127.0.0.1:43180"});
  CHECK(result.action == LocalAction::ClientKill);
  CHECK(result.filter.old_form);
  CHECK(result.filter.self == 7);
  CHECK(result.filter.matches(session.state));
}

TEST_CASE("local_commands: CLIENT KILL's filters all have to fit", "[proxy]") {
  LocalSession session;
  SessionState other;
  other.id = 9;
  other.remote_address = "10.0.0.1:5";
  other.local_address = "127.0.0.1:6379";
  other.created = session.facts.now - std::chrono::seconds(100);
  const auto kills = [&](std::initializer_list<std::string_view> words) {
    const LocalResult result = session.run(words);
    REQUIRE(result.action == LocalAction::ClientKill);
    REQUIRE_FALSE(result.filter.old_form);
    return std::pair(result.filter.matches(session.state), result.filter.matches(other));
  };
  CHECK(kills({"CLIENT", "KILL", "LADDR", "127.0.0.1:6379"}) == std::pair(false, true));
  CHECK(kills({"CLIENT", "KILL", "LADDR", "127.0.0.1:6379", "SKIPME", "no"}) ==
        std::pair(true, true));
  CHECK(kills({"CLIENT", "KILL", "ADDR", "10.0.0.1:5", "ID", "9"}) == std::pair(false, true));
  CHECK(kills({"CLIENT", "KILL", "ADDR", "10.0.0.1:5", "ID", "8"}) == std::pair(false, false));
  CHECK(kills({"CLIENT", "KILL", "USER", "default", "TYPE", "normal"}) == std::pair(false, true));
  CHECK(kills({"CLIENT", "KILL", "TYPE", "master", "SKIPME", "no"}) == std::pair(false, false));
  CHECK(kills({"CLIENT", "KILL", "MAXAGE", "100", "SKIPME", "NO"}) == std::pair(false, true));
  CHECK(kills({"CLIENT", "KILL", "MAXAGE", "101", "SKIPME", "NO"}) == std::pair(false, false));
  CHECK(kills({"CLIENT", "KILL", "MAXAGE", "12", "SKIPME", "NO"}) == std::pair(true, true));
  CHECK(kills({"CLIENT", "KILL", "MAXAGE", "9223372036854775807", "SKIPME", "NO"}) ==
        std::pair(false, false));
}

TEST_CASE("local_commands: CLIENT KILL refuses as Redis does", "[proxy]") {
  LocalSession session;
  const std::vector<config::User> users{{"bob", "pw"}};
  for (const std::string_view id : {"abc", "0", "-3", "99999999999999999999"}) {
    CHECK(session.say({"CLIENT", "KILL", "ID", id}) ==
          "-ERR client-id should be greater than 0\r\n");
  }
  CHECK(session.say({"CLIENT", "KILL", "TYPE", "foo"}) == "-ERR Unknown client type 'foo'\r\n");
  CHECK(session.say({"CLIENT", "KILL", "USER", "bob"}) == "-ERR No such user 'bob'\r\n");
  session.facts.users = &users;
  CHECK(session.run({"CLIENT", "KILL", "USER", "bob"}).action == LocalAction::ClientKill);
  CHECK(session.say({"CLIENT", "KILL", "SKIPME", "foo"}) == "-ERR syntax error\r\n");
  CHECK(session.say({"CLIENT", "KILL", "FOO", "bar"}) == "-ERR syntax error\r\n");
  CHECK(session.say({"CLIENT", "KILL", "ID", "1", "ADDR"}) == "-ERR syntax error\r\n");
  CHECK(session.say({"CLIENT", "KILL", "MAXAGE", "0"}) ==
        "-ERR maxage should be greater than 0\r\n");
  CHECK(session.say({"CLIENT", "KILL"}) ==
        "-ERR wrong number of arguments for 'client|kill' command\r\n");
}

}  // namespace pannier::proxy
