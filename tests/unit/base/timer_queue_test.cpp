#include "pannier/base/timer_queue.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using pannier::base::TimePoint;
using pannier::base::TimerQueue;

namespace {

TimePoint at(int ms) {
  return TimePoint{} + std::chrono::milliseconds(ms);
}

}  // namespace

TEST_CASE("timer_queue: what is due runs, earliest first, equals in order of adding", "[base]") {
  TimerQueue timers;
  std::string ran;
  timers.add(at(20), [&] { ran += 'c'; });
  timers.add(at(10), [&] { ran += 'a'; });
  timers.add(at(10), [&] { ran += 'b'; });
  timers.add(at(30), [&] { ran += 'd'; });
  REQUIRE(timers.next() == at(10));
  timers.run(at(9));
  REQUIRE(ran.empty());
  timers.run(at(20));
  REQUIRE(ran == "abc");
  REQUIRE(timers.next() == at(30));
  timers.run(at(1000));
  REQUIRE(ran == "abcd");
  REQUIRE_FALSE(timers.next());
}

TEST_CASE("timer_queue: cancelled is not run, cancelling late or never added is fine", "[base]") {
  TimerQueue timers;
  std::string ran;
  const auto a = timers.add(at(10), [&] { ran += 'a'; });
  const auto b = timers.add(at(10), [&] { ran += 'b'; });
  timers.cancel(a);
  timers.cancel(a);
  timers.cancel({});
  timers.run(at(10));
  timers.cancel(b);
  REQUIRE(ran == "b");
}

TEST_CASE("timer_queue: actions may add and cancel", "[base]") {
  TimerQueue timers;
  std::string ran;
  TimerQueue::Id victim;
  timers.add(at(1), [&] {
    ran += '1';
    timers.add(at(1), [&] { ran += '2'; });   // due now: in this run
    timers.add(at(50), [&] { ran += '3'; });  // later
    timers.cancel(victim);
  });
  victim = timers.add(at(2), [&] { ran += 'x'; });
  timers.run(at(10));
  REQUIRE(ran == "12");
  REQUIRE(timers.next() == at(50));
}

TEST_CASE("timer_queue: an action may cancel itself", "[base]") {
  TimerQueue timers;
  TimerQueue::Id own;
  int ran = 0;
  own = timers.add(at(1), [&] {
    timers.cancel(own);
    ++ran;
  });
  timers.run(at(1));
  timers.run(at(2));
  REQUIRE(ran == 1);
}
