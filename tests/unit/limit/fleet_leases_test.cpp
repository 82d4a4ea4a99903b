#include "pannier/limit/fleet_leases.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

using namespace pannier::limit;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNow = 1'000'000'000;
constexpr std::uint64_t kBucket = 4711;
using Kind = FleetLeases::Kind;

// The primary: the script's state of one bucket.
struct Primary {
  explicit Primary(const Rate& the_rate) : rate(the_rate) {}

  FleetLeases::Told ask(std::int64_t tokens, std::int64_t now) {
    ++asks;
    const Verdict verdict = take(rate, kept, now, tokens);
    kept = verdict.keep ? verdict.keep : kept;
    issued += verdict.limited ? 0 : tokens;
    return {!verdict.limited, verdict.remaining, verdict.reset_after};
  }

  Rate rate;
  std::optional<std::int64_t> kept;
  std::int64_t asks = 0;
  std::int64_t issued = 0;
};

// One sidecar whose every ask is answered at once.
struct Alone {
  Alone(std::uint64_t count, std::int64_t period, std::uint64_t burst)
      : rate(FleetLeases::rate_of(count, period, burst)),
        primary(rate) {}

  // Whether it was admitted.
  bool request(std::int64_t now, std::int64_t quantity = 1) {
    FleetLeases::Answer answer = leases.spend(rate, kBucket, quantity, 1, now);
    for (;;) {
      std::vector<FleetLeases::Settled> settled;
      if (answer.ask > 0) {
        leases.answered(
            rate, {kBucket, answer.ask, now}, primary.ask(answer.ask, now), now, settled);
      }
      if (answer.kind != Kind::Wait) {
        retry_after = answer.retry_after;
        return answer.kind == Kind::Spent;
      }
      REQUIRE(settled.size() == 1);
      if (settled[0].paid) {
        return true;
      }
      answer = leases.spend(rate, kBucket, quantity, 1, now);
    }
  }

  Rate rate;
  Primary primary;
  FleetLeases leases{1};
  std::int64_t retry_after = 0;
};

// Several sidecars, with the time that messages take.
struct Fleet {
  struct Message {
    std::int64_t due = 0;
    std::size_t sidecar = 0;
    std::int64_t ask = 0;
    std::int64_t sent = 0;
    std::optional<FleetLeases::Told> told;
  };

  Fleet(const Rate& the_rate, std::size_t count) : rate(the_rate), primary(the_rate) {
    for (std::size_t i = 0; i < count; ++i) {
      sidecars.push_back(std::make_unique<FleetLeases>(static_cast<std::uint32_t>(i + 1)));
    }
    admitted.resize(count);
  }

  void request(std::size_t sidecar, std::int64_t now) {
    const auto answer = sidecars[sidecar]->spend(rate, kBucket, 1, 1, now);
    send(sidecar, answer.ask, now);
    if (answer.kind == Kind::Spent) {
      admit(sidecar, now);
    }
  }

  void admit(std::size_t sidecar, std::int64_t now) {
    ++admitted[sidecar];
    times.push_back(now);
  }

  void send(std::size_t sidecar, std::int64_t ask, std::int64_t now) {
    if (ask > 0) {
      messages.push_back({now + delay(), sidecar, ask, now, std::nullopt});
    }
  }

  std::int64_t delay() { return std::uniform_int_distribution<std::int64_t>(200, 1500)(random); }

  void deliver(std::int64_t now) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      Message message = messages[i];
      if (message.due > now) {
        continue;
      }
      messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(i--));
      if (!message.told) {
        message.told = primary.ask(message.ask, now);
        message.due = now + delay();
        messages.push_back(message);
        continue;
      }
      std::vector<FleetLeases::Settled> settled;
      sidecars[message.sidecar]->answered(
          rate, {kBucket, message.ask, message.sent}, *message.told, now, settled);
      for (const auto& each : settled) {
        if (each.paid) {
          admit(message.sidecar, now);
        } else {
          request(message.sidecar, now);
        }
      }
    }
  }

  // The most admitted in any window of this length beyond what may be.
  [[nodiscard]] bool within_bound(std::int64_t window) const {
    std::size_t first = 0;
    const auto most =
        static_cast<std::size_t>(rate.limit() + rate.tokens_in(window + FleetLeases::kTau) + 1);
    for (std::size_t last = 0; last < times.size(); ++last) {
      while (times[last] - times[first] > window) {
        ++first;
      }
      if (last - first + 1 > most) {
        return false;
      }
    }
    return true;
  }

  Rate rate;
  Primary primary;
  std::vector<std::unique_ptr<FleetLeases>> sidecars;
  std::vector<std::int64_t> admitted;
  std::vector<std::int64_t> times;
  std::deque<Message> messages;
  std::minstd_rand random{3};
};

}  // namespace

