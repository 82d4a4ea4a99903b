#include "pannier/base/memory_budget.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace std::chrono_literals;
using namespace pannier::base;  // NOLINT(google-build-using-namespace)

namespace {

// A process of so much resident memory, and a clock.
struct Process {
  explicit Process(std::size_t workers = 1)
      : budget(1000, workers, [this] {
          ++readings;
          return reading;
        }) {}

  MemoryBudget::Allowance report(std::size_t held, std::size_t worker = 0) {
    MemoryHeld all{};
    all[static_cast<std::size_t>(MemoryOwner::Output)] = held;
    return budget.report(worker, all, now);
  }

  // So late that the system is asked again.
  MemoryBudget::Allowance report_later(std::size_t held) {
    now += 60ms;
    return report(held);
  }

  MemoryReading reading{100, 0, 0};
  int readings = 0;
  TimePoint now = Clock::now();
  MemoryBudget budget;
};

}  // namespace

TEST_CASE("memory budget: levels begin higher than they end", "[base]") {
  Process process;
  const auto level_at = [&](std::size_t resident) {
    process.reading.resident = resident;
    return process.report_later(0).level;
  };
  CHECK(level_at(800) == MemoryLevel::Normal);
  CHECK(level_at(801) == MemoryLevel::Tight);
  CHECK(level_at(730) == MemoryLevel::Tight);
  CHECK(level_at(720) == MemoryLevel::Normal);
  CHECK(level_at(931) == MemoryLevel::Full);
  CHECK(level_at(851) == MemoryLevel::Full);
  CHECK(level_at(850) == MemoryLevel::Tight);
  CHECK(level_at(100) == MemoryLevel::Normal);
}

TEST_CASE("memory budget: the system is asked every 50 ms, every 20 ms above half", "[base]") {
  Process process;
  CHECK(process.report(0).has_read);
  process.now += 49ms;
  CHECK_FALSE(process.report(0).has_read);
  process.now += 1ms;
  process.reading.resident = 600;
  CHECK(process.report(0).has_read);
  process.now += 50ms;
  CHECK(process.report(0).has_read);
  process.now += 20ms;
  CHECK(process.report(0).has_read);
  CHECK(process.readings == 4);
}

TEST_CASE("memory budget: what is held since the last reading is added to it", "[base]") {
  Process process;
  process.reading.resident = 300;
  CHECK(process.report(100).level == MemoryLevel::Normal);
  CHECK(process.budget.estimate() == 300);
  CHECK(process.report(700).level == MemoryLevel::Tight);
  CHECK(process.budget.estimate() == 900);
  CHECK(process.budget.excess_over(MemoryLevel::Tight) == 180);
  CHECK(process.report(0).level == MemoryLevel::Normal);
  CHECK(process.budget.estimate() == 200);
}

TEST_CASE("memory budget: a worker is told how much more it may hold", "[base]") {
  Process one;
  one.reading.resident = 300;
  const auto alone = one.report(100);
  CHECK(alone.tight_from == 100 + 500);
  CHECK(alone.full_from == 100 + 630);
  Process two(2);
  two.reading.resident = 300;
  CHECK(two.report(100).tight_from == 100 + 250);
  CHECK(two.report(100, 1).tight_from == 100 + 200);  // 100 more are held
}

TEST_CASE("memory budget: a cgroup that is nearly full is tight", "[base]") {
  Process process;
  process.reading = {100, 91, 100};
  CHECK(process.report_later(0).level == MemoryLevel::Tight);
  process.reading = {100, 99, 100};
  CHECK(process.report_later(0).level == MemoryLevel::Tight);  // others have it
  process.reading = {600, 99, 100};
  CHECK(process.report_later(0).level == MemoryLevel::Full);
  process.reading = {600, 50, 100};
  CHECK(process.report_later(0).level == MemoryLevel::Normal);
}

TEST_CASE("memory budget: without one nothing is ever tight", "[base]") {
  MemoryBudget budget(0, 1, [] { return MemoryReading{std::size_t{1} << 40U, 0, 0}; });
  CHECK(budget.report(0, {}, Clock::now()).level == MemoryLevel::Normal);
}

TEST_CASE("memory budget: of this process something is known", "[base]") {
  const auto read = system_memory_reader(std::size_t{1} << 40U);
  const MemoryReading reading = read();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(reading.resident > 500'000);
#endif
  CHECK(reading.resident < std::size_t{1} << 34U);
}
