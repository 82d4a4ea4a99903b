#include "pannier/cache/miss_cap.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <vector>

namespace pannier::cache {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kClass = 3;
constexpr std::uint16_t kOther = 4;
constexpr MissLimit kTwo{2, 2s};
const base::TimePoint kStart{1h};

std::vector<std::uint64_t> tokens(const std::vector<Party>& parties) {
  std::vector<std::uint64_t> out;
  for (const Party& each : parties) {
    out.push_back(each.token);
  }
  return out;
}

}  // namespace

TEST_CASE("miss cap: no more nils are out than the class allows, and other classes do not matter") {
  MissCap cap;
  CHECK(cap.take(kClass, 1, kTwo, kStart));
  CHECK(cap.take(kClass, 2, kTwo, kStart));
  CHECK_FALSE(cap.take(kClass, 3, kTwo, kStart));
  CHECK(cap.take(kOther, 3, kTwo, kStart));
  CHECK(cap.out(kClass) == 2);
  CHECK(cap.out(kOther) == 1);
}

TEST_CASE("miss cap: without a limit nothing is counted") {
  MissCap cap;
  for (std::uint64_t hash = 0; hash < 1000; ++hash) {
    REQUIRE(cap.take(kClass, hash, {0, 2s}, kStart));
  }
  CHECK(cap.out(kClass) == 0);
  CHECK_FALSE(cap.any());
}

TEST_CASE("miss cap: a write to the key makes room, of all nils of the key and once for each") {
  MissCap cap;
  std::vector<Party> woken;
  REQUIRE(cap.take(kClass, 7, kTwo, kStart));
  REQUIRE(cap.take(kClass, 7, kTwo, kStart));  // two clients were told of the same key
  REQUIRE_FALSE(cap.take(kClass, 8, kTwo, kStart));
  REQUIRE(cap.wait(kClass, {0, 11}));
  REQUIRE(cap.wait(kClass, {1, 12}));
  REQUIRE(cap.wait(kClass, {0, 13}));
  cap.on_changed(8, woken);
  CHECK(woken.empty());
  cap.on_changed(7, woken);
  CHECK(tokens(woken) == std::vector<std::uint64_t>{11, 12});
  CHECK(cap.out(kClass) == 0);
  CHECK_FALSE(cap.any());
  cap.on_changed(7, woken);
  CHECK(woken.size() == 2);
}

TEST_CASE("miss cap: a nil that nobody filled counts until its time is over, not longer") {
  MissCap cap;
  REQUIRE(cap.take(kClass, 1, kTwo, kStart));
  REQUIRE(cap.take(kClass, 2, kTwo, kStart + 1s));
  CHECK_FALSE(cap.take(kClass, 3, kTwo, kStart + 2s - 1ns));
  CHECK(cap.take(kClass, 3, kTwo, kStart + 2s));
  CHECK_FALSE(cap.take(kClass, 4, kTwo, kStart + 2s));
  CHECK(cap.out(kClass) == 2);
}

TEST_CASE("miss cap: those who wait are told when a nil's time is over, by one who looks") {
  MissCap cap;
  std::vector<Party> woken;
  REQUIRE(cap.take(kClass, 1, kTwo, kStart));
  REQUIRE(cap.take(kClass, 2, kTwo, kStart + 500ms));
  CHECK_FALSE(cap.next_expiry().has_value());  // nobody waits
  REQUIRE(cap.wait(kClass, {0, 11}));
  REQUIRE(cap.wait(kClass, {0, 12}));
  CHECK(cap.next_expiry() == kStart + 2s);
  CHECK_FALSE(cap.next_expiry().has_value());  // somebody looks already
  cap.expire(kStart + 2s, woken);
  CHECK(tokens(woken) == std::vector<std::uint64_t>{11});
  CHECK(cap.next_expiry() == kStart + 2500ms);
  cap.expire(kStart + 2500ms, woken);
  CHECK(tokens(woken) == std::vector<std::uint64_t>{11, 12});
  CHECK_FALSE(cap.next_expiry().has_value());
  CHECK_FALSE(cap.any());
}

TEST_CASE("miss cap: who waits no longer takes nobody's turn") {
  MissCap cap;
  std::vector<Party> woken;
  REQUIRE(cap.take(kClass, 1, {1, 2s}, kStart));
  REQUIRE(cap.wait(kClass, {0, 11}));
  REQUIRE(cap.wait(kClass, {1, 11}));  // the same token of another worker
  cap.forget(kClass, {0, 11});
  cap.on_changed(1, woken);
  REQUIRE(woken.size() == 1);
  CHECK(woken[0] == Party{1, 11});
}

TEST_CASE("miss cap: what was taken and not used is given back") {
  MissCap cap;
  std::vector<Party> woken;
  REQUIRE(cap.take(kClass, 1, {1, 2s}, kStart));
  REQUIRE(cap.wait(kClass, {0, 11}));
  cap.give_back(kOther, 1, woken);
  CHECK(cap.out(kClass) == 1);
  cap.give_back(kClass, 1, woken);
  CHECK(cap.out(kClass) == 0);
  CHECK(tokens(woken) == std::vector<std::uint64_t>{11});
}

TEST_CASE("miss cap: after a write to everything all may try again") {
  MissCap cap;
  std::vector<Party> woken;
  REQUIRE(cap.take(kClass, 1, {1, 2s}, kStart));
  REQUIRE(cap.take(kOther, 1, {1, 2s}, kStart));
  REQUIRE(cap.wait(kClass, {0, 11}));
  REQUIRE(cap.wait(kOther, {0, 12}));
  cap.on_all_changed(woken);
  CHECK(woken.size() == 2);
  CHECK(cap.out(kClass) + cap.out(kOther) == 0);
}

}  // namespace pannier::cache
