#include "pannier/resp/reply_scanner.hpp"

#include "resp_feeding.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace std::string_literals;
using pannier::resp::ReplyScanner;
using pannier::test::ReplyFeed;
using Status = ReplyScanner::Status;
using Events = std::vector<std::string>;

namespace {

// What whole feeding gives; every cut and single bytes must give the same.
Events checked(const std::string& input) {
  ReplyFeed whole;
  whole.feed(input);
  for (std::size_t cut = 0; cut <= input.size(); ++cut) {
    ReplyFeed feed;
    feed.feed(std::string_view(input).substr(0, cut));
    feed.feed(std::string_view(input).substr(cut));
    CAPTURE(cut);
    REQUIRE(feed.events() == whole.events());
  }
  ReplyFeed bytewise;
  for (const char c : input) {
    bytewise.feed({&c, 1});
  }
  REQUIRE(bytewise.events() == whole.events());
  return whole.events();
}

// Two of the same, so that the end is seen to be right.
void require_frame(const std::string& frame, char type) {
  CAPTURE(frame);
  const std::string event = std::string(1, type) + " <" + frame;
  REQUIRE(checked(frame + frame) == Events{event, event});
}

std::string error_of(const std::string& input) {
  const Events events = checked(input);
  REQUIRE_FALSE(events.empty());
  const std::string& last = events.back();
  REQUIRE(last.starts_with("error "));
  return last.substr(6, last.find(" <") - 6);
}

std::string nested(int levels, const std::string& header, const std::string& leaf) {
  std::string out;
  for (int i = 0; i < levels; ++i) {
    out += header;
  }
  return out + leaf;
}

}  // namespace

TEST_CASE("reply_scanner: every RESP2 type, split at every byte", "[resp]") {
  require_frame("+OK\r\n", '+');
  require_frame("+\r\n", '+');
  require_frame("-ERR no\r\n", '-');
  require_frame(":-12\r\n", ':');
  require_frame("$0\r\n\r\n", '$');
  require_frame("$5\r\nhe\r\nl\r\n", '$');
  require_frame("$-1\r\n", '$');
  require_frame("$4\r\n\0\r\n\xff\r\n"s, '$');
  require_frame("*0\r\n", '*');
  require_frame("*-1\r\n", '*');
  require_frame("*3\r\n:1\r\n$1\r\na\r\n*-1\r\n", '*');
}

TEST_CASE("reply_scanner: every RESP3 type, split at every byte", "[resp]") {
  require_frame("_\r\n", '_');
  require_frame("#t\r\n", '#');
  require_frame(",3.25\r\n", ',');
  require_frame(",-inf\r\n", ',');
  require_frame("(3492890328409238509324850943850943825024385\r\n", '(');
  require_frame("!5\r\nERR x\r\n", '!');
  require_frame("=8\r\ntxt:abcd\r\n", '=');
  require_frame("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n", '%');
  require_frame("%0\r\n", '%');
  require_frame("~2\r\n+a\r\n+b\r\n", '~');
  require_frame(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", '>');
}

TEST_CASE("reply_scanner: nested aggregates", "[resp]") {
  require_frame("*2\r\n*2\r\n:1\r\n*0\r\n%1\r\n+k\r\n~2\r\n*1\r\n$0\r\n\r\n=5\r\ntxt:x\r\n", '*');
  require_frame("%1\r\n*1\r\n+a\r\n%1\r\n+b\r\n*2\r\n%0\r\n$-1\r\n", '%');
}

TEST_CASE("reply_scanner: an attribute belongs to the frame that follows", "[resp]") {
  require_frame("|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", '$');
  require_frame("|0\r\n+OK\r\n", '+');
  require_frame("|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|1\r\n+b\r\n:2\r\n%1\r\n+k\r\n+v\r\n", '%');
}

TEST_CASE("reply_scanner: an attribute inside an aggregate is no element of it", "[resp]") {
  require_frame("*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n", '*');
  require_frame("*1\r\n|0\r\n*1\r\n|1\r\n|1\r\n:0\r\n:0\r\n+k\r\n+v\r\n:1\r\n", '*');
}

TEST_CASE("reply_scanner: the type is known from the first byte on", "[resp]") {
  ReplyScanner scanner;
  REQUIRE(scanner.type() == 0);
  REQUIRE_FALSE(scanner.in_frame());
  REQUIRE(scanner.scan("") == Status::NeedMore);
  REQUIRE_FALSE(scanner.in_frame());
  REQUIRE(scanner.scan(">") == Status::NeedMore);
  REQUIRE(scanner.type() == '>');
  REQUIRE(scanner.in_frame());
  REQUIRE(scanner.scan("1\r\n:1\r\n|") == Status::Complete);
  REQUIRE(scanner.type() == '>');
  REQUIRE(scanner.consumed() == 7);
  REQUIRE_FALSE(scanner.in_frame());
  // Within an attribute nothing is known of the reply.
  REQUIRE(scanner.scan("|1\r\n+a\r\n+b\r\n") == Status::NeedMore);
  REQUIRE(scanner.type() == 0);
  REQUIRE(scanner.in_frame());
  REQUIRE(scanner.scan("-") == Status::NeedMore);
  REQUIRE(scanner.type() == '-');
}

TEST_CASE("reply_scanner: says how much of a bulk is missing", "[resp]") {
  ReplyScanner scanner;
  REQUIRE(scanner.scan("$100") == Status::NeedMore);
  REQUIRE(scanner.missing() == 0);
  REQUIRE(scanner.scan("\r\n") == Status::NeedMore);
  REQUIRE(scanner.missing() == 102);
  REQUIRE(scanner.scan(std::string(60, 'x')) == Status::NeedMore);
  REQUIRE(scanner.missing() == 42);
  REQUIRE(scanner.scan(std::string(40, 'x')) == Status::NeedMore);
  REQUIRE(scanner.missing() <= 2);
  REQUIRE(scanner.scan("\r\n") == Status::Complete);
  REQUIRE(scanner.missing() == 0);
}

TEST_CASE("reply_scanner: CR or LF alone is part of a line", "[resp]") {
  require_frame("-a\rb\nc\r\r\n", '-');
  require_frame("+\n\r\r\r\n", '+');
}

TEST_CASE("reply_scanner: a line has a limit", "[resp]") {
  const std::string text(64 * 1024 - 1, 'x');
  ReplyFeed fits;
  fits.feed("-" + text + "\r\n");
  REQUIRE(fits.events().size() == 1);
  REQUIRE(fits.events()[0][0] == '-');
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, text.size() + 4}) {
    ReplyFeed feed;
    const std::string input = "(" + text + "x\r\n";
    for (std::size_t at = 0; at < input.size(); at += piece) {
      feed.feed(std::string_view(input).substr(at, piece));
    }
    REQUIRE(feed.scanner().error() == "a line of more than 64 KiB in a reply");
  }
}

