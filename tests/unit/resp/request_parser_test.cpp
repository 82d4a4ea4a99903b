#include "pannier/resp/request_parser.hpp"

#include "pannier/resp/request_batch.hpp"

#include "resp_feeding.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
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

const Limits kLimits;

Events events_of(std::string_view input,
                 const Limits& limits = kLimits,
                 RequestFeed::By by = RequestFeed::By::Batch) {
  RequestFeed feed(limits, by);
  feed.feed(input);
  return feed.events();
}

// What whole feeding gives; every other way of feeding must give the same.
Events checked(const std::string& input, const Limits& limits = kLimits) {
  const Events whole = events_of(input, limits);
  REQUIRE(events_of(input, limits, RequestFeed::By::Parse) == whole);
  for (const auto by : {RequestFeed::By::Batch, RequestFeed::By::Parse}) {
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
      RequestFeed feed(limits, by);
      feed.feed(std::string_view(input).substr(0, cut));
      feed.feed(std::string_view(input).substr(cut));
      CAPTURE(cut);
      REQUIRE(feed.events() == whole);
    }
    RequestFeed bytewise(limits, by);
    for (const char c : input) {
      bytewise.feed({&c, 1});
    }
    REQUIRE(bytewise.events() == whole);
  }
  return whole;
}

std::string protocol_error(std::string_view text) {
  return "error ERR Protocol error: " + std::string(text);
}

const std::string kGet = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
const std::string kPing = "*1\r\n$4\r\nPING\r\n";

}  // namespace

TEST_CASE("request_parser: an idle session costs the parser alone", "[resp]") {
  static_assert(sizeof(RequestParser) <= 160);
  RequestParser parser(kLimits);
  REQUIRE(parser.parse("") == Status::NeedMore);
}

TEST_CASE("request_parser: an array of bulks", "[resp]") {
  REQUIRE(checked(kGet) == Events{"array [GET][key] <" + kGet});
}

TEST_CASE("request_parser: empty and binary arguments", "[resp]") {
  const auto set = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$7\r\na\0\r\n\xff$2\r\n"s;
  REQUIRE(checked(set) == Events{"array [SET][][a\0\r\n\xff$2] <"s + set});
  const auto nothing = "*1\r\n$0\r\n\r\n"s;
  REQUIRE(checked(nothing) == Events{"array [] <" + nothing});
}

TEST_CASE("request_parser: several requests in one input, split at every byte", "[resp]") {
  const auto input = kGet + "PING\r\n" + kPing + "\r\n*0\r\n*-1\r\n" + kGet;
  REQUIRE(checked(input) == Events{"array [GET][key] <" + kGet,
                                   "inline [PING] <PING\r\n",
                                   "array [PING] <" + kPing,
                                   "array [GET][key] <" + kGet});
}

TEST_CASE("request_parser: empty requests are told and skipped", "[resp]") {
  for (const auto& input :
       {"\r\n"s, "\n"s, "  \t\r\n"s, "*0\r\n"s, "*-1\r\n"s, "*-9223372036854775808\r\n"s}) {
    CAPTURE(input);
    RequestParser parser(kLimits);
    REQUIRE(parser.parse(input + "rest") == Status::Empty);
    REQUIRE(parser.consumed() == input.size());
    REQUIRE(checked(input + kPing) == Events{"array [PING] <" + kPing});
  }
}

