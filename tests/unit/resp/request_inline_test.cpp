#include "inline_splitter.hpp"
#include "resp_feeding.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace std::string_literals;
using pannier::resp::Limits;
using pannier::test::RequestFeed;
using Events = std::vector<std::string>;

namespace {

std::string split(const std::string& line) {
  const pannier::test::Moved moved(line);
  std::vector<std::string_view> arguments;
  std::vector<std::unique_ptr<char[]>> texts;
  if (!pannier::resp::split_inline(moved.view(), arguments, texts)) {
    return "unbalanced";
  }
  return pannier::test::shown(arguments);
}

}  // namespace

TEST_CASE("inline_splitter: blanks between words", "[resp]") {
  REQUIRE(split("GET key") == "[GET][key]");
  REQUIRE(split("  GET \t key  ") == "[GET][key]");
  REQUIRE(split("a\rb") == "[a][b]");
  REQUIRE(split("").empty());
  REQUIRE(split(" \t\v\f\r").empty());
}

TEST_CASE("inline_splitter: vertical tabs and form feeds are skipped before words only", "[resp]") {
  REQUIRE(split("\va \fb") == "[a][b]");
  REQUIRE(split("a\vb\fc") == "[a\vb\fc]");
}

TEST_CASE("inline_splitter: double quotes and their escapes", "[resp]") {
  REQUIRE(split("SET k \"a b\"") == "[SET][k][a b]");
  REQUIRE(split("\"\\n\\r\\t\\b\\a\"") == "[\n\r\t\b\a]");
  REQUIRE(split("\"\\x41\\x0a\\xFf\\x00\"") == "[A\n\xff\0]"s);
  REQUIRE(split("\"\\q\\\\\\\"\"") == "[q\\\"]");
  REQUIRE(split("\"\\xZZ\\x4\"") == "[xZZx4]");
  REQUIRE(split("\"it's\"") == "[it's]");
}

TEST_CASE("inline_splitter: single quotes know one escape", "[resp]") {
  REQUIRE(split("'a b' 'it\\'s\\n'") == "[a b][it's\\n]");
  REQUIRE(split("'a\"b'") == "[a\"b]");
  REQUIRE(split("'\\\\'") == "unbalanced");
}

TEST_CASE("inline_splitter: empty quoted words are words", "[resp]") {
  REQUIRE(split("\"\" '' x") == "[][][x]");
}

TEST_CASE("inline_splitter: a quote may open inside a word but must end it", "[resp]") {
  REQUIRE(split("a\"b c\" d") == "[ab c][d]");
  REQUIRE(split("a'b'") == "[ab]");
  REQUIRE(split("\"a\"\vb") == "[a][b]");
  REQUIRE(split("\"a\"b") == "unbalanced");
  REQUIRE(split("'a'b") == "unbalanced");
  REQUIRE(split("'a'\"b\"") == "unbalanced");
}

TEST_CASE("inline_splitter: unbalanced quotes", "[resp]") {
  for (const auto* line : {"\"", "'", "a\"", "\"a", "'a", "\"a\\\"", "'a\\'", "\"a\\", "'a\\"}) {
    CAPTURE(line);
    REQUIRE(split(line) == "unbalanced");
  }
}

TEST_CASE("inline_splitter: backslashes outside quotes and NUL are bytes", "[resp]") {
  REQUIRE(split("a\\n b\0c"s) == "[a\\n][b\0c]"s);
}

TEST_CASE("request_parser: inline commands split at every byte", "[resp]") {
  const Limits limits;
  const std::string input = "PING\n SET k \"a\\r\\nb\" 'c d'\r\n\r\nECHO x\r\r\nECHO \"y z\"\r\n";
  const Events expected{"inline [PING] <PING\n",
                        "inline [SET][k][a\r\nb][c d] < SET k \"a\\r\\nb\" 'c d'\r\n",
                        "inline [ECHO][x] <ECHO x\r\r\n",
                        "inline [ECHO][y z] <ECHO \"y z\"\r\n"};
  for (const auto by : {RequestFeed::By::Batch, RequestFeed::By::Parse}) {
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
      RequestFeed feed(limits, by);
      feed.feed(std::string_view(input).substr(0, cut));
      feed.feed(std::string_view(input).substr(cut));
      REQUIRE(feed.events() == expected);
    }
  }
}

TEST_CASE("request_parser: an inline command encoded anew", "[resp]") {
  const Limits limits;
  pannier::resp::RequestParser parser(limits);
  REQUIRE(parser.parse("SET k \"a b\"\n") == pannier::resp::RequestParser::Status::Complete);
  REQUIRE(parser.request().is_inline);
  std::string out;
  pannier::resp::append_request(out, parser.request().arguments);
  REQUIRE(out == "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\n");
}
