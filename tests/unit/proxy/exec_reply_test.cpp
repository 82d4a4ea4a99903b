#include "exec_reply.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

using pannier::proxy::ExecReply;
using pannier::proxy::map_exec_part;

namespace {

// Of five commands the second is a SETNX, the third and the fifth are Pannier's own.
ExecReply sample() {
  ExecReply reply;
  reply.transaction = {5, {{1, false}, {2, true}, {4, true}}};
  return reply;
}

std::string map_in_two(std::string_view whole, std::size_t split) {
  ExecReply reply = sample();
  std::string out;
  map_exec_part(reply, whole.substr(0, split), out);
  map_exec_part(reply, whole.substr(split), out);
  return out;
}

}  // namespace

TEST_CASE("exec reply: what is Pannier's own goes, wherever its parts end", "[proxy]") {
  const std::string whole = "*5\r\n$3\r\n*5\n\r\n$-1\r\n:1\r\n%1\r\n+k\r\n*1\r\n_\r\n-ERR no\r\n";
  for (std::size_t split = 0; split <= whole.size(); ++split) {
    CAPTURE(split);
    CHECK(map_in_two(whole, split) == "*3\r\n$3\r\n*5\n\r\n:0\r\n%1\r\n+k\r\n*1\r\n_\r\n");
  }
  ExecReply reply = sample();
  std::string out;
  for (const char c : whole) {
    map_exec_part(reply, std::string_view(&c, 1), out);
  }
  CHECK(out == "*3\r\n$3\r\n*5\n\r\n:0\r\n%1\r\n+k\r\n*1\r\n_\r\n");
}

TEST_CASE("exec reply: SETNX is answered as SETNX", "[proxy]") {
  CHECK(map_in_two("*5\r\n+a\r\n+OK\r\n:1\r\n+b\r\n:1\r\n", 11) == "*3\r\n+a\r\n:1\r\n+b\r\n");
  CHECK(map_in_two("*5\r\n+a\r\n-OOM x\r\n:1\r\n+b\r\n:1\r\n", 11) ==
        "*3\r\n+a\r\n-OOM x\r\n+b\r\n");
}

TEST_CASE("exec reply: a conflict and an error stay as they are", "[proxy]") {
  for (const std::string_view whole :
       {"*-1\r\n", "_\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n"}) {
    for (std::size_t split = 0; split <= whole.size(); ++split) {
      CHECK(map_in_two(whole, split) == whole);
    }
  }
}

TEST_CASE("exec reply: another number of elements is an error", "[proxy]") {
  const std::string out = map_in_two("*4\r\n+a\r\n+b\r\n+c\r\n+d\r\n", 7);
  CHECK(out.starts_with("-UPSTREAM EXEC answered another number"));
  CHECK(out.find("\r\n") == out.size() - 2);
}
