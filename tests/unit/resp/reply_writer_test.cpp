#include "pannier/resp/reply_writer.hpp"

#include "pannier/resp/reply_scanner.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <limits>
#include <string>

using namespace pannier::resp;

namespace {

// What `append` writes, after something that was there before; and it is one frame.
template <typename Append>
std::string written(Append append) {
  std::string out = "+x\r\n";
  append(out);
  REQUIRE(out.starts_with("+x\r\n"));
  return out.substr(4);
}

template <typename Append>
std::string frame(Append append) {
  const std::string out = written(append);
  ReplyScanner scanner;
  REQUIRE(scanner.scan(out) == ReplyScanner::Status::Complete);
  REQUIRE(scanner.consumed() == out.size());
  return out;
}

std::string double_text(double value, Version version) {
  return frame([=](std::string& out) { append_double(out, value, version); });
}

}  // namespace

TEST_CASE("reply_writer: simple texts and errors", "[resp]") {
  REQUIRE(frame([](auto& out) { append_simple(out, "OK"); }) == "+OK\r\n");
  REQUIRE(frame([](auto& out) { append_simple(out, ""); }) == "+\r\n");
  REQUIRE(frame([](auto& out) { append_error(out, "ERR no"); }) == "-ERR no\r\n");
}

TEST_CASE("reply_writer: an error text cannot break the line", "[resp]") {
  REQUIRE(frame([](auto& out) { append_error(out, "ERR a\r\n+OK\nb"); }) == "-ERR a  +OK b\r\n");
}

TEST_CASE("reply_writer: integers", "[resp]") {
  REQUIRE(frame([](auto& out) { append_integer(out, 0); }) == ":0\r\n");
  REQUIRE(frame([](auto& out) { append_integer(out, -12); }) == ":-12\r\n");
  REQUIRE(frame([](auto& out) { append_integer(out, std::numeric_limits<std::int64_t>::min()); }) ==
          ":-9223372036854775808\r\n");
  REQUIRE(frame([](auto& out) { append_integer(out, std::numeric_limits<std::int64_t>::max()); }) ==
          ":9223372036854775807\r\n");
}

TEST_CASE("reply_writer: bulks are binary", "[resp]") {
  REQUIRE(frame([](auto& out) { append_bulk(out, ""); }) == "$0\r\n\r\n");
  REQUIRE(frame([](auto& out) { append_bulk(out, "a\r\nb"); }) == "$4\r\na\r\nb\r\n");
  const std::string big(100000, 'x');
  REQUIRE(frame([&](auto& out) { append_bulk(out, big); }) == "$100000\r\n" + big + "\r\n");
}

TEST_CASE("reply_writer: nulls by version", "[resp]") {
  REQUIRE(frame([](auto& out) { append_null(out, Version::Resp2); }) == "$-1\r\n");
  REQUIRE(frame([](auto& out) { append_null(out, Version::Resp3); }) == "_\r\n");
  REQUIRE(frame([](auto& out) { append_null_array(out, Version::Resp2); }) == "*-1\r\n");
  REQUIRE(frame([](auto& out) { append_null_array(out, Version::Resp3); }) == "_\r\n");
}

TEST_CASE("reply_writer: headers of aggregates by version", "[resp]") {
  REQUIRE(written([](auto& out) { append_array_header(out, 3); }) == "*3\r\n");
  REQUIRE(written([](auto& out) { append_map_header(out, 2, Version::Resp2); }) == "*4\r\n");
  REQUIRE(written([](auto& out) { append_map_header(out, 2, Version::Resp3); }) == "%2\r\n");
  REQUIRE(written([](auto& out) { append_set_header(out, 2, Version::Resp2); }) == "*2\r\n");
  REQUIRE(written([](auto& out) { append_set_header(out, 2, Version::Resp3); }) == "~2\r\n");
  REQUIRE(written([](auto& out) { append_push_header(out, 2, Version::Resp2); }) == "*2\r\n");
  REQUIRE(written([](auto& out) { append_push_header(out, 2, Version::Resp3); }) == ">2\r\n");
}

TEST_CASE("reply_writer: booleans by version", "[resp]") {
  REQUIRE(frame([](auto& out) { append_bool(out, true, Version::Resp2); }) == ":1\r\n");
  REQUIRE(frame([](auto& out) { append_bool(out, false, Version::Resp2); }) == ":0\r\n");
  REQUIRE(frame([](auto& out) { append_bool(out, true, Version::Resp3); }) == "#t\r\n");
  REQUIRE(frame([](auto& out) { append_bool(out, false, Version::Resp3); }) == "#f\r\n");
}

TEST_CASE("reply_writer: doubles are the shortest text that reads back the same", "[resp]") {
  REQUIRE(double_text(0.1, Version::Resp3) == ",0.1\r\n");
  REQUIRE(double_text(3, Version::Resp3) == ",3\r\n");
  REQUIRE(double_text(-2.5, Version::Resp2) == "$4\r\n-2.5\r\n");
  REQUIRE(double_text(1e300, Version::Resp3) == ",1e+300\r\n");
  const double infinity = std::numeric_limits<double>::infinity();
  REQUIRE(double_text(infinity, Version::Resp3) == ",inf\r\n");
  REQUIRE(double_text(-infinity, Version::Resp2) == "$4\r\n-inf\r\n");
  REQUIRE(double_text(-std::numeric_limits<double>::quiet_NaN(), Version::Resp3) == ",nan\r\n");
}

TEST_CASE("reply_writer: verbatim texts by version", "[resp]") {
  REQUIRE(frame([](auto& out) { append_verbatim(out, "ab", Version::Resp2); }) == "$2\r\nab\r\n");
  REQUIRE(frame([](auto& out) { append_verbatim(out, "ab", Version::Resp3); }) ==
          "=6\r\ntxt:ab\r\n");
}
