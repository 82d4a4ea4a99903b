#include "breaker.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using namespace pannier;
using route::BreakerState;
using route::Failure;
using upstream::Breaker;

namespace {

// A breaker that has been closed for long, its clock, and how often it changed.
struct Watched {
  void fails(Failure failure, std::uint32_t count, bool spared = false) {
    breaker.count_failures(failure, count, spared, now);
    look();
  }

  void replies(std::uint64_t more) {
    breaker.count_replies(total += more, now);
    look();
  }

  // A probe that took so long.
  void probe_fails(base::Duration took = 1ms) {
    breaker.probe_failed("connection refused", now - took, now);
    look();
  }

  void probe_good(bool primary = false) {
    breaker.probe_answered(primary, now);
    look();
  }

  void look() {
    if (const auto transition = breaker.take_transition()) {
      last = *transition;
      ++changes;
    }
  }

  // Closes it by probes, however long it rests; the time until it was half-open.
  base::Duration recover(bool primary = false) {
    const auto from = now;
    while (breaker.state() == BreakerState::Open) {
      now += 10ms;
      probe_good(primary);
      REQUIRE(now - from < 1min);
    }
    const auto out = now - from;
    for (unsigned i = 0; i < Breaker::kGoodProbes; ++i) {
      now += 400ms;
      probe_good(primary);
    }
    REQUIRE(breaker.state() == BreakerState::Closed);
    return out;
  }

  [[nodiscard]] BreakerState state() const { return breaker.state(); }

  base::TimePoint now{1000s};
  Breaker breaker{7, base::TimePoint(0s)};
  std::uint64_t total = 100;
  Breaker::Transition last;
  int changes = 0;
};

}  // namespace

TEST_CASE("breaker: a restart that is over within the ride-out is never opened") {
  Watched node;
  node.probe_fails();
  node.now += 140ms;
  node.probe_fails();
  node.now += 140ms;
  node.probe_fails();
  REQUIRE(node.state() == BreakerState::Closed);
  node.now += 60ms;
  node.probe_good();
  node.now += 10s;
  node.probe_fails();  // another trouble: the clock begins anew
  node.now += 290ms;
  node.probe_fails();
  REQUIRE(node.changes == 0);
}

TEST_CASE("breaker: a node that stays away is opened once, and usable with its first answer") {
  Watched node;
  for (int i = 0; i < 40; ++i) {
    node.probe_fails();
    REQUIRE((node.state() == BreakerState::Open) == (i * 60 + 1 >= 300));
    node.now += 60ms;
  }
  REQUIRE(node.changes == 1);
  REQUIRE(node.last.reason == "it does not answer the prober: connection refused");
  REQUIRE(node.last.lasted >= 1000s);
  node.probe_good();
  REQUIRE(node.state() == BreakerState::HalfOpen);
  node.probe_good();
  node.probe_good();
  REQUIRE(node.state() == BreakerState::HalfOpen);
  node.probe_good();
  REQUIRE(node.state() == BreakerState::Closed);
  REQUIRE(node.changes == 3);
}

TEST_CASE("breaker: silence counts from the question on, and needs a second one") {
  Watched node;
  node.probe_fails(400ms);
  REQUIRE(node.state() == BreakerState::Closed);
  node.now += 50ms;
  node.probe_fails();
  REQUIRE(node.state() == BreakerState::Open);
}

TEST_CASE("breaker: a node that workers still hear is not opened, though the prober is refused") {
  Watched node;
  node.replies(0);
  for (int i = 0; i < 100; ++i) {
    node.replies(1);
    node.probe_fails();
    node.now += 60ms;
  }
  REQUIRE(node.changes == 0);
  for (int i = 0; i < 7; ++i) {
    node.probe_fails();
    node.now += 60ms;
  }
  REQUIRE(node.state() == BreakerState::Open);
}

TEST_CASE("breaker: failures without a reply between open it, with replies they do not") {
  Watched node;
  node.replies(0);
  node.fails(Failure::Attempt, 4);
  node.replies(1);
  node.fails(Failure::Attempt, 4);
  REQUIRE(node.state() == BreakerState::Closed);
  node.fails(Failure::Connect, 1);
  REQUIRE(node.state() == BreakerState::Open);
  REQUIRE(node.last.reason == "5 failures without a reply between, the last one: no connection");
}

