#include "pannier/base/bytes.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <limits>
#include <string>

using namespace pannier::base;
using namespace std::string_literals;

TEST_CASE("bytes: case is ignored in ASCII letters only", "[base]") {
  REQUIRE(equals_ignoring_case("", ""));
  REQUIRE(equals_ignoring_case("GeT", "gEt"));
  REQUIRE_FALSE(equals_ignoring_case("get", "gets"));
  REQUIRE_FALSE(equals_ignoring_case("get", "set"));
  REQUIRE_FALSE(equals_ignoring_case("@", "`"));        // one bit apart, no letters
  REQUIRE_FALSE(equals_ignoring_case("\xc4", "\xe4"));  // Latin-1 letters
  REQUIRE(equals_ignoring_case("a\0B"s, "A\0b"s));
  REQUIRE(to_lower("MiXed-123_[Z]\xc4") == "mixed-123_[z]\xc4");
}

TEST_CASE("bytes: integers are read as Redis reads them", "[base]") {
  REQUIRE(parse_int("0") == 0);
  REQUIRE(parse_int("7") == 7);
  REQUIRE(parse_int("-12") == -12);
  REQUIRE(parse_int("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  REQUIRE(parse_int("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  for (const auto* bad : {"",
                          "-",
                          "+1",
                          " 1",
                          "1 ",
                          "01",
                          "-0",
                          "-01",
                          "00",
                          "--1",
                          "1.0",
                          "1e3",
                          "0x10",
                          "9223372036854775808",
                          "-9223372036854775809",
                          "99999999999999999999999"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(parse_int(bad));
  }
  REQUIRE_FALSE(parse_int("1\0"s));
}

TEST_CASE("bytes: integers are appended, extremes too", "[base]") {
  std::string out = ":";
  append_int(out, 0);
  append_int(out, -5);
  append_int(out, std::numeric_limits<std::int64_t>::min());
  append_int(out, std::numeric_limits<std::int64_t>::max());
  REQUIRE(out == ":0-5-92233720368547758089223372036854775807");
}

TEST_CASE("bytes: what is not printable is escaped, what is long is cut", "[base]") {
  REQUIRE(printable("").empty());
  REQUIRE(printable("a b~") == "a b~");
  REQUIRE(printable("\r\n\0\x7f\xff"s) == "\\x0d\\x0a\\x00\\x7f\\xff");
  REQUIRE(printable("abcd", 4) == "abcd");
  REQUIRE(printable("abcde", 4) == "abcd...");
  REQUIRE(printable(std::string(100, 'x')) == std::string(64, 'x') + "...");
}

TEST_CASE("bytes: sizes are told in the largest fitting unit", "[base]") {
  REQUIRE(human_bytes(0) == "0B");
  REQUIRE(human_bytes(1023) == "1023B");
  REQUIRE(human_bytes(1024) == "1KiB");
  REQUIRE(human_bytes(1536) == "1.5KiB");
  REQUIRE(human_bytes(256ULL << 20) == "256MiB");
  REQUIRE(human_bytes(5ULL << 40) == "5120GiB");
}
