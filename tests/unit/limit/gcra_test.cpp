#include "pannier/limit/gcra.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>

using namespace pannier::limit;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNow = 1'700'000'000'123'456;  // 16 digits, as the primary's clock has

struct Limiter {
  Limiter(std::int64_t max_burst, std::int64_t count, std::int64_t period)
      : rate(Rate::make(max_burst, count, period).value()) {}

  Verdict ask(std::int64_t now, std::int64_t quantity) {
    const Verdict verdict = take(rate, kept, now, quantity);
    kept = verdict.keep ? verdict.keep : kept;
    return verdict;
  }

  Rate rate;
  std::optional<std::int64_t> kept;
};

}  // namespace

TEST_CASE("gcra: redis-cell's own vectors", "[limit]") {
  struct Row {
    std::int64_t ms;
    std::int64_t quantity;
    bool limited;
    std::int64_t remaining;
    std::int64_t reset_ms;
    std::int64_t retry_ms;
  };

  constexpr std::array<Row, 15> kRows{{{0, 6, true, 5, 0, -1},
                                       {0, 1, false, 4, 1000, -1},
                                       {0, 1, false, 3, 2000, -1},
                                       {0, 1, false, 2, 3000, -1},
                                       {0, 1, false, 1, 4000, -1},
                                       {0, 1, false, 0, 5000, -1},
                                       {0, 1, true, 0, 5000, 1000},
                                       {3000, 1, false, 2, 3000, -1},
                                       {3100, 1, false, 1, 3900, -1},
                                       {4000, 1, false, 1, 4000, -1},
                                       {8000, 1, false, 4, 1000, -1},
                                       {9500, 1, false, 4, 1000, -1},
                                       {9500, 0, false, 4, 1000, -1},
                                       {9500, 2, false, 2, 3000, -1},
                                       {9500, 5, true, 2, 3000, 3000}}};
  Limiter limiter(4, 1, 1);
  for (const Row& row : kRows) {
    CAPTURE(row.ms, row.quantity);
    const Verdict verdict = limiter.ask(kNow + row.ms * 1000, row.quantity);
    CHECK(verdict.limited == row.limited);
    CHECK(verdict.limit == 5);
    CHECK(verdict.remaining == row.remaining);
    CHECK(verdict.reset_after == row.reset_ms * 1000);
    CHECK(verdict.retry_after == (row.retry_ms < 0 ? -1 : row.retry_ms * 1000));
  }
}

TEST_CASE("gcra: the first call of redis-cell's example", "[limit]") {
  Limiter limiter(15, 30, 60);
  const Verdict verdict = limiter.ask(kNow, 1);
  CHECK_FALSE(verdict.limited);
  CHECK(verdict.limit == 16);
  CHECK(verdict.remaining == 15);
  CHECK(whole_seconds(verdict.retry_after) == -1);
  CHECK(whole_seconds(verdict.reset_after) == 2);
}