TEST_CASE("breaker: half of the requests of ten seconds open it, not half of a few") {
  Watched node;
  node.replies(0);
  for (int i = 0; i < 9; ++i) {
    node.replies(1);
    node.fails(Failure::Attempt, 1);
    node.now += 200ms;
  }
  REQUIRE(node.state() == BreakerState::Closed);
  node.replies(1);
  node.fails(Failure::Attempt, 1);
  REQUIRE(node.state() == BreakerState::Open);
  REQUIRE(node.last.reason == "10 of 20 requests failed in 10 s");
}

TEST_CASE("breaker: what is older than the window counts no more, nor a small share") {
  Watched node;
  node.replies(0);
  for (int i = 0; i < 200; ++i) {  // one of two fails, but only 16 within ten seconds
    node.replies(1);
    node.fails(Failure::Attempt, 1);
    node.now += 1250ms;
  }
  for (int i = 0; i < 200; ++i) {
    node.replies(6);
    node.fails(Failure::Attempt, 4);
    node.now += 100ms;
  }
  REQUIRE(node.changes == 0);
}

TEST_CASE("breaker: a primary that answers and the last ready node are never opened") {
  Watched node;
  node.fails(Failure::Attempt, 1000, true);
  REQUIRE(node.changes == 0);
  node.fails(Failure::Attempt, 4);  // no longer spared: what was before is forgotten
  REQUIRE(node.changes == 0);
}

TEST_CASE("breaker: opened by workers it rests, ever longer up to the cap") {
  Watched node;
  base::Duration longest = 0s;
  for (int i = 0; i < 8; ++i) {
    node.fails(Failure::Attempt, 5);
    REQUIRE(node.state() == BreakerState::Open);
    const auto rest = node.recover();
    const auto least = std::min<base::Duration>(250ms * (1 << i), Breaker::kLongest / 2);
    const auto most = std::min<base::Duration>(500ms * (1 << i), Breaker::kLongest);
    REQUIRE(rest >= least);
    REQUIRE(rest <= most + 10ms);
    longest = std::max(longest, rest);
  }
  REQUIRE(longest > Breaker::kLongest / 2);
  node.now += Breaker::kStable;
  node.fails(Failure::Attempt, 5);
  REQUIRE(node.recover() <= 510ms);
}

TEST_CASE("breaker: half-open it opens anew when failures outweigh replies, not for old ones") {
  Watched node;
  node.fails(Failure::Attempt, 5);
  while (node.state() == BreakerState::Open) {
    node.now += 10ms;
    node.probe_good();
  }
  node.replies(0);
  node.now += 50ms;
  node.fails(Failure::Attempt, 3);  // of requests that were sent before
  REQUIRE(node.state() == BreakerState::HalfOpen);
  node.now += 60ms;
  node.replies(10);
  node.fails(Failure::Attempt, 1);
  REQUIRE(node.state() == BreakerState::HalfOpen);
  node.fails(Failure::Attempt, 9);
  REQUIRE(node.state() == BreakerState::Open);
  REQUIRE(node.last.reason == "it failed again: no reply within timeouts.attempt");
}

TEST_CASE("breaker: a node that comes and goes rests, a primary does not") {
  Watched node;
  for (int i = 0; i < 3; ++i) {
    node.probe_fails(400ms);
    node.probe_fails();
    REQUIRE(node.state() == BreakerState::Open);
    const auto rest = node.recover();
    REQUIRE((rest >= 250ms) == (i > 0));
  }
  node.probe_fails(400ms);
  node.probe_fails();
  REQUIRE(node.recover(true) <= 10ms);
}

TEST_CASE("breaker: while half-open one failed probe is enough") {
  Watched node;
  node.probe_fails(400ms);
  node.probe_fails();
  node.now += 1s;
  node.probe_good();
  REQUIRE(node.state() == BreakerState::HalfOpen);
  node.probe_fails();
  REQUIRE(node.state() == BreakerState::Open);
  REQUIRE(node.changes == 3);
}
