#include "pannier/proxy/sliding_lives.hpp"

#include <catch2/catch.hpp>

#include <cstdint>

using pannier::proxy::SlidingLives;

namespace {

constexpr std::uint64_t kKey = 0x1234567890ABCDEF;

// Keys of one set of the table.
std::uint64_t neighbour(std::uint64_t number) {
  return kKey + number;
}

}  // namespace

TEST_CASE("sliding: what is not known is looked at once", "[proxy]") {
  SlidingLives lives;
  SlidingLives::Due first;
  SlidingLives::Due second;
  REQUIRE(lives.is_due(kKey, 1000, first));
  CHECK(first.expected == 0);
  REQUIRE(lives.is_due(kKey, 1000, second));
  CHECK(lives.claim(kKey, 1000, first, 2000));
  CHECK_FALSE(lives.is_due(kKey, 1999, second));
  REQUIRE(lives.is_due(kKey, 2000, first));
  second = first;
  CHECK(lives.claim(kKey, 2000, first, 3000));
  CHECK_FALSE(lives.claim(kKey, 2000, second, 3000));
}

TEST_CASE("sliding: how long a key should live is remembered", "[proxy]") {
  SlidingLives lives;
  SlidingLives::Due due;
  lives.set(kKey, 1000, 2000, 3000);
  CHECK_FALSE(lives.is_due(kKey, 1500, due));
  REQUIRE(lives.is_due(kKey, 2200, due));
  CHECK(due.expected == 800);
  REQUIRE(lives.is_due(kKey, 3500, due));
  CHECK(due.expected == 0);
}

TEST_CASE("sliding: what a client ended stays so for that life", "[proxy]") {
  SlidingLives lives;
  SlidingLives::Due due;
  lives.set(kKey, 1000, 1500, 2000);
  lives.end(kKey, 1000, 4000);
  CHECK_FALSE(lives.is_due(kKey, 3999, due));
  REQUIRE(lives.is_due(kKey, 4000, due));
  CHECK(due.expected == 0);
  lives.set(kKey, 1000, 1500, 2000);  // stored anew
  CHECK(lives.is_due(kKey, 1500, due));
}

TEST_CASE("sliding: a full set gives up lives before ends", "[proxy]") {
  SlidingLives lives;
  SlidingLives::Due due;
  lives.end(neighbour(0), 0, 10'000);
  for (std::uint64_t i = 1; i < 20; ++i) {
    lives.set(neighbour(i), 0, static_cast<std::int64_t>(5000 + i), 10'000);
  }
  CHECK_FALSE(lives.is_due(neighbour(0), 100, due));
  CHECK(lives.is_due(neighbour(1), 100, due));
}
