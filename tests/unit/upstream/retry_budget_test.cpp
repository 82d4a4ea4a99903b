#include "pannier/upstream/retry_budget.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using pannier::base::TimePoint;
using pannier::upstream::RetryBudget;
using std::chrono::seconds;

namespace {

int take_all(RetryBudget& budget, std::uint64_t requests, TimePoint now) {
  int taken = 0;
  while (taken < 100'000 && budget.take(requests, now)) {
    ++taken;
  }
  return taken;
}

constexpr TimePoint kStart{seconds(1000)};
constexpr auto kFull = static_cast<int>(RetryBudget::kMost);

}  // namespace

TEST_CASE("what is in flight when a node dies may all be tried again, but no more", "[retry]") {
  RetryBudget budget(20);
  REQUIRE(take_all(budget, 0, kStart) == kFull);
  REQUIRE_FALSE(budget.take(0, kStart));
}

TEST_CASE("a share of the traffic fills the budget", "[retry]") {
  RetryBudget budget(20);
  REQUIRE(take_all(budget, 1000, kStart) == kFull);
  REQUIRE(take_all(budget, 2000, kStart) == 200);
  REQUIRE(take_all(budget, 2004, kStart) == 0);
  REQUIRE(take_all(budget, 2005, kStart) == 1);
}

TEST_CASE("time fills the budget where there is little traffic, up to its limit", "[retry]") {
  RetryBudget budget(20);
  REQUIRE(take_all(budget, 0, kStart) == kFull);
  REQUIRE(take_all(budget, 0, kStart + seconds(3)) == 30);
  REQUIRE(take_all(budget, 1'000'000, kStart + seconds(4)) == kFull);
}

TEST_CASE("a budget of nothing gives nothing", "[retry]") {
  RetryBudget budget(0);
  REQUIRE(take_all(budget, 1'000'000, kStart) == 0);
}
