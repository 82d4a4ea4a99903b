#include "pannier/cache/leases.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::TimePoint;

namespace {

constexpr auto kLease = 2s;
constexpr auto kFill = LeaseAnswer::Fill;
constexpr auto kWait = LeaseAnswer::Wait;
constexpr auto kNoWait = LeaseAnswer::NoWait;

// Sessions and reads are numbered: read r of session s is r too, unless a test says otherwise.
struct Fixture {
  static Party session(std::uint64_t number) { return {0, number}; }

  static Party read(std::uint64_t number) { return {0, 1'000'000 + number}; }

  static std::uint64_t hash(const std::string& key) { return std::hash<std::string>()(key); }

  LeaseAnswer nil(const std::string& key, std::uint64_t who) { return nil(key, who, who); }

  LeaseAnswer nil(const std::string& key, std::uint64_t who, std::uint64_t which) {
    return leases.on_nil(db, key, hash(key), key_class, session(who), read(which), {kLease}, now);
  }

  // The reads that were woken, in order.
  template <typename Call>
  std::vector<std::uint64_t> woken(Call&& call) {
    std::vector<Party> parties;
    call(parties);
    std::vector<std::uint64_t> numbers;
    for (const Party& party : parties) {
      numbers.push_back(party.token - 1'000'000);
    }
    return numbers;
  }

  std::vector<std::uint64_t> changed(const std::string& key) {
    return woken([&](auto& out) { leases.on_changed(hash(key), now, out); });
  }

  std::vector<std::uint64_t> value(const std::string& key) {
    return woken([&](auto& out) { leases.on_value(hash(key), now, out); });
  }

  std::vector<std::uint64_t> all_changed() {
    return woken([&](auto& out) { leases.on_all_changed(now, out); });
  }

  std::vector<std::uint64_t> gone(std::uint64_t who) {
    return woken([&](auto& out) { leases.on_gone(session(who), now, out); });
  }

  std::vector<std::uint64_t> expire() {
    return woken([&](auto& out) { leases.expire(now, out); });
  }

  void forget(const std::string& key, std::uint64_t which) {
    leases.forget(hash(key), read(which), now);
  }

  // A lease that runs out.
  void unfilled(const std::string& key, std::uint64_t who = 1) {
    REQUIRE(nil(key, who) == kFill);
    now += kLease;
    expire();
  }

  void filled(const std::string& key) {
    REQUIRE(nil(key, 1) == kFill);
    changed(key);
  }

  void require_idle() const {
    REQUIRE_FALSE(leases.any());
    REQUIRE(leases.leases() == 0);
    REQUIRE(leases.waiters() == 0);
  }

  Leases leases;
  TimePoint now{1h};
  std::uint8_t db = 0;
  std::uint16_t key_class = 3;
};

using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("leases: of fifty that miss a key one gets nil, the fill wakes the others in order") {
  Fixture f;
  REQUIRE_FALSE(f.leases.any());
  REQUIRE(f.nil("k", 0) == kFill);
  REQUIRE(f.leases.any());
  Numbers others;
  for (std::uint64_t who = 1; who < 50; ++who) {
    REQUIRE(f.nil("k", who) == kWait);
    others.push_back(who);
  }
  REQUIRE(f.leases.leases() == 1);
  REQUIRE(f.leases.waiters() == 49);
  REQUIRE(f.changed("other").empty());
  REQUIRE(f.changed("k") == others);
  f.require_idle();
  REQUIRE(f.changed("k").empty());
}

TEST_CASE("leases: a value seen upstream fills as well") {
  Fixture f;
  REQUIRE(f.value("k").empty());
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.value("k") == Numbers{2});
  f.require_idle();
}

TEST_CASE("leases: keys and databases have leases of their own, a change is of the key in all") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("l", 2) == kFill);
  REQUIRE(f.nil("k", 3) == kWait);
  f.db = 1;
  REQUIRE(f.nil("k", 4) == kFill);
  REQUIRE(f.nil("k", 5) == kWait);
  REQUIRE(f.leases.leases() == 3);
  Numbers woken = f.changed("k");
  std::sort(woken.begin(), woken.end());
  REQUIRE(woken == Numbers{3, 5});
  REQUIRE(f.leases.leases() == 1);
}

