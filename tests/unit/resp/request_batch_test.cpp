#include "resp_feeding.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using pannier::resp::Limits;
using pannier::resp::parse_batch;
using pannier::resp::RequestBatch;
using pannier::resp::RequestParser;
using pannier::test::RequestFeed;
using Status = RequestParser::Status;

namespace {

const Limits kLimits;

std::string get(int i) {
  const auto key = "key:" + std::to_string(i);
  return "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
}

}  // namespace

TEST_CASE("request_batch: 200 pipelined requests come in batches of 64", "[resp]") {
  std::string input;
  for (int i = 0; i < 200; ++i) {
    input += i % 10 == 9 ? "GET 'key:" + std::to_string(i) + "'\r\n" : get(i);
  }
  RequestParser parser(kLimits);
  RequestBatch batch;
  std::string_view rest = input;
  int seen = 0;
  for (const std::size_t expected : {64U, 64U, 64U, 8U}) {
    const Status status = parse_batch(parser, rest, batch);
    REQUIRE(status == (expected == 64 ? Status::Complete : Status::NeedMore));
    REQUIRE(batch.size() == expected);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < batch.size(); ++i, ++seen) {
      REQUIRE(batch[i].arguments.size() == 2);
      REQUIRE(batch[i].arguments[1] == "key:" + std::to_string(seen));
      REQUIRE(batch[i].is_inline == (seen % 10 == 9));
      REQUIRE(batch[i].frame == rest.substr(begin, batch.end_offset(i) - begin));
      begin = batch.end_offset(i);
    }
    REQUIRE(batch.consumed() == begin);
    rest.remove_prefix(begin);
  }
  REQUIRE(rest.empty());
}

TEST_CASE("request_batch: exactly 64 requests fill it", "[resp]") {
  std::string input;
  for (int i = 0; i < 64; ++i) {
    input += get(i);
  }
  RequestParser parser(kLimits);
  RequestBatch batch;
  REQUIRE(parse_batch(parser, input, batch) == Status::Complete);
  REQUIRE(batch.full());
  REQUIRE(batch.consumed() == input.size());
  REQUIRE(parse_batch(parser, "", batch) == Status::NeedMore);
  REQUIRE(batch.empty());
  REQUIRE(batch.consumed() == 0);
}

TEST_CASE("request_batch: pipelined requests at every split", "[resp]") {
  std::string input;
  for (int i = 0; i < 70; ++i) {
    input += get(i);
  }
  RequestFeed whole(kLimits, RequestFeed::By::Batch);
  whole.feed(input);
  REQUIRE(whole.events().size() == 70);
  for (std::size_t cut = 0; cut <= input.size(); ++cut) {
    RequestFeed feed(kLimits, RequestFeed::By::Batch);
    feed.feed(std::string_view(input).substr(0, cut));
    feed.feed(std::string_view(input).substr(cut));
    REQUIRE(feed.events() == whole.events());
  }
}

TEST_CASE("request_batch: half a request stays with the caller", "[resp]") {
  RequestParser parser(kLimits);
  RequestBatch batch;
  const auto input = get(1) + "*2\r\n$3\r\nGET\r\n$2\r\nk";
  REQUIRE(parse_batch(parser, input, batch) == Status::NeedMore);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch.consumed() == get(1).size());
  const auto rest = input.substr(batch.consumed()) + "2\r\n";
  REQUIRE(parse_batch(parser, rest, batch) == Status::NeedMore);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch[0].arguments[1] == "k2");
  REQUIRE(batch[0].frame == rest);
}

TEST_CASE("request_batch: is shared by sessions", "[resp]") {
  RequestParser first(kLimits);
  RequestParser second(kLimits);
  RequestBatch batch;
  REQUIRE(parse_batch(first, "*2\r\n$3\r\nGET\r\n$1\r", batch) == Status::NeedMore);
  REQUIRE(parse_batch(second, get(2), batch) == Status::NeedMore);
  REQUIRE(batch.size() == 1);
  REQUIRE(parse_batch(first, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", batch) == Status::NeedMore);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch[0].arguments[1] == "k");
}

TEST_CASE("request_batch: empty requests are consumed, also at its end", "[resp]") {
  RequestParser parser(kLimits);
  RequestBatch batch;
  const auto input = "\r\n" + get(1) + "*0\r\n\r\n";
  REQUIRE(parse_batch(parser, input, batch) == Status::NeedMore);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch.end_offset(0) == 2 + get(1).size());
  REQUIRE(batch.consumed() == input.size());
}

TEST_CASE("request_batch: stops at an error, which keeps its text", "[resp]") {
  RequestParser parser(kLimits);
  RequestBatch batch;
  REQUIRE(parse_batch(parser, get(1) + "*1\r\nx\r\n", batch) == Status::Error);
  REQUIRE(batch.size() == 1);
  REQUIRE(batch.consumed() == get(1).size());
  REQUIRE(parser.error() == "ERR Protocol error: expected '$', got 'x'");
}
