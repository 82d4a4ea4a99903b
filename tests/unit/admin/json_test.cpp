#include "json.hpp"

#include <catch2/catch.hpp>

#include <limits>

using pannier::admin::JsonWriter;

TEST_CASE("json: objects and arrays nest, commas stand between") {
  JsonWriter json;
  json.begin_object();
  json.field("a", std::uint64_t{1}).field("b", true);
  json.key("c").begin_array().value("x").value(std::int64_t{-2}).null().begin_object().end_object();
  json.end_array().key("d").begin_object().end_object().field("e", 0.5);
  json.end_object();
  CHECK(json.take() == "{\"a\":1,\"b\":true,\"c\":[\"x\",-2,null,{}],\"d\":{},\"e\":0.5}\n");
  CHECK(json.begin_array().end_array().take() == "[]\n");
}

TEST_CASE("json: text is escaped, and always UTF-8") {
  const auto written = [](std::string_view text) {
    return JsonWriter().value(text).take();
  };
  CHECK(written("a\"b\\c") == "\"a\\\"b\\\\c\"\n");
  CHECK(written(std::string_view("\0\n\x1f", 3)) == "\"\\u0000\\u000a\\u001f\"\n");
  CHECK(written("grün €") == "\"grün €\"\n");
  CHECK(written("\xff") == "\"\xEF\xBF\xBD\"\n");
  CHECK(written("\xc3") == "\"\xEF\xBF\xBD\"\n");
  CHECK(written("\xe2\x82x") == "\"\xEF\xBF\xBD\xEF\xBF\xBDx\"\n");
}

TEST_CASE("json: numbers that JSON does not have are null") {
  CHECK(JsonWriter().value(std::numeric_limits<double>::infinity()).take() == "null\n");
  CHECK(JsonWriter().value(std::numeric_limits<double>::quiet_NaN()).take() == "null\n");
}