TEST_CASE("request_parser: errors have Redis's texts", "[resp]") {
  // Taken from redis-server 7.0.15.
  const std::vector<std::pair<std::string, std::string>> cases{
      {"*abc\r\n", "invalid multibulk length"},
      {"*\r\n", "invalid multibulk length"},
      {"*+1\r\n", "invalid multibulk length"},
      {"*01\r\n", "invalid multibulk length"},
      {"* 1\r\n", "invalid multibulk length"},
      {"*1 \r\n", "invalid multibulk length"},
      {"*-0\r\n", "invalid multibulk length"},
      {"*1\n$4\r\n", "invalid multibulk length"},
      {"*2147483648\r\n", "invalid multibulk length"},
      {"*99999999999999999999\r\n", "invalid multibulk length"},
      {"*-9223372036854775809\r\n", "invalid multibulk length"},
      {"*1\r\n$\r\n", "invalid bulk length"},
      {"*1\r\n$-1\r\n", "invalid bulk length"},
      {"*1\r\n$-0\r\n", "invalid bulk length"},
      {"*1\r\n$abc\r\n", "invalid bulk length"},
      {"*1\r\n$4 \r\n", "invalid bulk length"},
      {"*1\r\n$04\r\n", "invalid bulk length"},
      {"*1\r\n$+4\r\n", "invalid bulk length"},
      {"*1\r\n$536870913\r\n", "invalid bulk length"},
      {"*1\r\n$9223372036854775808\r\n", "invalid bulk length"},
      {"*1\r\n$4\nPING\r\n", "invalid bulk length"},
      {"*1\r\nx\r\n", "expected '$', got 'x'"},
      {"*1\r\n*1\r\n", "expected '$', got '*'"},
      {"*1\r\n\xff\r\n", "expected '$', got '\xff'"},
      {"*1\r\n\r\n", "expected '$', got ' '"},
      {"*1\r\n\n\r\n", "expected '$', got ' '"},
      {"*3\r\n$4\r\nECHO\r\n$1\r\na\r\n*2\r\n", "expected '$', got '*'"},
      {"*2147483647\r\n$4\r\nPING\r\nx\r\n", "expected '$', got 'x'"},
      {"GET \"a\r\n", "unbalanced quotes in request"},
  };
  for (const auto& [input, text] : cases) {
    CAPTURE(input);
    REQUIRE(checked(input) == Events{protocol_error(text)});
  }
  REQUIRE(checked("*1\r\n\0\r\n"s) == Events{protocol_error("expected '$', got ' '")});
}

TEST_CASE("request_parser: requests before an error are complete", "[resp]") {
  REQUIRE(checked(kGet + kPing + "*x\r\n" + kPing) ==
          Events{"array [GET][key] <" + kGet,
                 "array [PING] <" + kPing,
                 protocol_error("invalid multibulk length")});
}

TEST_CASE("request_parser: an error stays until reset", "[resp]") {
  RequestParser parser(kLimits);
  REQUIRE(parser.parse("*x\r\n") == Status::Error);
  REQUIRE(parser.parse(kPing) == Status::Error);
  REQUIRE_FALSE(parser.error().empty());
  parser.reset();
  REQUIRE(parser.parse(kPing) == Status::Complete);
}

TEST_CASE("request_parser: limits are settings", "[resp]") {
  Limits limits;
  limits.max_arguments = 2;
  limits.max_bulk = 3;
  REQUIRE(checked(kGet, limits) == Events{"array [GET][key] <" + kGet});
  REQUIRE(checked("*3\r\n", limits) == Events{protocol_error("invalid multibulk length")});
  REQUIRE(checked("*3\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n", limits) ==
          Events{protocol_error("invalid multibulk length")});
  REQUIRE(checked(kPing, limits) == Events{protocol_error("invalid bulk length")});
}

TEST_CASE("request_parser: a line is refused when it is too long to wait for its end", "[resp]") {
  Limits limits;
  limits.max_inline = 10;
  const std::string ones(10, '1');
  REQUIRE(checked("*" + ones.substr(1), limits).empty());
  REQUIRE(checked("*" + ones, limits) == Events{protocol_error("too big mbulk count string")});
  REQUIRE(checked("*xxxxxxxxx\r\n", limits) == Events{protocol_error("invalid multibulk length")});
  REQUIRE(checked("*" + ones + "\r\n", limits) ==
          Events{protocol_error("too big mbulk count string")});
  REQUIRE(checked("*1\r\n$" + ones.substr(1), limits).empty());
  REQUIRE(checked("*1\r\n$" + ones, limits) == Events{protocol_error("too big bulk count string")});
  REQUIRE(checked("*2\r\n$1\r\na\r\nx" + ones, limits) ==
          Events{protocol_error("too big bulk count string")});
  REQUIRE(checked(ones, limits).empty());
  REQUIRE(checked(ones + "\n", limits) == Events{"inline [" + ones + "] <" + ones + "\n"});
  REQUIRE(checked(ones + "1", limits) == Events{protocol_error("too big inline request")});
  REQUIRE(checked(ones + "1\n", limits) == Events{protocol_error("too big inline request")});
}

