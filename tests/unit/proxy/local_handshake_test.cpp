#include "local_session.hpp"

#include <catch2/catch.hpp>

// Expected bytes are redis-server 7.0.15's.
namespace pannier::proxy {

namespace {

const std::string kWrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const std::string kBadName =
    "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
const std::vector<config::User> kUsers{{"bob", "pw"}, {"alice", "secret"}};

std::string greeting(std::string_view head, std::string_view proto) {
  std::string out(head);
  out += "\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:";
  out += proto;
  out += "\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
  out += "$7\r\nmodules\r\n*0\r\n";
  return out;
}

}  // namespace

TEST_CASE("local_commands: HELLO answers in the version that it chose", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"HELLO"}) == greeting("*14", "2"));
  CHECK(session.say({"hello", "3"}) == greeting("%7", "3"));
  CHECK(session.say({"HELLO"}) == greeting("%7", "3"));
  CHECK(session.say({"PING"}) == "+PONG\r\n");
  CHECK(session.say({"CLIENT", "GETNAME"}) == "_\r\n");
  CHECK(session.say({"HELLO", "2"}) == greeting("*14", "2"));
  CHECK(session.say({"CLIENT", "GETNAME"}) == "$-1\r\n");
}

TEST_CASE("local_commands: HELLO refuses what is no version and keeps the one it had", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"HELLO", "4"}) == "-NOPROTO unsupported protocol version\r\n");
  CHECK(session.say({"HELLO", "1"}) == "-NOPROTO unsupported protocol version\r\n");
  for (const std::string_view text : {"abc", "", "3.0", "99999999999999999999"}) {
    CHECK(session.say({"HELLO", text}) ==
          "-ERR Protocol version is not an integer or out of range\r\n");
  }
  CHECK(session.state.version == resp::Version::Resp2);
}

TEST_CASE("local_commands: HELLO's options take effect one by one", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"HELLO", "3", "SETNAME"}) ==
        "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
  CHECK(session.say({"HELLO", "3", "AUTH", "x"}) == "-ERR Syntax error in HELLO option 'AUTH'\r\n");
  CHECK(session.say({"HELLO", "3", "x\r\ny"}) == "-ERR Syntax error in HELLO option 'x  y'\r\n");
  CHECK(session.say({"HELLO", "3", "SETNAME", "a b"}) == kBadName);
  CHECK(session.state.version == resp::Version::Resp2);
  CHECK(session.say({"HELLO", "3", "setname", "abc", "FOO"}) ==
        "-ERR Syntax error in HELLO option 'FOO'\r\n");
  CHECK(session.state.name == "abc");
  CHECK(session.say({"HELLO", "3", "SETNAME", ""}) == greeting("%7", "3"));
  CHECK(session.state.name.empty());
}

TEST_CASE("local_commands: without users any secret is taken, and said to be ignored", "[proxy]") {
  LocalSession session;
  for (const auto& words : {std::vector<std::string_view>{"AUTH", "secret"},
                            std::vector<std::string_view>{"AUTH", "alice", "secret"}}) {
    const LocalResult result =
        run_local(*command::find(words), words, session.state, session.facts);
    CHECK(result.reply == "+OK\r\n");
    CHECK(result.flag);
  }
  const LocalResult hello = session.run({"HELLO", "3", "AUTH", "alice", "secret"});
  CHECK(hello.reply == greeting("%7", "3"));
  CHECK(hello.flag);
  CHECK(session.state.user == "default");
  CHECK_FALSE(session.run({"HELLO", "3"}).flag);
}

TEST_CASE("local_commands: `auth: reject` refuses as a server without a password", "[proxy]") {
  LocalSession session;
  session.facts.auth = config::AuthPolicy::Reject;
  CHECK(session.say({"AUTH", "a"}) ==
        "-ERR AUTH <password> called without any password configured for the default user. Are "
        "you sure your configuration is correct?\r\n");
  CHECK(session.say({"AUTH", "bob", "b"}) == kWrongPass);
  CHECK(session.say({"AUTH", "default", "b"}) == "+OK\r\n");
  CHECK(session.say({"AUTH", "a", "b", "c"}) == "-ERR syntax error\r\n");
  CHECK(session.say({"AUTH"}) == "-ERR wrong number of arguments for 'auth' command\r\n");
  CHECK(session.say({"HELLO", "3", "AUTH", "bob", "x", "FOO"}) == kWrongPass);
  CHECK(session.say({"HELLO", "3", "AUTH", "default", "x"}) == greeting("%7", "3"));
}

TEST_CASE("local_commands: with users only theirs are taken", "[proxy]") {
  LocalSession session;
  session.facts.users = &kUsers;
  session.state.authenticated = false;
  const std::string no_auth =
      "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
      "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
      "protocol version at the same time\r\n";
  CHECK(session.say({"HELLO", "3"}) == no_auth);
  CHECK(session.say({"HELLO", "4"}) == "-NOPROTO unsupported protocol version\r\n");
  for (const std::string_view secret : {"", "p", "pW", "pw2", "pwpw", "secret"}) {
    CHECK(session.say({"AUTH", "bob", secret}) == kWrongPass);
  }
  CHECK(session.say({"AUTH", "pw"}) == kWrongPass);
  CHECK(session.say({"AUTH", "BOB", "pw"}) == kWrongPass);
  CHECK_FALSE(session.state.authenticated);

  CHECK(session.say({"HELLO", "3", "AUTH", "bob", "pw", "SETNAME", "a b"}) == kBadName);
  CHECK(session.state.authenticated);  // as Redis: the option before the bad one counts
  CHECK(session.say({"ACL", "WHOAMI"}) == "$3\r\nbob\r\n");
  CHECK(session.say({"AUTH", "bob", "bad"}) == kWrongPass);
  CHECK(session.state.authenticated);
  const LocalResult result = session.run({"AUTH", "alice", "secret"});
  CHECK(result.reply == "+OK\r\n");
  CHECK_FALSE(result.flag);
  CHECK(session.state.user == "alice");
}