TEST_CASE("fleet leases: alone, one sidecar admits what the limit says", "[limit]") {
  Alone alone(1, kSecond, 4);
  for (int i = 0; i < 5; ++i) {
    CHECK(alone.request(kNow));
  }
  CHECK_FALSE(alone.request(kNow));
  CHECK(alone.retry_after == kSecond);
  CHECK_FALSE(alone.request(kNow, 6));
  CHECK(alone.retry_after == -1);
  CHECK_FALSE(alone.request(kNow + kSecond - 1));
  CHECK(alone.request(kNow + kSecond));
  CHECK_FALSE(alone.request(kNow + kSecond));
  CHECK(alone.request(kNow + 60 * kSecond, 5));
}

TEST_CASE("fleet leases: a refusal is remembered, the primary is not asked again before",
          "[limit]") {
  Alone alone(1, kSecond, 0);
  REQUIRE(alone.request(kNow));
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(alone.request(kNow + i * 900));
  }
  CHECK(alone.primary.asks <= 2);
}

TEST_CASE("fleet leases: a busy sidecar asks for many tokens at once", "[limit]") {
  Alone alone(10'000, kSecond, 1000);
  std::int64_t admitted = 0;
  for (std::int64_t now = kNow; now < kNow + 10 * kSecond; now += 200) {
    admitted += alone.request(now) ? 1 : 0;  // half of the rate
  }
  CHECK(admitted == 50'000);
  CHECK(alone.primary.asks < 50'000 / 20);
  CHECK(alone.primary.issued <= admitted + 500);
}

TEST_CASE("fleet leases: who asks seldom wastes nothing", "[limit]") {
  Alone alone(60, 60 * kSecond, 20);
  for (std::int64_t now = kNow; now < kNow + 600 * kSecond; now += kSecond) {
    CHECK(alone.request(now));
  }
  CHECK(alone.primary.issued == 600);
  CHECK(alone.leases.wasted() == 0);
}

TEST_CASE("fleet leases: tokens are dropped when they are old", "[limit]") {
  Alone alone(10'000, kSecond, 1000);
  std::int64_t now = kNow;
  for (; now < kNow + kSecond; now += 200) {
    REQUIRE(alone.request(now));
  }
  const std::int64_t held = alone.primary.issued - 5000;
  REQUIRE(held > 0);
  CHECK(alone.request(now + FleetLeases::kTau));
  CHECK(alone.leases.wasted() == static_cast<std::uint64_t>(held));
}

TEST_CASE("fleet leases: eight sidecars under overload share the rate", "[limit]") {
  struct Row {
    std::uint64_t count;
    std::uint64_t burst;
    std::int64_t demand;     // per second and sidecar
    std::int64_t most_asks;  // percent of what is admitted
  };

  for (const Row& row : {Row{1000, 200, 1000, 25},
                         Row{1000, 50, 5000, 80},
                         Row{200, 20, 1000, 160},
                         Row{20'000, 2000, 10'000, 10}}) {
    CAPTURE(row.count, row.burst, row.demand);
    Fleet fleet(FleetLeases::rate_of(row.count, kSecond, row.burst), 8);
    constexpr std::int64_t kStep = 100;
    constexpr std::int64_t kSpan = 10 * kSecond;
    std::vector<std::int64_t> debt(8, 0);
    for (std::int64_t now = kNow; now < kNow + kSpan; now += kStep) {
      fleet.deliver(now);
      for (std::size_t i = 0; i < 8; ++i) {
        for (debt[i] += row.demand * kStep; debt[i] >= kSecond; debt[i] -= kSecond) {
          fleet.request(i, now);
        }
      }
    }
    const auto total = static_cast<std::int64_t>(fleet.times.size());
    std::sort(fleet.times.begin(), fleet.times.end());
    const auto rate = static_cast<std::int64_t>(row.count);
    CHECK(total <= fleet.rate.limit() + rate * (kSpan + FleetLeases::kTau) / kSecond);
    CHECK(total >= rate * kSpan / kSecond * 95 / 100);
    CHECK(fleet.within_bound(kSecond));
    CHECK(fleet.within_bound(kSecond / 10));
    const auto [least, most] = std::minmax_element(fleet.admitted.begin(), fleet.admitted.end());
    INFO("asks " << fleet.primary.asks << " admitted " << total << " least " << *least << " most "
                 << *most);
    CHECK(*least * 3 > *most);
    CHECK(fleet.primary.asks < total * row.most_asks / 100);
  }
}

TEST_CASE("fleet leases: who waits is settled in order, with what there is", "[limit]") {
  const Rate rate = FleetLeases::rate_of(100, kSecond, 99);
  FleetLeases leases(1);
  const auto first = leases.spend(rate, kBucket, 3, 11, kNow);
  CHECK(first.kind == Kind::Wait);
  REQUIRE(first.ask == 3);
  CHECK(leases.spend(rate, kBucket, 2, 12, kNow).kind == Kind::Wait);
  CHECK(leases.spend(rate, kBucket, 1, 13, kNow).ask == 0);
  std::vector<FleetLeases::Settled> settled;
  leases.answered(rate, {kBucket, 3, kNow}, {true, 97, 30'000}, kNow + 500, settled);
  REQUIRE(settled.size() == 3);
  CHECK(settled[0].waiter == 11);
  CHECK(settled[0].paid);
  CHECK_FALSE(settled[1].paid);
  CHECK(settled[2].waiter == 13);
  CHECK_FALSE(settled[2].paid);
  CHECK(leases.spend(rate, kBucket, 2, 12, kNow + 500).ask == 3);  // for both
  leases.give_back(kBucket, 1);
  settled.clear();
  leases.answered(rate, {kBucket, 3, kNow + 500}, {true, 94, 60'000}, kNow + 900, settled);
  REQUIRE(settled.size() == 1);
  CHECK(settled[0].paid);
  CHECK(leases.spend(rate, kBucket, 2, 13, kNow + 900).kind == Kind::Spent);
}

TEST_CASE("fleet leases: while the primary is away nobody waits, and it is asked once a second",
          "[limit]") {
  const Rate rate = FleetLeases::rate_of(100, kSecond, 99);
  FleetLeases leases(1);
  std::vector<FleetLeases::Settled> settled;
  REQUIRE(leases.spend(rate, kBucket, 1, 5, kNow).kind == Kind::Wait);
  leases.failed(kBucket, kNow, settled);
  REQUIRE(settled.size() == 1);
  CHECK_FALSE(settled[0].paid);
  int asks = 0;
  for (std::int64_t now = kNow; now < kNow + 5 * kSecond; now += 1000) {
    const auto answer = leases.spend(rate, kBucket, 1, 5, now);
    REQUIRE(answer.kind == Kind::Away);
    asks += answer.ask > 0 ? 1 : 0;
    if (answer.ask > 0) {
      leases.failed(kBucket, now, settled);
    }
  }
  CHECK(asks == 4);
  const std::int64_t back = kNow + 10 * kSecond;
  const auto answer = leases.spend(rate, kBucket, 1, 5, back);
  REQUIRE(answer.ask > 0);
  leases.answered(rate, {kBucket, answer.ask, back}, {true, 99, 10'000}, back, settled);
  CHECK(leases.spend(rate, kBucket, 1, 5, back).kind == Kind::Spent);
}

TEST_CASE("fleet leases: more buckets than there is room for", "[limit]") {
  const Rate rate = FleetLeases::rate_of(1, kSecond, 0);
  FleetLeases leases(1);
  std::minstd_rand random(5);
  std::vector<FleetLeases::Settled> settled;
  std::vector<std::uint64_t> waiting;
  std::size_t away = 0;
  for (std::uint64_t i = 0; i < 3 * FleetLeases::kBuckets; ++i) {
    const std::uint64_t key = (std::uint64_t{random()} << 32U) + random();
    const auto answer = leases.spend(rate, key, 1, i, kNow);
    if (answer.kind == Kind::Away) {
      ++away;
    } else {
      REQUIRE(answer.ask == 1);
      waiting.push_back(key);
    }
  }
  CHECK(away > 0);
  CHECK(waiting.size() <= FleetLeases::kBuckets);
  for (const std::uint64_t key : waiting) {
    leases.answered(rate, {key, 1, kNow}, {true, 0, kSecond}, kNow, settled);
  }
  CHECK(settled.size() == waiting.size());
  CHECK(std::all_of(settled.begin(), settled.end(), [](const auto& each) { return each.paid; }));
}