TEST_CASE("reply_scanner: an unknown type is an error", "[resp]") {
  for (const auto& input :
       {"x"s, "\r\n"s, "\0"s, "?"s, "+OK\r\nOK"s, ";4\r\n"s, ".\r\n"s, "*1\r\n}"s}) {
    CAPTURE(input);
    REQUIRE(error_of(input) == "unknown reply type");
  }
}

TEST_CASE("reply_scanner: bad lengths are errors", "[resp]") {
  for (const auto& input : {"$\r\n"s,
                            "$abc\r\n"s,
                            "$-\r\n"s,
                            "$--1\r\n"s,
                            "$-2\r\n"s,
                            "$-0\r\n"s,
                            "$1-\r\n"s,
                            "$+1\r\n"s,
                            "$01\r\n"s,
                            "$ 1\r\n"s,
                            "*1 \r\n"s,
                            "*-2\r\n"s,
                            "%-1\r\n"s,
                            "~-1\r\n"s,
                            ">-1\r\n"s,
                            "!-1\r\n"s,
                            "=-1\r\n"s,
                            "|-1\r\n"s,
                            "*99999999999\r\n"s}) {
    CAPTURE(input);
    REQUIRE(error_of(input) == "bad length in a reply");
  }
  REQUIRE(error_of("*1\rx") == "bad line end in a reply");
  REQUIRE(error_of("$1073741825\r\n") == "a reply of more than 1 GiB");
  REQUIRE(error_of("*4294967297\r\n") == "a reply of more than 4294967296 elements");
  REQUIRE(error_of("%4294967297\r\n") == "a reply of more than 4294967296 elements");
}

TEST_CASE("reply_scanner: the largest lengths", "[resp]") {
  REQUIRE(checked("$1073741824\r\nxx").empty());
  REQUIRE(checked("*4294967296\r\n+a\r\n").empty());
  REQUIRE(checked("%4294967296\r\n+a\r\n").empty());
}

TEST_CASE("reply_scanner: streamed replies are refused", "[resp]") {
  for (const auto& input :
       {"$?\r\n"s, "*?\r\n"s, "%?\r\n"s, "~?\r\n"s, ">?\r\n"s, "*1\r\n$?\r\n"s}) {
    CAPTURE(input);
    REQUIRE(error_of(input) == "streamed replies are not supported");
  }
}

TEST_CASE("reply_scanner: a bulk must end where it said", "[resp]") {
  for (const auto& input :
       {"$1\r\nab\r\n"s, "$2\r\na\r\n\r\n"s, "$1\r\na\rb"s, "$0\r\n+"s, "!1\r\na\n"s}) {
    CAPTURE(input);
    REQUIRE(error_of(input) == "a bulk in a reply does not end where it said");
  }
}

TEST_CASE("reply_scanner: depth has a limit", "[resp]") {
  for (const int levels : {7, 8, 9, 20, 128}) {
    require_frame(nested(levels, "*1\r\n", ":1\r\n"), '*');
  }
  require_frame(nested(60, "%1\r\n+k\r\n", nested(60, "~1\r\n", "*0\r\n")), '%');
  REQUIRE(error_of(nested(129, "*1\r\n", ":1\r\n")) == "a reply of more than 128 levels");
}

TEST_CASE("reply_scanner: an error stays", "[resp]") {
  ReplyScanner scanner;
  REQUIRE(scanner.scan("x") == Status::Error);
  REQUIRE(scanner.scan("+OK\r\n") == Status::Error);
  REQUIRE(scanner.consumed() == 0);
}

TEST_CASE("reply_scanner: many replies in one read", "[resp]") {
  std::string input;
  for (int i = 0; i < 300; ++i) {
    input += i % 3 == 0 ? "+OK\r\n" : i % 3 == 1 ? "$3\r\nabc\r\n" : "*2\r\n:1\r\n$-1\r\n";
  }
  ReplyFeed feed;
  feed.feed(input);
  REQUIRE(feed.events().size() == 300);
}