TEST_CASE("local_commands: without authentication four commands are allowed", "[proxy]") {
  SessionState state;
  state.authenticated = false;
  for (const std::string_view name : {"hello", "auth", "quit", "reset"}) {
    CHECK_FALSE(needs_auth(*command::find(name), state));
  }
  for (const std::string_view name : {"get", "ping", "command", "client|id", "info", "select"}) {
    CHECK(needs_auth(*command::find(name), state));
  }
  state.authenticated = true;
  CHECK_FALSE(needs_auth(*command::find(std::string_view("get")), state));
}

TEST_CASE("local_commands: SELECT checks what it can and leaves the rest to the server",
          "[proxy]") {
  LocalSession session;
  const LocalResult good = session.run({"SELECT", "3"});
  CHECK(good.action == LocalAction::Select);
  CHECK(good.number == 3);
  CHECK(good.reply == "+OK\r\n");
  const LocalResult far = session.run({"SELECT", "16"});
  CHECK(far.action == LocalAction::Select);
  CHECK(far.number == 16);
  CHECK(far.reply == "-ERR DB index is out of range\r\n");
  CHECK(session.state.db == 0);

  const LocalResult negative = session.run({"SELECT", "-1"});
  CHECK(negative.action == LocalAction::Reply);
  CHECK(negative.reply == "-ERR DB index is out of range\r\n");
  CHECK(session.say({"SELECT", "99999999999"}) ==
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
  for (const std::string_view text : {"abc", "", " 1", "+1", "00", "-0", "1.0"}) {
    CHECK(session.say({"SELECT", text}) == "-ERR value is not an integer or out of range\r\n");
  }
  CHECK(session.say({"SELECT"}) == "-ERR wrong number of arguments for 'select' command\r\n");
}

TEST_CASE("local_commands: PING and ECHO", "[proxy]") {
  LocalSession session;
  CHECK(session.say({"PING"}) == "+PONG\r\n");
  CHECK(session.say({"PING", "a"}) == "$1\r\na\r\n");
  CHECK(session.say({"PING", ""}) == "$0\r\n\r\n");
  CHECK(session.say({"PING", "a", "b"}) == "-ERR wrong number of arguments for 'ping' command\r\n");
  CHECK(session.say({"ECHO", "a\r\nb"}) == "$4\r\na\r\nb\r\n");
  CHECK(session.say({"ECHO"}) == "-ERR wrong number of arguments for 'echo' command\r\n");
}

TEST_CASE("local_commands: PING of a RESP2 subscriber looks like a message", "[proxy]") {
  LocalSession session;
  session.state.channels = 1;
  CHECK(session.say({"PING"}) == "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  CHECK(session.say({"PING", "x"}) == "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
  session.state.version = resp::Version::Resp3;
  CHECK(session.say({"PING"}) == "+PONG\r\n");
}

TEST_CASE("local_commands: QUIT answers and ends, whatever its arguments", "[proxy]") {
  LocalSession session;
  CHECK(session.run({"QUIT"}).action == LocalAction::Quit);
  CHECK(session.run({"QUIT", "now"}).action == LocalAction::Quit);
  CHECK(session.say({"QUIT"}) == "+OK\r\n");
}

TEST_CASE("local_commands: RESET forgets what Redis forgets", "[proxy]") {
  LocalSession session;
  session.state.name = "me";
  session.state.db = 3;
  session.state.version = resp::Version::Resp3;
  session.state.reply_mode = ReplyMode::Off;
  session.state.no_evict = session.state.no_touch = true;
  session.state.library_name = "redis-py";
  const LocalResult result = session.run({"RESET"});
  CHECK(result.action == LocalAction::Reset);
  CHECK(result.reply == "+RESET\r\n");
  CHECK(session.state.name.empty());
  CHECK(session.state.db == 0);
  CHECK(session.state.version == resp::Version::Resp2);
  CHECK(session.state.reply_mode == ReplyMode::On);
  CHECK(session.state.no_evict);
  CHECK_FALSE(session.state.no_touch);
  CHECK(session.state.library_name == "redis-py");
  CHECK(session.state.authenticated);
  CHECK(session.say({"RESET", "a"}) == "-ERR wrong number of arguments for 'reset' command\r\n");
}

TEST_CASE("local_commands: RESET drops authentication, and a SKIP before it stays", "[proxy]") {
  LocalSession session;
  session.facts.users = &kUsers;
  session.state.user = "bob";
  session.state.reply_mode = ReplyMode::Skip;
  static_cast<void>(session.run({"RESET"}));
  CHECK_FALSE(session.state.authenticated);
  CHECK(session.state.user == "default");
  CHECK(session.state.reply_mode == ReplyMode::Skip);
}

}  // namespace pannier::proxy