TEST_CASE("leases: two keys of one hash are two keys") {
  Fixture f;
  const auto nil = [&](std::string_view key, std::uint64_t who) {
    return f.leases.on_nil(
        0, key, 7, 0, Fixture::session(who), Fixture::read(who), {kLease}, f.now);
  };
  REQUIRE(nil("a", 1) == kFill);
  REQUIRE(nil("b", 2) == kFill);
  REQUIRE(nil("b", 3) == kWait);
  REQUIRE(f.gone(1).empty());
  REQUIRE(f.leases.leases() == 1);
  REQUIRE(f.gone(2) == Numbers{3});
}

TEST_CASE("leases: a holder never waits for itself") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 1, 11) == kFill);
  REQUIRE(f.leases.leases() == 1);
  REQUIRE(f.leases.waiters() == 0);
  f.now += kLease;  // the second read did not prolong it
  REQUIRE(f.nil("k", 2) == kFill);
}

TEST_CASE("leases: without a length nobody waits") {
  Fixture f;
  REQUIRE(f.leases.on_nil(0, "k", 1, 0, {0, 1}, {0, 2}, {}, f.now) == kNoWait);
  f.require_idle();
}

TEST_CASE("leases: a lease that has run out is the next asker's") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  f.now += kLease - 1ns;
  REQUIRE(f.nil("k", 2) == kWait);
  f.now += 1ns;
  REQUIRE(f.nil("k", 3) == kFill);
  REQUIRE(f.leases.leases() == 1);
  REQUIRE(f.nil("k", 1) == kWait);
  REQUIRE(f.gone(1).empty());  // it holds nothing any more
  REQUIRE(f.changed("k") == Numbers{2, 1});
  f.require_idle();
}

TEST_CASE("leases: an expired lease passes to one waiter, the others wait on") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.nil("k", 3) == kWait);
  REQUIRE(f.expire().empty());
  f.now += kLease;
  REQUIRE(f.expire() == Numbers{2});
  REQUIRE(f.leases.leases() == 0);
  REQUIRE(f.leases.waiters() == 1);
  REQUIRE(f.leases.any());  // a write has somebody to wake
  SECTION("it asks and holds") {
    REQUIRE(f.nil("k", 2) == kFill);
    REQUIRE(f.expire().empty());
    REQUIRE(f.changed("k") == Numbers{3});
  }
  SECTION("it asks and finds a value") {
    REQUIRE(f.value("k") == Numbers{3});
  }
  SECTION("another one is faster") {
    REQUIRE(f.nil("k", 4) == kFill);
    REQUIRE(f.nil("k", 2) == kWait);
    REQUIRE(f.changed("k") == Numbers{3, 2});
  }
  SECTION("a write comes first") {
    REQUIRE(f.changed("k") == Numbers{3});
  }
  SECTION("it goes: the next look calls the next") {
    f.forget("k", 2);
    REQUIRE(f.expire() == Numbers{3});
  }
  SECTION("it says nothing: the next is called when it could have filled") {
    f.now += kLease - 1ns;
    REQUIRE(f.expire().empty());
    f.now += 1ns;
    REQUIRE(f.expire() == Numbers{3});
  }
  SECTION("the others go") {
    f.forget("k", 3);
  }
  f.require_idle();
}

TEST_CASE("leases: a session that goes ends its leases, one waiter of each key is called") {
  Fixture f;
  REQUIRE(f.nil("a", 1) == kFill);
  REQUIRE(f.nil("b", 1, 11) == kFill);
  REQUIRE(f.nil("c", 2) == kFill);
  REQUIRE(f.nil("a", 3) == kWait);
  REQUIRE(f.nil("a", 4) == kWait);
  REQUIRE(f.nil("b", 5) == kWait);
  REQUIRE(f.gone(9).empty());
  Numbers called = f.gone(1);
  std::sort(called.begin(), called.end());
  REQUIRE(called == Numbers{3, 5});
  REQUIRE(f.leases.leases() == 1);
  REQUIRE(f.gone(1).empty());
  REQUIRE(f.nil("a", 3) == kFill);
  REQUIRE(f.nil("b", 5) == kFill);
}

