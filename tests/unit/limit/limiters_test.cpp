#include "pannier/limit/limiters.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

using namespace pannier::limit;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNow = 1'700'000'000'123'456;

Definition every_second(bool has_subjects, std::uint64_t burst = 4) {
  return {"search", 1, kSecond, burst, has_subjects};
}

}  // namespace

TEST_CASE("limiters: redis-cell's own vectors", "[limit]") {
  struct Row {
    std::int64_t ms;
    std::int64_t quantity;
    bool limited;
    std::int64_t retry_ms;
  };

  constexpr std::array<Row, 14> kRows{{{0, 6, true, -1},
                                       {0, 1, false, -1},
                                       {0, 1, false, -1},
                                       {0, 1, false, -1},
                                       {0, 1, false, -1},
                                       {0, 1, false, -1},
                                       {0, 1, true, 1000},
                                       {3000, 1, false, -1},
                                       {3100, 1, false, -1},
                                       {4000, 1, false, -1},
                                       {8000, 1, false, -1},
                                       {9500, 1, false, -1},
                                       {9500, 2, false, -1},
                                       {9500, 5, true, 3000}}};
  for (const bool has_subjects : {false, true}) {
    Limiters limiters;
    const Limit limit = limiters.prepare(every_second(has_subjects));
    CHECK(limit.most() == 5);
    for (const Row& row : kRows) {
      CAPTURE(has_subjects, row.ms, row.quantity);
      const Taken taken = limiters.take(limit, 7, row.quantity, kNow + row.ms * 1000);
      CHECK(taken.limited == row.limited);
      CHECK(taken.retry_after == (row.retry_ms < 0 ? -1 : row.retry_ms * 1000));
    }
  }
}

TEST_CASE("limiters: subjects and limits do not know of each other", "[limit]") {
  Limiters limiters;
  const Limit one = limiters.prepare({"one", 1, kSecond, 0, true});
  const Limit two = limiters.prepare({"two", 1, kSecond, 0, true});
  const Limit all = limiters.prepare({"all", 1, kSecond, 0, false});
  for (const std::uint64_t subject : {0U, 1U, 2U, 3U}) {
    CHECK_FALSE(limiters.take(one, subject, 1, kNow).limited);
    CHECK_FALSE(limiters.take(two, subject, 1, kNow).limited);
    CHECK(limiters.take(one, subject, 1, kNow).limited);
  }
  CHECK_FALSE(limiters.take(all, 0, 1, kNow).limited);
  CHECK(limiters.take(all, 1, 1, kNow).limited);
  CHECK(limiters.entries(kNow) == 8);
  CHECK(limiters.entries(kNow + kSecond) == 0);
  CHECK(limiters.evictions() == 0);
}

