#include "pannier/cache/hot_keys.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using pannier::base::TimePoint;
using pannier::cache::HotKeys;

namespace {

constexpr TimePoint kStart{1h};

// Keys by popularity: the n-th is asked for in proportion to 1/n^skew.
class Zipf {
 public:
  Zipf(unsigned seed, std::size_t keys, double skew) : random_(seed) {
    double sum = 0;
    for (std::size_t n = 1; n <= keys; ++n) {
      sum += std::pow(static_cast<double>(n), -skew);
      sums_.push_back(sum);
    }
  }

  std::string next() {
    const double at =
        static_cast<double>(random_()) / static_cast<double>(std::mt19937::max()) * sums_.back();
    const auto found = std::lower_bound(sums_.begin(), sums_.end() - 1, at);
    return "key:" + std::to_string(found - sums_.begin());
  }

 private:
  std::mt19937 random_;
  std::vector<double> sums_;
};

// Names and counts, the most used first.
std::string listed(const HotKeys& keys, std::size_t most, TimePoint now) {
  std::string out;
  for (const HotKeys::Entry& entry : keys.top(most, now)) {
    out += entry.key + "=" + std::to_string(entry.count) +
           (entry.error > 0 ? "-" + std::to_string(entry.error) : "") + " ";
  }
  return out;
}

}  // namespace

TEST_CASE("hot_keys: a few keys are counted exactly") {
  HotKeys keys(4);
  REQUIRE(keys.top(10, kStart).empty());
  keys.note("a", 100, 1, kStart);
  keys.note("b", 10, 16, kStart);
  keys.note("a", 50, 2, kStart);
  REQUIRE(listed(keys, 10, kStart) == "b=16 a=3 ");
  REQUIRE(listed(keys, 1, kStart) == "b=16 ");
  REQUIRE(keys.top(2, kStart)[0].bytes == 160);
  REQUIRE(keys.top(2, kStart)[1].bytes == 200);
}

TEST_CASE("hot_keys: a new key takes over the least count, and says how wrong it may be") {
  HotKeys keys(2);
  keys.note("a", 0, 5, kStart);
  keys.note("b", 7, 3, kStart);
  keys.note("c", 1, 1, kStart);
  REQUIRE(listed(keys, 10, kStart) == "a=5 c=4-3 ");
  REQUIRE(keys.top(2, kStart)[1].bytes == 1);
  keys.note("b", 0, 2, kStart);
  REQUIRE(listed(keys, 10, kStart) == "b=6-4 a=5 ");
}

TEST_CASE("hot_keys: long keys are cut, empty and binary ones are keys") {
  HotKeys keys(4);
  const std::string start(HotKeys::kMaxKey, 'x');
  keys.note(start + "1", 0, 1, kStart);
  keys.note(start + "2", 0, 1, kStart);
  keys.note("", 0, 1, kStart);
  keys.note(std::string_view("\0\n", 2), 0, 1, kStart);
  const auto top = keys.top(4, kStart);
  REQUIRE(top.size() == 3);
  REQUIRE(top[0].key == start);
  REQUIRE(top[0].count == 2);
  REQUIRE(top[1].key.empty());
}

TEST_CASE("hot_keys: bounds hold against exact counts, and who has more than its share is found") {
  constexpr std::size_t kCapacity = 128;
  for (const double skew : {0.6, 0.99, 1.3}) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      CAPTURE(skew, seed);
      Zipf zipf(seed, 20'000, skew);
      std::minstd_rand random(seed);
      HotKeys keys(kCapacity);
      std::map<std::string, std::uint64_t> exact;
      std::uint64_t all = 0;
      for (int i = 0; i < 30'000; ++i) {
        const std::string key = zipf.next();
        const auto weight = static_cast<std::uint32_t>(1 + random() % 3);
        keys.note(key, 0, weight, kStart);
        exact[key] += weight;
        all += weight;
      }
      std::uint64_t sum = 0;
      std::map<std::string, bool> counted;
      for (const HotKeys::Entry& entry : keys.top(kCapacity, kStart)) {
        CAPTURE(entry.key);
        REQUIRE(entry.count >= exact[entry.key]);
        REQUIRE(entry.count - entry.error <= exact[entry.key]);
        REQUIRE(entry.error <= all / kCapacity);
        sum += entry.count;
        counted[entry.key] = true;
      }
      REQUIRE(sum == all);
      REQUIRE(counted.size() == kCapacity);
      for (const auto& [key, count] : exact) {
        if (count > all / kCapacity) {
          REQUIRE(counted[key]);
        }
      }
    }
  }
}

TEST_CASE("hot_keys: counts halve every minute, also when nobody notes any") {
  HotKeys keys(4);
  keys.note("a", 80, 1, kStart);
  keys.note("b", 0, 8, kStart);
  REQUIRE(listed(keys, 4, kStart + 60s - 1ns) == "b=8 a=1 ");
  REQUIRE(listed(keys, 4, kStart + 60s) == "b=4 ");
  REQUIRE(listed(keys, 4, kStart + 180s) == "b=1 ");
  REQUIRE(listed(keys, 4, kStart + 240s).empty());
  REQUIRE(listed(keys, 4, kStart + 24h).empty());
  keys.note("c", 0, 1, kStart + 120s);
  REQUIRE(listed(keys, 4, kStart + 120s) == "b=2 c=1 ");
  REQUIRE(listed(keys, 4, kStart + 179s) == "b=2 c=1 ");
  REQUIRE(listed(keys, 4, kStart + 180s) == "b=1 ");
  keys.note("d", 0, 3, kStart + 24h);
  REQUIRE(listed(keys, 4, kStart + 24h) == "d=3 ");
}

TEST_CASE("hot_keys: what was hot yesterday makes room") {
  HotKeys keys(2);
  keys.note("old", 0, 1'000'000, kStart);
  keys.note("older", 0, 1'000'000, kStart);
  TimePoint now = kStart;
  for (int minute = 0; minute < 30; ++minute) {
    now += 60s;
    for (int i = 0; i < 100; ++i) {
      keys.note(i % 2 == 0 ? "new" : "newer", 0, 1, now);
    }
  }
  REQUIRE(keys.top(2, now)[0].key.starts_with("new"));
  REQUIRE(keys.top(2, now)[1].key.starts_with("new"));
}

TEST_CASE("hot_keys: the rate is over the time that counts cover") {
  HotKeys keys(4);
  const auto rate = [&](TimePoint now) {
    return keys.top(1, now).at(0).per_second;
  };
  keys.note("k", 0, 16, kStart);
  REQUIRE(rate(kStart) == Approx(16));  // not more than what was seen in one second
  REQUIRE(rate(kStart + 4s) == Approx(4));
  TimePoint now = kStart;
  for (int second = 1; second <= 600; ++second) {
    now = kStart + second * 1s;
    keys.note("k", 0, 160, now);
    if (second > 20) {
      REQUIRE(rate(now) == Approx(160).epsilon(0.1));
    }
  }
  REQUIRE(rate(now) == Approx(160).epsilon(0.02));
}
