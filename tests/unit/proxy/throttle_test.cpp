#include "throttle.hpp"

#include <catch2/catch.hpp>

#include <string_view>

using namespace pannier::proxy;

TEST_CASE("throttle: times of the script's reply become whole seconds", "[proxy]") {
  CHECK(throttle_reply("*5\r\n:0\r\n:16\r\n:15\r\n:-1\r\n:2000000\r\n") ==
        "*5\r\n:0\r\n:16\r\n:15\r\n:-1\r\n:2\r\n");
  CHECK(throttle_reply("*5\r\n:1\r\n:5\r\n:0\r\n:999\r\n:3900000\r\n") ==
        "*5\r\n:1\r\n:5\r\n:0\r\n:0\r\n:4\r\n");
}

TEST_CASE("throttle: anything else stays as it is", "[proxy]") {
  for (const std::string_view reply : {"-LOADING Redis is loading the dataset in memory\r\n",
                                       "*4\r\n:0\r\n:1\r\n:1\r\n:1\r\n",
                                       "*5\r\n:0\r\n$1\r\n1\r\n:1\r\n:1\r\n:1\r\n",
                                       "*5\r\n:0\r\n"}) {
    CHECK(throttle_reply(reply) == reply);
  }
}
