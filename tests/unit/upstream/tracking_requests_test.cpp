#include "tracking_requests.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pannier::upstream;
using Strings = std::vector<std::string>;

TEST_CASE("tracking_requests: no prefix covers another one", "[upstream]") {
  const auto registered = [](Strings prefixes) {
    return prefixes_to_register({std::move(prefixes), {}});
  };
  REQUIRE(registered({}) == Strings{"pannier:canary"});
  REQUIRE(registered({"b:", "a:"}) == Strings{"a:", "b:", "pannier:canary"});
  REQUIRE(registered({"a:", "foo:", "foo:bar:"}) == Strings{"a:", "foo:", "pannier:canary"});
  REQUIRE(registered({"a:", "a:", "a"}) == Strings{"a", "pannier:canary"});
  REQUIRE(registered({"pan"}) == Strings{"pan"});
  REQUIRE(registered({"pannier:canary:x", "q"}) == Strings{"pannier:canary", "q"});
  REQUIRE(registered({"", "a:"}) == Strings{""});
}

TEST_CASE("tracking_requests: CLIENT TRACKING, never with NOLOOP", "[upstream]") {
  REQUIRE(track_request({"a:"}, 0) ==
          "*6\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$5\r\nBCAST\r\n$6\r\nPREFIX\r\n"
          "$2\r\na:\r\n");
  REQUIRE(track_request({"a:", ""}, 42) ==
          "*10\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$8\r\nREDIRECT\r\n$2\r\n42\r\n"
          "$5\r\nBCAST\r\n$6\r\nPREFIX\r\n$2\r\na:\r\n$6\r\nPREFIX\r\n$0\r\n\r\n");
}

TEST_CASE("tracking_requests: a field of INFO", "[upstream]") {
  const std::string info = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nlast:1";
  REQUIRE(info_field(info, "run_id") == "abc");
  REQUIRE(info_field(info, "last") == "1");
  REQUIRE(info_field(info, "run").empty());
  REQUIRE(info_field("", "run_id").empty());
}

TEST_CASE("tracking_requests: the text of a reply", "[upstream]") {
  REQUIRE(text_of_reply("$3\r\nabc\r\n") == "abc");
  REQUIRE(text_of_reply("=7\r\ntxt:abc\r\n") == "abc");
  REQUIRE(text_of_reply("+OK\r\n") == "+OK");
  REQUIRE(text_of_reply("$-1\r\n").empty());
  REQUIRE(text_of_reply("_\r\n") == "_");
  REQUIRE(text_of_reply("").empty());
}

TEST_CASE("tracking_requests: errors that pass are no refusals", "[upstream]") {
  REQUIRE(is_passing("-LOADING Redis is loading the dataset in memory\r\n"));
  REQUIRE(is_passing("-READONLY You can't write against a read only replica.\r\n"));
  REQUIRE(is_passing("-ERR max number of clients reached\r\n"));
  REQUIRE_FALSE(is_passing("-NOPERM this user has no permissions\r\n"));
  REQUIRE_FALSE(is_passing("-ERR unknown command 'HELLO'\r\n"));
  REQUIRE_FALSE(is_passing("+OK\r\n"));
}