TEST_CASE("leases: all reads of the session that is called are called") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2, 21) == kWait);
  REQUIRE(f.nil("k", 3, 31) == kWait);
  REQUIRE(f.nil("k", 2, 22) == kWait);
  REQUIRE(f.gone(1) == Numbers{21, 22});
  REQUIRE(f.nil("k", 2, 21) == kFill);
  REQUIRE(f.nil("k", 2, 22) == kFill);
  REQUIRE(f.leases.waiters() == 1);
  REQUIRE(f.changed("k") == Numbers{31});
}

TEST_CASE("leases: who waits no longer is not woken") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.nil("k", 3) == kWait);
  f.forget("k", 2);
  f.forget("k", 2);
  f.forget("other", 9);
  REQUIRE(f.leases.waiters() == 1);
  REQUIRE(f.changed("k") == Numbers{3});
}

TEST_CASE("leases: a read that asks twice waits once, one that is answered no more") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.nil("k", 3) == kWait);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.leases.waiters() == 2);
  f.now += kLease;
  REQUIRE(f.nil("k", 3) == kFill);
  REQUIRE(f.leases.waiters() == 1);
  REQUIRE(f.changed("k") == Numbers{2});
}

TEST_CASE("leases: when everything changed all ask again, and one of them leads") {
  Fixture f;
  REQUIRE(f.nil("k", 0) == kFill);
  REQUIRE(f.nil("other", 2000) == kFill);
  for (std::uint64_t who = 1; who <= 1000; ++who) {
    REQUIRE(f.nil("k", who) == kWait);
  }
  const Numbers woken = f.all_changed();
  REQUIRE(woken.size() == 1000);
  f.require_idle();
  std::size_t leaders = 0;
  for (const std::uint64_t who : woken) {
    leaders += f.nil("k", who) == kFill ? 1 : 0;
  }
  REQUIRE(leaders == 1);
  REQUIRE(f.leases.waiters() == 999);
  REQUIRE(f.gone(2000).empty());
}

TEST_CASE("leases: a key that stays unfilled three times in a row is not waited for") {
  Fixture f;
  f.unfilled("k");
  f.unfilled("k");
  REQUIRE(f.nil("k", 1) == kFill);
  REQUIRE(f.nil("k", 2) == kWait);
  REQUIRE(f.nil("k", 3) == kWait);
  SECTION("it runs out: all that wait are told at once") {
    f.now += kLease;
    REQUIRE(f.expire() == Numbers{2, 3});
  }
  SECTION("its session goes: the same") {
    REQUIRE(f.gone(1) == Numbers{2, 3});
  }
  SECTION("another asker finds that it ran out: it need not wait, the next look tells the others") {
    f.now += kLease;
    REQUIRE(f.nil("k", 4) == kNoWait);
    REQUIRE(f.expire() == Numbers{2, 3});
  }
  f.require_idle();
  REQUIRE(f.nil("k", 2) == kNoWait);
  REQUIRE(f.nil("other", 3) == kFill);
  f.now += Leases::kNoWaitFor - 1ns;
  REQUIRE(f.nil("k", 2) == kNoWait);
  f.now += 1ns;
  f.unfilled("k");
  f.unfilled("k");
  REQUIRE(f.nil("k", 2) == kFill);  // counted anew
}

TEST_CASE("leases: the same key in another database counts apart") {
  Fixture f;
  for (int i = 0; i < Leases::kUnfilledInARow; ++i) {
    f.unfilled("k");
  }
  REQUIRE(f.nil("k", 1) == kNoWait);
  f.db = 1;
  REQUIRE(f.nil("k", 1) == kFill);
}

TEST_CASE("leases: a fill ends the row") {
  Fixture f;
  for (int i = 0; i < 5; ++i) {
    f.unfilled("k");
    f.unfilled("k");
    f.filled("k");
    f.now += 10s;  // not the class's matter
  }
  REQUIRE(f.nil("k", 1) == kFill);
}

