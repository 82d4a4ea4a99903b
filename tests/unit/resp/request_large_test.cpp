#include "resp_feeding.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace std::string_literals;
using pannier::resp::Limits;
using pannier::resp::parse_batch;
using pannier::resp::RequestBatch;
using pannier::resp::RequestParser;
using pannier::test::RequestFeed;
using Status = RequestParser::Status;
using Events = std::vector<std::string>;

namespace {

Limits small_limits() {
  Limits limits;
  limits.large_request = 40;
  limits.max_bulk = 1000;
  limits.max_inline = 50;
  return limits;
}

const Limits kSmall = small_limits();
const std::string kPing = "*1\r\n$4\r\nPING\r\n";

std::string bulk(const std::string& bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
}

Events checked(const std::string& input) {
  Events whole;
  for (const auto by : {RequestFeed::By::Batch, RequestFeed::By::Parse}) {
    RequestFeed once(kSmall, by);
    once.feed(input);
    REQUIRE((whole.empty() || once.events() == whole));
    whole = once.events();
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
      RequestFeed feed(kSmall, by);
      feed.feed(std::string_view(input).substr(0, cut));
      feed.feed(std::string_view(input).substr(cut));
      CAPTURE(cut);
      REQUIRE(feed.events() == whole);
    }
    RequestFeed bytewise(kSmall, by);
    for (const char c : input) {
      bytewise.feed({&c, 1});
    }
    REQUIRE(bytewise.events() == whole);
  }
  return whole;
}

}  // namespace

TEST_CASE("request_parser: a frame at the limit is small, one byte more is large", "[resp]") {
  const auto fits = "*2\r\n$3\r\nGET\r\n" + bulk(std::string(20, 'k'));
  REQUIRE(fits.size() == 40);
  REQUIRE(checked(fits) == Events{"array [GET][" + std::string(20, 'k') + "] <" + fits});
  const auto large = "*2\r\n$3\r\nGET\r\n" + bulk(std::string(21, 'k'));
  REQUIRE(checked(large) == Events{"large 2 [GET]", "streamed <" + large});
}

TEST_CASE("request_parser: a large request between small ones, at every split", "[resp]") {
  const auto set =
      "*5\r\n$3\r\nSET\r\n" + bulk("k") + bulk(std::string(100, 'v')) + bulk("EX") + bulk("");
  REQUIRE(checked(kPing + "\r\n" + set + kPing) == Events{"array [PING] <" + kPing,
                                                          "large 5 [SET][k]",
                                                          "streamed <" + set,
                                                          "array [PING] <" + kPing});
}

TEST_CASE("request_parser: large by its first argument", "[resp]") {
  const auto request = "*1\r\n" + bulk(std::string(100, 'x'));
  REQUIRE(checked(request + kPing) ==
          Events{"large 1 ", "streamed <" + request, "array [PING] <" + kPing});
}

TEST_CASE("request_parser: large by many small arguments", "[resp]") {
  std::string request = "*20\r\n";
  for (int i = 0; i < 20; ++i) {
    request += bulk("a");
  }
  REQUIRE(checked(request + kPing) ==
          Events{"large 20 [a][a][a][a][a]", "streamed <" + request, "array [PING] <" + kPing});
}

TEST_CASE("request_parser: large is known from the header, before the bytes come", "[resp]") {
  const Limits limits;
  RequestParser parser(limits);
  const std::string input = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n";
  REQUIRE(parser.parse(input) == Status::Large);
  REQUIRE(parser.announced_arguments() == 3);
  REQUIRE(parser.head().size() == 2);
  REQUIRE(parser.head()[1] == "k");
  REQUIRE(parser.stream(input) == Status::NeedMore);
  REQUIRE(parser.consumed() == input.size());
  const std::string part(1 << 20, 'v');
  for (int i = 0; i < 512; ++i) {
    REQUIRE(parser.stream(part) == Status::NeedMore);
    REQUIRE(parser.consumed() == part.size());
  }
  REQUIRE(parser.stream("\r\nPING") == Status::Complete);
  REQUIRE(parser.consumed() == 2);
  REQUIRE(parser.parse(kPing) == Status::Complete);
}

TEST_CASE("request_parser: a batch ends before a large request and tells where it starts",
          "[resp]") {
  RequestParser parser(kSmall);
  RequestBatch batch;
  const auto large = "*2\r\n$3\r\nGET\r\n" + bulk(std::string(50, 'k'));
  const auto input = kPing + "\r\n" + large + kPing;
  REQUIRE(parse_batch(parser, input, batch) == Status::Large);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch[0].arguments[0] == "PING");
  REQUIRE(batch.consumed() == kPing.size() + 2);
  REQUIRE(parser.head().size() == 1);
  REQUIRE(parser.head()[0] == "GET");
  REQUIRE(parser.announced_arguments() == 2);
  REQUIRE(parser.stream(std::string_view(input).substr(batch.consumed())) == Status::Complete);
  REQUIRE(parser.consumed() == large.size());
}

TEST_CASE("request_parser: errors while streaming have Redis's texts", "[resp]") {
  const auto begin = "*9\r\n$3\r\nSET\r\n" + bulk(std::string(50, 'k'));
  const std::string ones(50, '1');
  const std::vector<std::pair<std::string, std::string>> cases{
      {"x\r", "expected '$', got 'x'"},
      {"\r", "expected '$', got ' '"},
      {"$\r", "invalid bulk length"},
      {"$-1\r", "invalid bulk length"},
      {"$01\r", "invalid bulk length"},
      {"$1x\r", "invalid bulk length"},
      {"$1001\r", "invalid bulk length"},
      {"$99999999999999999999999999\r", "invalid bulk length"},
      {"$" + ones, "too big bulk count string"},
      {"x" + ones, "too big bulk count string"},
  };
  for (const auto& [rest, text] : cases) {
    CAPTURE(rest);
    // One byte after CR, because only then a header is looked at outside of streaming.
    REQUIRE(checked(begin + rest + "\n") ==
            Events{"large 9 [SET]", "error ERR Protocol error: " + text});
    REQUIRE(checked(begin + bulk("1") + rest + "\n") ==
            Events{"large 9 [SET]", "error ERR Protocol error: " + text});
  }
}

TEST_CASE("request_parser: streaming skips line ends as Redis does", "[resp]") {
  const auto request = "*3\r\n$3\r\nSET\r\n$50\r\n" + std::string(50, 'k') + "xy$3\rzabc!!";
  REQUIRE(checked(request + kPing) ==
          Events{"large 3 [SET]", "streamed <" + request, "array [PING] <" + kPing});
}

TEST_CASE("request_parser: large HTTP is closed without a word", "[resp]") {
  REQUIRE(checked("*2\r\n$4\r\nPOST\r\n" + bulk(std::string(50, 'k'))) == Events{"error "});
}

TEST_CASE("request_parser: an inline command is never large", "[resp]") {
  const std::string line(48, 'a');
  REQUIRE(checked(line + "\r\n") == Events{"inline [" + line + "] <" + line + "\r\n"});
}