TEST_CASE("limiters: threads together get exactly what there is", "[limit]") {
  constexpr int kThreads = 4;
  constexpr std::int64_t kStep = 100;  // per round, in which 10 tokens come
  constexpr int kRounds = 2000;
  for (const bool has_subjects : {false, true}) {
    Limiters limiters;
    const Limit limit = limiters.prepare({"hot", 100'000, kSecond, 99, has_subjects});
    std::atomic<std::int64_t> admitted{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        std::int64_t own = 0;
        for (int round = 0; round < kRounds; ++round) {
          while (!limiters.take(limit, 1, 1, kNow + round * kStep).limited) {
            ++own;
          }
        }
        admitted += own;
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(admitted == 100 + (kRounds - 1) * kStep / 10);
  }
}

TEST_CASE("limiters: what is given back is there again, what has come anew meanwhile is not",
          "[limit]") {
  for (const bool has_subjects : {false, true}) {
    Limiters limiters;
    const Limit limit = limiters.prepare(every_second(has_subjects));
    REQUIRE_FALSE(limiters.take(limit, 1, 5, kNow).limited);
    limiters.give_back(limit, 1, 2, kNow, kNow);
    CHECK(limiters.take(limit, 1, 3, kNow).limited);
    CHECK_FALSE(limiters.take(limit, 1, 2, kNow).limited);
    CHECK(limiters.take(limit, 1, 1, kNow).limited);

    const std::int64_t later = kNow + 5 * kSecond;
    REQUIRE_FALSE(limiters.take(limit, 1, 5, later).limited);
    limiters.give_back(limit, 1, 2, kNow, later);
    CHECK(limiters.take(limit, 1, 1, later).limited);
  }
}

TEST_CASE("limiters: a limit that did not change keeps its state when it is prepared again",
          "[limit]") {
  for (const bool has_subjects : {false, true}) {
    Limiters limiters;
    const Definition same{"search", 1, kSecond, 1, has_subjects};
    REQUIRE_FALSE(limiters.take(limiters.prepare(same), 1, 2, kNow).limited);
    static_cast<void>(limiters.prepare({"another", 1, kSecond, 1, has_subjects}));
    CHECK(limiters.take(limiters.prepare(same), 1, 1, kNow).limited);
    for (const Definition& changed : {Definition{"search2", 1, kSecond, 1, has_subjects},
                                      Definition{"search", 2, kSecond, 1, has_subjects},
                                      Definition{"search", 1, 2 * kSecond, 1, has_subjects},
                                      Definition{"search", 1, kSecond, 2, has_subjects}}) {
      CHECK_FALSE(limiters.take(limiters.prepare(changed), 1, 1, kNow).limited);
    }
  }
}

TEST_CASE("limiters: more limits without subjects than there are places", "[limit]") {
  Limiters limiters;
  std::vector<Limit> limits;
  for (std::uint64_t i = 1; i <= 1500; ++i) {
    limits.push_back(limiters.prepare({"all", i, 60 * kSecond, 0, false}));
  }
  for (const Limit& limit : limits) {
    CHECK_FALSE(limiters.take(limit, 0, 1, kNow).limited);
    CHECK(limiters.take(limit, 0, 1, kNow).limited);
  }
}

TEST_CASE("limiters: a full table lets the ones go that need it least", "[limit]") {
  Limiters limiters;
  const Limit limit = limiters.prepare({"user", 1, kSecond, 9, true});
  constexpr std::uint64_t kFew = 1000;
  for (std::uint64_t subject = 0; subject < kFew; ++subject) {
    REQUIRE_FALSE(limiters.take(limit, subject, 10, kNow).limited);
  }
  for (std::uint64_t subject = kFew; subject < 3 * Limiters::kEntries; ++subject) {
    static_cast<void>(limiters.take(limit, subject, 1, kNow));
  }
  CHECK(limiters.evictions() > Limiters::kEntries);
  CHECK(limiters.entries(kNow) <= Limiters::kEntries);
  CHECK(limiters.entries(kNow) > Limiters::kEntries * 9 / 10);
  for (std::uint64_t subject = 0; subject < kFew; ++subject) {
    CHECK(limiters.take(limit, subject, 1, kNow).limited);
  }

  const std::uint64_t before = limiters.evictions();
  const std::int64_t later = kNow + 10 * kSecond;
  for (std::uint64_t subject = 0; subject < kFew; ++subject) {
    static_cast<void>(limiters.take(limit, ~subject, 1, later));
  }
  CHECK(limiters.evictions() == before);
  CHECK(limiters.entries(later) == kFew);
}

TEST_CASE("limiters: bytes, more than one in a microsecond", "[limit]") {
  constexpr std::uint64_t kPerSecond = 100 * 1024 * 1024;
  constexpr std::int64_t kBurst = 64 * 1024;
  Limiters limiters;
  const Limit limit = limiters.prepare({"bytes", kPerSecond, kSecond, kBurst, true});
  CHECK(limit.most() == kBurst + 1);
  CHECK(limiters.take(limit, 1, kBurst + 2, kNow).retry_after == -1);
  std::int64_t admitted = 0;
  for (std::int64_t now = kNow; now < kNow + kSecond; now += 50) {
    while (!limiters.take(limit, 1, 37, now).limited) {
      admitted += 37;
    }
  }
  CHECK(admitted <= kBurst + 1 + static_cast<std::int64_t>(kPerSecond));
  CHECK(admitted >= static_cast<std::int64_t>(kPerSecond) * 97 / 100);
  const Taken refused = limiters.take(limit, 1, kBurst, kNow + kSecond);
  REQUIRE(refused.limited);
  CHECK_FALSE(limiters.take(limit, 1, kBurst, kNow + kSecond + refused.retry_after).limited);
}
