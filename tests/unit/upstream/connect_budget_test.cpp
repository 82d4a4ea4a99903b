#include "pannier/upstream/connect_budget.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier;
using upstream::ConnectBudget;
using For = ConnectBudget::For;

namespace {

constexpr base::TimePoint kStart{1000s};

int take_all(ConnectBudget& budget, For use, base::TimePoint now, route::NodeId node = 0) {
  int taken = 0;
  while (budget.take(node, use, now) == base::Duration::zero()) {
    ++taken;
  }
  return taken;
}

}  // namespace

TEST_CASE("connect_budget: a burst, then pinned.max within pinned.wait, each node for itself") {
  config::Config config;
  ConnectBudget budget(config);
  budget.note_trouble(0, kStart);
  budget.note_trouble(1, kStart);
  REQUIRE(take_all(budget, For::Lane, kStart) == ConnectBudget::kBurst);
  REQUIRE(take_all(budget, For::Lane, kStart, 1) == ConnectBudget::kBurst);
  REQUIRE(take_all(budget, For::Lane, kStart) == 0);
  const auto wait = budget.take(0, For::Lane, kStart);
  REQUIRE(wait > 0s);
  REQUIRE(take_all(budget, For::Lane, kStart + wait) == 1);
  int taken = 0;
  for (auto now = kStart + 10ms; now <= kStart + 1s; now += 10ms) {
    taken += take_all(budget, For::Pinned, now);
  }
  REQUIRE(taken <= 512);
  REQUIRE(taken >= 512 - ConnectBudget::kBurst);
}

TEST_CASE("connect_budget: exclusive connections leave some for lanes") {
  ConnectBudget budget{config::Config()};
  budget.note_trouble(0, kStart);
  REQUIRE(take_all(budget, For::Pinned, kStart) ==
          ConnectBudget::kBurst - ConnectBudget::kForLanes);
  REQUIRE(take_all(budget, For::Lane, kStart) == ConnectBudget::kForLanes);
}

TEST_CASE("connect_budget: never slower than kLeast a second") {
  config::Config config;
  config.upstream.pinned.max = 4;
  config.upstream.pinned.wait = 10s;
  ConnectBudget budget(config);
  budget.note_trouble(0, kStart);
  budget.note_trouble(1, kStart);
  static_cast<void>(take_all(budget, For::Lane, kStart));
  REQUIRE(take_all(budget, For::Lane, kStart + 1s) == ConnectBudget::kLeast);
}

TEST_CASE("connect_budget: threads together get no more than there is") {
  ConnectBudget budget{config::Config()};
  budget.note_trouble(0, kStart);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { taken += take_all(budget, For::Lane, kStart); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  REQUIRE(taken == ConnectBudget::kBurst);
}

TEST_CASE("connect_budget: a node that is well is opened as many connections to as are wanted") {
  ConnectBudget budget{config::Config()};
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(budget.take(0, For::Pinned, kStart) == base::Duration::zero());
  }
  budget.note_trouble(0, kStart);
  REQUIRE(take_all(budget, For::Lane, kStart) == ConnectBudget::kBurst);
  REQUIRE(budget.take(1, For::Pinned, kStart) == base::Duration::zero());
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(budget.take(0, For::Lane, kStart + ConnectBudget::kTrouble) == base::Duration::zero());
  }
}