TEST_CASE("gcra: what is kept is exact to the microsecond", "[limit]") {
  Limiter limiter(1000, 3, 1);
  for (std::int64_t i = 1; i <= 1000; ++i) {
    const Verdict verdict = limiter.ask(kNow, 1);
    REQUIRE(verdict.keep == kNow + i * 333'333);
  }
}

TEST_CASE("gcra: quantity 0 looks and changes nothing", "[limit]") {
  Limiter limiter(4, 1, 1);
  const Verdict fresh = limiter.ask(kNow, 0);
  CHECK_FALSE(fresh.limited);
  CHECK(fresh.remaining == 5);
  CHECK(fresh.reset_after == 0);
  CHECK_FALSE(fresh.keep);
  static_cast<void>(limiter.ask(kNow, 5));
  const Verdict empty = limiter.ask(kNow, 0);
  CHECK_FALSE(empty.limited);
  CHECK(empty.remaining == 0);
  CHECK(empty.reset_after == 5 * kSecond);
  CHECK_FALSE(empty.keep);
}

TEST_CASE("gcra: more than there can ever be is refused for good and keeps nothing", "[limit]") {
  Limiter limiter(4, 1, 1);
  for (const std::int64_t quantity : {std::int64_t{6}, std::int64_t{1} << 31, kMost}) {
    const Verdict verdict = limiter.ask(kNow, quantity);
    CHECK(verdict.limited);
    CHECK(verdict.remaining == 5);
    CHECK(verdict.retry_after == -1);
    CHECK(verdict.reset_after == 0);
    CHECK_FALSE(verdict.keep);
  }
}

TEST_CASE("gcra: nothing overflows at the ends of 64 bits", "[limit]") {
  for (const std::int64_t max_burst : {std::int64_t{0}, kMost}) {
    for (const std::int64_t period : {std::int64_t{1}, kMost}) {
      Limiter limiter(max_burst, 1, period);
      CHECK(limiter.rate.limit() == (max_burst == 0 ? 1 : kMostTokens));
      CHECK(limiter.rate.tolerance() <= kLongest);
      const Verdict first = limiter.ask(kNow, 1);
      CHECK_FALSE(first.limited);
      CHECK(first.keep.value() > kNow);
      CHECK(first.keep.value() < kMostTokens);
      const Verdict second = limiter.ask(kNow, kMost);
      CHECK(second.limited);
      CHECK(second.retry_after == -1);
      CHECK(second.remaining >= 0);
      CHECK(second.remaining < second.limit);
    }
  }
}

TEST_CASE("gcra: more than a token per microsecond is no rate", "[limit]") {
  CHECK(Rate::make(0, 1'000'000, 1).has_value());
  CHECK_FALSE(Rate::make(0, 1'000'001, 1).has_value());
  CHECK_FALSE(Rate::make(0, kMost, 60).has_value());
  CHECK(Rate::make(kMost, kMost, kMost)->interval() == kSecond);
}

TEST_CASE("gcra: what another rate has kept stays within bounds", "[limit]") {
  Limiter limiter(4, 1, 1);
  limiter.kept = kNow + 3600 * kSecond;
  const Verdict verdict = limiter.ask(kNow, 1);
  CHECK(verdict.limited);
  CHECK(verdict.remaining == 0);
  CHECK(verdict.retry_after == 3596 * kSecond);
  CHECK(verdict.reset_after == 3600 * kSecond);
  CHECK(limiter.ask(kNow, 0).limited);
  limiter.kept = -kNow;  // long ago
  const Verdict past = limiter.ask(kNow, 9);
  CHECK(past.remaining == 5);
  CHECK(past.reset_after == 0);
}

TEST_CASE("gcra: no window admits more than the burst and the rate", "[limit]") {
  std::minstd_rand random(7);
  Limiter limiter(9, 10, 1);
  std::int64_t now = kNow;
  std::int64_t admitted = 0;
  while (now < kNow + 60 * kSecond) {
    now += std::uniform_int_distribution<std::int64_t>(0, 20'000)(random);
    const auto quantity = std::uniform_int_distribution<std::int64_t>(0, 3)(random);
    admitted += limiter.ask(now, quantity).limited ? 0 : quantity;
    REQUIRE(admitted <= 10 + (now - kNow) / 100'000);
  }
  CHECK(admitted >= 590);
}

TEST_CASE("gcra: who waits for retry_after is served", "[limit]") {
  std::minstd_rand random(11);
  Limiter limiter(4, 7, 3);
  std::int64_t now = kNow;
  for (int i = 0; i < 1000; ++i) {
    const auto quantity = std::uniform_int_distribution<std::int64_t>(1, 5)(random);
    const Verdict verdict = limiter.ask(now, quantity);
    if (verdict.limited) {
      REQUIRE(limiter.ask(now + verdict.retry_after - 1, quantity).limited);
      now += verdict.retry_after;
      REQUIRE_FALSE(limiter.ask(now, quantity).limited);
    }
  }
}

TEST_CASE("gcra: times are told in whole seconds, milliseconds up", "[limit]") {
  CHECK(whole_seconds(-1) == -1);
  CHECK(whole_seconds(0) == 0);
  CHECK(whole_seconds(999) == 0);
  CHECK(whole_seconds(1'000) == 1);
  CHECK(whole_seconds(999'999) == 1);
  CHECK(whole_seconds(1'000'000) == 1);
  CHECK(whole_seconds(1'000'999) == 1);
  CHECK(whole_seconds(1'001'000) == 2);
  CHECK(whole_seconds(3'900'000) == 4);
  CHECK(whole_seconds(kLongest) == kLongest / kSecond + 1);
}
