#include "pannier/net/poller.hpp"

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace pannier;
using namespace std::chrono_literals;

namespace {

struct Hooks final : net::TurnHooks {
  void begin_turn() override { ++begun; }

  void end_turn() override { ++ended; }

  int begun = 0;
  int ended = 0;
};

std::optional<base::TimePoint> in(base::Duration time) {
  return base::Clock::now() + time;
}

}  // namespace

TEST_CASE("poller: what is posted runs in one turn, in its order", "[net]") {
  Hooks hooks;
  net::Poller poller(hooks);
  std::string ran;
  poller.post([&] { ran += "a"; });
  poller.post([&] {
    ran += "b";
    REQUIRE(hooks.begun == 1);
    REQUIRE(hooks.ended == 0);
    poller.post([&] { ran += "c"; });
  });
  poller.run_turn(in(10s));
  REQUIRE(ran == "ab");
  REQUIRE(hooks.ended == 1);
  poller.run_turn(in(10s));
  REQUIRE(ran == "abc");
  REQUIRE(poller.run_turn(base::Clock::now()) == 0);
  REQUIRE(hooks.ended == 3);
}

TEST_CASE("poller: a post or a wake from another thread ends a sleep", "[net]") {
  Hooks hooks;
  net::Poller poller(hooks);
  int ran = 0;
  for (int i = 0; i < 1000; ++i) {
    std::thread other([&] { i % 2 == 0 ? poller.post([&] { ++ran; }) : poller.wake(); });
    REQUIRE(poller.run_turn(std::nullopt) == 1);
    other.join();
  }
  REQUIRE(ran == 500);
}

TEST_CASE("poller: no post of many threads is lost", "[net]") {
  constexpr int kThreads = 4;
  constexpr int kPosts = 5000;
  Hooks hooks;
  net::Poller poller(hooks);
  std::vector<int> last(kThreads, 0);
  int ran = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 1; i <= kPosts; ++i) {
        poller.post([&, thread, i] {
          REQUIRE(last.at(static_cast<std::size_t>(thread)) + 1 == i);
          last.at(static_cast<std::size_t>(thread)) = i;
          ++ran;
        });
      }
    });
  }
  const auto patience = base::Clock::now() + 20s;
  while (ran < kThreads * kPosts && base::Clock::now() < patience) {
    poller.run_turn(in(1s));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  REQUIRE(ran == kThreads * kPosts);
}

TEST_CASE("poller: a sleep lasts until its time and no longer than what comes", "[net]") {
  Hooks hooks;
  net::Poller poller(hooks);
  const auto start = base::Clock::now();
  REQUIRE(poller.run_turn(start + 20ms) == 0);
  REQUIRE(base::Clock::now() >= start + 20ms);
  REQUIRE(poller.run_turn(start) == 0);  // over already

  struct Counted final : net::Pollable {
    void on_events(std::uint32_t events) override { seen |= events; }

    std::uint32_t seen = 0;
  } counted;

  const int descriptor = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  poller.add(descriptor, &counted, EPOLLIN);
  REQUIRE(poller.run_turn(std::nullopt) == 1);
  REQUIRE(counted.seen == EPOLLIN);
  poller.remove(descriptor, &counted);
  REQUIRE(poller.run_turn(base::Clock::now()) == 0);
  ::close(descriptor);
}