TEST_CASE("leases: a class with more than a fifth unfilled is not waited for") {
  Fixture f;
  const auto end = [&](int filled, int unfilled) {
    for (int i = 0; i < filled; ++i) {
      f.filled("filled" + std::to_string(i));
    }
    for (int i = 0; i < unfilled; ++i) {
      REQUIRE(f.nil("gone" + std::to_string(i), 7) == kFill);
      f.gone(7);
    }
  };
  SECTION("a fifth is not more") {
    end(40, 10);
    REQUIRE(f.nil("k", 1) == kFill);
    end(0, 1);
    REQUIRE(f.nil("l", 1) == kNoWait);
  }
  SECTION("nine are too few to tell") {
    end(0, 9);
    REQUIRE(f.nil("k", 1) == kFill);
    REQUIRE(f.gone(1).empty());
    REQUIRE(f.nil("l", 2) == kNoWait);
  }
  SECTION("only the last ten seconds count") {
    end(0, 9);
    f.now += Leases::kWindow;
    end(0, 9);
    REQUIRE(f.nil("k", 1) == kFill);
  }
  SECTION("other classes go on") {
    end(0, 10);
    REQUIRE(f.nil("k", 1) == kNoWait);
    f.key_class = 4;
    REQUIRE(f.nil("k", 1) == kFill);
  }
  SECTION("for thirty seconds, counted anew after them") {
    REQUIRE(f.nil("before", 1) == kFill);
    end(0, 10);
    REQUIRE(f.nil("before", 1) == kFill);  // who holds a lease has it
    REQUIRE(f.nil("before", 2) == kNoWait);
    f.gone(1);
    f.now += Leases::kNoWaitFor - 1ns;
    REQUIRE(f.nil("k", 1) == kNoWait);
    f.now += 1ns;
    REQUIRE(f.nil("k", 1) == kFill);
    end(0, 9);
    REQUIRE(f.nil("l", 1) == kFill);
  }
}

TEST_CASE("leases: those called to a class that is not waited for take the others along") {
  Fixture f;
  REQUIRE(f.nil("k", 1) == kFill);
  for (const std::uint64_t who : {2, 3, 4}) {
    REQUIRE(f.nil("k", who) == kWait);
  }
  REQUIRE(f.gone(1) == Numbers{2});
  for (int i = 0; i < 9; ++i) {
    REQUIRE(f.nil("gone" + std::to_string(i), 7) == kFill);
    f.gone(7);
  }
  REQUIRE(f.nil("k", 2) == kNoWait);
  REQUIRE(f.expire() == Numbers{3, 4});
  f.require_idle();
}

TEST_CASE("leases: more of them than there may be, and nobody waits") {
  Fixture f;
  for (std::size_t i = 0; i < Leases::kMaxLeases; ++i) {
    REQUIRE(f.nil("k" + std::to_string(i), 1) == kFill);
  }
  REQUIRE(f.nil("one more", 2) == kNoWait);
  REQUIRE(f.nil("k0", 2) == kWait);
  f.changed("k1");
  REQUIRE(f.nil("one more", 2, 22) == kFill);
  REQUIRE(f.gone(1) == Numbers{2});
  f.gone(2);
  f.require_idle();
}

TEST_CASE("leases: more waiters than there may be get nil") {
  Fixture f;
  REQUIRE(f.nil("k", 0) == kFill);
  for (std::size_t i = 1; i <= Leases::kMaxWaiters; ++i) {
    if (f.nil("k", i) != kWait) {
      FAIL("waiter " << i);
    }
  }
  REQUIRE(f.nil("k", 100'000) == kNoWait);
  f.forget("k", 5);
  REQUIRE(f.nil("k", 100'000) == kWait);
  REQUIRE(f.changed("k").size() == Leases::kMaxWaiters);
  f.require_idle();
}

TEST_CASE("leases: more unfilled keys than can be remembered are no fault") {
  Fixture f;
  for (int i = 0; i < 20'000; ++i) {
    f.key_class = static_cast<std::uint16_t>(i % 10'000);
    REQUIRE(f.nil("k" + std::to_string(i), 1) == kFill);
    f.gone(1);
  }
  f.require_idle();
}
