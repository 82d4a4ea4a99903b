#include "substitute.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

std::string put_in(std::string_view text) {
  variables() = {{"NAME", "value"}, {"EMPTY", ""}, {"TRICK", "${NAME}"}};
  const auto result = substitute(text, fake_environment());
  return result.problem.empty() ? result.text : "! " + result.problem;
}

}  // namespace

TEST_CASE("substitute: variables, defaults and dollars", "[config]") {
  CHECK(put_in("plain") == "plain");
  CHECK(put_in("a${NAME}b${NAME}") == "avaluebvalue");
  CHECK(put_in("${NAME:-other}") == "value");
  CHECK(put_in("${NONE:-other}") == "other");
  CHECK(put_in("${EMPTY:-other}") == "other");
  CHECK(put_in("${EMPTY}").empty());
  CHECK(put_in("${NONE:-}").empty());
  CHECK(put_in("$${NAME}") == "${NAME}");
  CHECK(put_in("$5 and $") == "$5 and $");
}

TEST_CASE("substitute: a value is not looked at again", "[config]") {
  CHECK(put_in("${TRICK}") == "${NAME}");
}

TEST_CASE("substitute: faults name the variable", "[config]") {
  CHECK(put_in("${NONE}") ==
        "! the environment variable NONE is not set; set it, or write ${NONE:-default}");
  CHECK(put_in("${}").starts_with("! \"${}\" names no environment variable"));
  CHECK(put_in("${1A}").starts_with("! "));
  CHECK(put_in("${NAME") == "! \"${\" without \"}\"; write $$ for a dollar sign");
}

TEST_CASE("substitute: an undefined variable is an error with its place", "[config]") {
  variables().clear();
  CHECK(errors_of("upstream: ${REDIS}") ==
        Texts{"f:1:11: upstream: the environment variable REDIS is not set; set it, or write "
              "${REDIS:-default}"});
  CHECK(load_text("upstream: ${REDIS:-a:1}").config);
}