TEST_CASE("request_parser: the default line limit is Redis's", "[resp]") {
  const std::string line(64 * 1024, 'A');
  REQUIRE(events_of(line).empty());
  REQUIRE(events_of(line + "A") == Events{protocol_error("too big inline request")});
  REQUIRE(events_of("*" + line) == Events{protocol_error("too big mbulk count string")});
  REQUIRE(events_of("*1\r\n$" + line) == Events{protocol_error("too big bulk count string")});
}

TEST_CASE("request_parser: line ends that only Redis takes are marked for encoding anew",
          "[resp]") {
  for (const auto& frame :
       {"*1\rX$4\r\nPING\r\n"s, "*1\r\n$4\rXPING\r\n"s, "*1\r\n$4\r\nPINGab"s}) {
    CAPTURE(frame);
    REQUIRE(checked(frame + kPing) == Events{"inline [PING] <" + frame, "array [PING] <" + kPing});
  }
}

TEST_CASE("request_parser: HTTP is closed without a word", "[resp]") {
  for (const auto& input : {"POST / HTTP/1.1\r\n"s,
                            "Host: x\r\n"s,
                            "post\r\n"s,
                            "HoSt: x y\r\n"s,
                            "\"POST\" x\r\n"s,
                            "*2\r\n$4\r\nPOST\r\n$1\r\n/\r\n"s,
                            "*1\r\n$5\r\nhOST:\r\n"s,
                            "*1\r\n$6\r\nPOST\0a\r\n"s,
                            "\"post\\x00zz\"\r\n"s}) {
    CAPTURE(input);
    REQUIRE(checked(kPing + input + kPing) == Events{"array [PING] <" + kPing, "error "});
  }
  REQUIRE(checked("POSTa\r\nhost\r\n") ==
          Events{"inline [POSTa] <POSTa\r\n", "inline [host] <host\r\n"});
}

TEST_CASE("request_parser: parse keeps its arguments until the next call", "[resp]") {
  RequestParser parser(kLimits);
  const std::string input = kGet + kPing;
  REQUIRE(parser.parse(input) == Status::Complete);
  REQUIRE(parser.request().arguments.size() == 2);
  REQUIRE(parser.request().arguments[1] == "key");
  REQUIRE(parser.request().frame == kGet);
  REQUIRE_FALSE(parser.request().is_inline);
  RequestParser moved = std::move(parser);
  REQUIRE(moved.request().arguments[0] == "GET");
  REQUIRE(moved.parse(std::string_view(input).substr(moved.consumed())) == Status::Complete);
  REQUIRE(moved.request().arguments[0] == "PING");
}

TEST_CASE("request_parser: reset forgets half a request", "[resp]") {
  RequestParser parser(kLimits);
  REQUIRE(parser.parse("*2\r\n$3\r\nGET\r\n$3\r\nk") == Status::NeedMore);
  parser.reset();
  REQUIRE(parser.parse(kPing) == Status::Complete);
  REQUIRE(parser.request().arguments.size() == 1);
}

TEST_CASE("request_parser: many arguments, a few bytes at a time", "[resp]") {
  std::string input = "*2001\r\n$4\r\nMGET\r\n";
  for (int i = 0; i < 2000; ++i) {
    input += "$4\r\n" + std::to_string(1000 + i) + "\r\n";
  }
  RequestFeed feed(kLimits, RequestFeed::By::Batch);
  for (std::size_t at = 0; at < input.size(); at += 97) {
    feed.feed(std::string_view(input).substr(at, 97));
  }
  REQUIRE(feed.events() == events_of(input));
  REQUIRE(feed.events().size() == 1);
  REQUIRE(feed.events()[0].starts_with("array [MGET][1000][1001]"));
}

TEST_CASE("append_request: what the parser reads is what was written", "[resp]") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> arguments(1 + random() % 5);
    for (auto& argument : arguments) {
      argument.resize(random() % 300);
      for (char& c : argument) {
        c = static_cast<char>(random());
      }
    }
    const std::vector<std::string_view> views(arguments.begin(), arguments.end());
    std::string frame;
    pannier::resp::append_request(frame, views);
    REQUIRE(events_of(frame) == Events{"array " + pannier::test::shown(views) + " <" + frame});
  }
}

TEST_CASE("append_request: appends", "[resp]") {
  std::string out = "x";
  const std::array<std::string_view, 2> arguments{"GET", "k"};
  pannier::resp::append_request(out, arguments);
  REQUIRE(out == "x*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
}
