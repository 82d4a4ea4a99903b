#include "tracking_inbox.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pannier;
using namespace std::chrono_literals;
using upstream::TrackingInbox;
using Outcome = TrackingInbox::Outcome;

namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string push(const std::vector<std::string>& keys) {
  std::string out = ">2\r\n" + bulk("invalidate") + "*" + std::to_string(keys.size()) + "\r\n";
  for (const std::string& key : keys) {
    out += bulk(key);
  }
  return out;
}

std::vector<std::string> numbered(int from, int to) {
  std::vector<std::string> out;
  for (int i = from; i < to; ++i) {
    out.push_back("key:" + std::to_string(i));
  }
  return out;
}

// An inbox and all keys that it gave.
struct Reading {
  Outcome receive(const std::string& frame) {
    const Outcome outcome = inbox.receive(frame, now);
    note(outcome);
    return outcome;
  }

  // A further turn; the number of keys in it.
  std::size_t turn(std::size_t limit) {
    const std::size_t before = keys.size();
    inbox.begin_turn(limit);
    for (Outcome outcome = Outcome::Read; outcome == Outcome::Read;) {
      outcome = inbox.read_kept();
      note(outcome);
    }
    return keys.size() - before;
  }

  void note(Outcome outcome) {
    if (outcome == Outcome::Read) {
      keys.insert(keys.end(), inbox.batch().keys.begin(), inbox.batch().keys.end());
      canaries += inbox.batch().canary ? 1 : 0;
      flushes += inbox.batch().flush ? 1 : 0;
    }
  }

  TrackingInbox inbox;
  base::TimePoint now{};
  std::vector<std::string> keys;
  int canaries = 0;
  int flushes = 0;
};

}  // namespace

TEST_CASE("tracking_inbox: what fits into the turn is read at once", "[upstream]") {
  Reading reading;
  reading.inbox.begin_turn(10);
  REQUIRE(reading.receive(push({"a", "b"})) == Outcome::Read);
  REQUIRE(reading.receive(">2\r\n" + bulk("invalidate") + "_\r\n") == Outcome::Read);
  REQUIRE(reading.receive(push({"c"})) == Outcome::Read);
  REQUIRE(reading.keys == std::vector<std::string>{"a", "b", "c"});
  REQUIRE(reading.flushes == 1);
  REQUIRE_FALSE(reading.inbox.has_kept());
}

TEST_CASE("tracking_inbox: the canary is told apart from keys", "[upstream]") {
  Reading reading;
  reading.inbox.begin_turn(10);
  REQUIRE(reading.receive(push({"a", "pannier:canary", "pannier:canary2"})) == Outcome::Read);
  REQUIRE(reading.keys == std::vector<std::string>{"a", "pannier:canary2"});
  REQUIRE(reading.canaries == 1);
  REQUIRE(reading.inbox.batch().canary_value.empty());
  REQUIRE(reading.receive("*3\r\n" + bulk("message") + bulk("pannier:canary") + bulk("v")) ==
          Outcome::Read);
  REQUIRE(reading.canaries == 2);
}

TEST_CASE("tracking_inbox: a long push takes as many turns as it needs", "[upstream]") {
  Reading reading;
  const auto keys = numbered(0, 2500);
  reading.inbox.begin_turn(1000);
  REQUIRE(reading.receive(push(keys)) == Outcome::Read);
  REQUIRE(reading.keys.size() == 1000);
  REQUIRE(reading.inbox.has_kept());
  REQUIRE(reading.turn(1000) == 1000);
  REQUIRE(reading.inbox.has_kept());
  REQUIRE(reading.turn(1000) == 500);
  REQUIRE_FALSE(reading.inbox.has_kept());
  REQUIRE(reading.keys == keys);
}

TEST_CASE("tracking_inbox: what comes behind a kept push waits its turn", "[upstream]") {
  Reading reading;
  reading.inbox.begin_turn(3);
  REQUIRE(reading.receive(push(numbered(0, 5))) == Outcome::Read);
  reading.now += 1s;
  REQUIRE(reading.receive(push(numbered(5, 6))) == Outcome::Kept);
  reading.inbox.begin_turn(3);
  REQUIRE(reading.receive(push(numbered(6, 7))) == Outcome::Kept);
  REQUIRE(reading.inbox.oldest() == base::TimePoint{});
  REQUIRE(reading.turn(3) == 3);
  REQUIRE(reading.inbox.oldest() == base::TimePoint{} + 1s);
  REQUIRE(reading.turn(3) == 1);
  REQUIRE(reading.keys == numbered(0, 7));
  REQUIRE_FALSE(reading.inbox.has_kept());
}

TEST_CASE("tracking_inbox: pushes without keys count too", "[upstream]") {
  Reading reading;
  const std::string flush = ">2\r\n" + bulk("invalidate") + "*-1\r\n";
  reading.inbox.begin_turn(2);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(reading.receive(flush) == (i < 2 ? Outcome::Read : Outcome::Kept));
  }
  REQUIRE(reading.turn(2) == 0);
  REQUIRE(reading.flushes == 4);
  REQUIRE(reading.turn(2) == 0);
  REQUIRE(reading.flushes == 5);
}

TEST_CASE("tracking_inbox: a broken redirection and a fault are told", "[upstream]") {
  Reading reading;
  reading.inbox.begin_turn(2);
  REQUIRE(reading.receive(">1\r\n" + bulk("tracking-redir-broken")) == Outcome::RedirectBroken);
  REQUIRE(reading.receive(">1\r\n:1\r\n") == Outcome::Malformed);
  reading.inbox.begin_turn(1);
  REQUIRE(reading.receive(">2\r\n" + bulk("invalidate") + "*2\r\n" + bulk("a") + ":1\r\n") ==
          Outcome::Read);
  reading.inbox.begin_turn(1);
  REQUIRE(reading.inbox.read_kept() == Outcome::Malformed);
}
