#include "monitor.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace pannier::proxy {

namespace {

std::string line(std::initializer_list<std::string_view> words,
                 std::string_view address = "127.0.0.1:60866") {
  const std::vector<std::string_view> arguments(words);
  std::string out;
  append_monitor_line(out,
                      {std::chrono::microseconds(1339518083107412), 0, address},
                      *command::find(arguments),
                      arguments);
  return out;
}

}  // namespace

TEST_CASE("monitor: names and keys are shown, values are not", "[proxy]") {
  CHECK(line({"SET", "k", "secret", "EX", "10"}) ==
        "+1339518083.107412 [0 127.0.0.1:60866] \"SET\" \"k\" \"(6 bytes)\" \"(2 bytes)\" "
        "\"(2 bytes)\"\r\n");
  CHECK(line({"mset", "a", "1", "b", "22"})
            .ends_with("] \"mset\" \"a\" \"(1 bytes)\" \"b\" \"(2 bytes)\"\r\n"));
  CHECK(line({"client", "ID"}).ends_with("] \"client\" \"ID\"\r\n"));
  CHECK(line({"EVAL", "return 1", "1", "k", "v"})
            .ends_with("] \"EVAL\" \"(8 bytes)\" \"(1 bytes)\" \"k\" \"(1 bytes)\"\r\n"));
  CHECK(line({"PING"}).ends_with("] \"PING\"\r\n"));
}

TEST_CASE("monitor: a value that equals its key is not shown", "[proxy]") {
  const std::string_view same = "token";
  CHECK(line({"SET", same, same}).ends_with("] \"SET\" \"token\" \"(5 bytes)\"\r\n"));
  CHECK(line({"SET", "", "v"}).ends_with("] \"SET\" \"\" \"(1 bytes)\"\r\n"));
}

TEST_CASE("monitor: an unknown subcommand and misplaced keys show nothing", "[proxy]") {
  CHECK(line({"CLIENT", "secret"}).ends_with("] \"CLIENT\" \"(6 bytes)\"\r\n"));
  CHECK(line({"EVAL", "return 1", "x", "k"})
            .ends_with("] \"EVAL\" \"(8 bytes)\" \"(1 bytes)\" \"(1 bytes)\"\r\n"));
}

TEST_CASE("monitor: keys are escaped as sdscatrepr does", "[proxy]") {
  std::string out;
  append_quoted(out, std::string_view("k\0\n\r\t\a\b\"\\\x7f\xff ~", 13));
  CHECK(out == R"("k\x00\n\r\t\a\b\"\\\x7f\xff ~")");
}

TEST_CASE("monitor: a Unix socket is named by its path", "[proxy]") {
  CHECK(line({"PING"}, "/run/r.sock:0") == "+1339518083.107412 [0 unix:/run/r.sock] \"PING\"\r\n");
}

TEST_CASE("monitor: secrets and administration are left out", "[proxy]") {
  for (const std::string_view name :
       {"auth", "hello", "config|get", "client|list", "acl|setuser"}) {
    CHECK_FALSE(is_monitored(*command::find(name)));
  }
  for (const std::string_view name : {"get", "eval", "exec", "client|id", "info"}) {
    CHECK(is_monitored(*command::find(name)));
  }
}

}  // namespace pannier::proxy
