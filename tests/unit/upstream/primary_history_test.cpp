#include "primary_history.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace std::chrono_literals;
using namespace pannier;
using upstream::PrimaryHistory;

namespace {

constexpr base::TimePoint at(std::chrono::milliseconds when) {
  return base::TimePoint(when);
}

}  // namespace

TEST_CASE("primary_history: the first primary is no news, nor is one that stays") {
  PrimaryHistory history;
  REQUIRE_FALSE(history.note(route::kNoNode, false, {}));
  REQUIRE_FALSE(history.is_away());
  REQUIRE_FALSE(history.note(0, true, at(100ms)));
  REQUIRE_FALSE(history.note(0, true, at(500ms)));
}

TEST_CASE("primary_history: an outage lasts from the last answer to the first") {
  PrimaryHistory history;
  REQUIRE_FALSE(history.note(0, true, at(100ms)));
  REQUIRE_FALSE(history.note(0, true, at(500ms)));
  REQUIRE_FALSE(history.note(0, false, at(500ms)));
  REQUIRE(history.is_away());
  REQUIRE_FALSE(history.note(0, false, at(500ms)));
  const auto end = history.note(0, true, at(1700ms));
  REQUIRE(end);
  REQUIRE(end->from == end->to);
  REQUIRE(end->back - end->lost == 1200ms);
  REQUIRE_FALSE(history.is_away());
  REQUIRE_FALSE(history.note(0, true, at(2100ms)));
}

TEST_CASE("primary_history: another primary is a failover, with and without an outage seen") {
  PrimaryHistory history;
  REQUIRE_FALSE(history.note(0, true, at(500ms)));
  REQUIRE_FALSE(history.note(0, false, at(500ms)));
  const auto first = history.note(1, true, at(2500ms));
  REQUIRE(first);
  REQUIRE(first->from == 0);
  REQUIRE(first->to == 1);
  REQUIRE(first->back - first->lost == 2s);
  const auto second = history.note(2, true, at(2600ms));
  REQUIRE(second);
  REQUIRE(second->from == 1);
  REQUIRE(second->back - second->lost == 100ms);
}
