#include "pannier/upstream/deadlines.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <vector>

using pannier::base::TimePoint;
using pannier::upstream::DeadlineKind;
using pannier::upstream::Deadlines;
using pannier::upstream::SlotIndex;
using pannier::upstream::SlotSlab;
using std::chrono::milliseconds;
using Due = std::vector<SlotIndex>;

namespace {

constexpr TimePoint kStart = TimePoint{} + std::chrono::hours(1);

TimePoint at(int ms) {
  return kStart + milliseconds(ms);
}

struct Clocked {
  SlotIndex add(DeadlineKind kind, int start_ms) {
    const SlotIndex index = slots.take();
    slots[index].deadline = kind;
    slots[index].start = at(start_ms);
    deadlines.add(index);
    return index;
  }

  SlotIndex add_timed(int due_ms) {
    const SlotIndex index = slots.take();
    deadlines.add_timed(index, at(due_ms));
    return index;
  }

  Due due(int ms) {
    std::vector<Deadlines::Due> all;
    deadlines.expire(at(ms), all);
    Due out;
    for (const Deadlines::Due& each : all) {
      out.push_back(each.index);
    }
    return out;
  }

  SlotSlab slots;
  Deadlines deadlines{
      slots, {milliseconds(500), milliseconds(2000), milliseconds(30000), milliseconds(150)}};
};

}  // namespace

TEST_CASE("deadlines: empty means nothing to wait for", "[upstream]") {
  Clocked clocked;
  REQUIRE_FALSE(clocked.deadlines.next());
  REQUIRE(clocked.due(1000000).empty());
}

TEST_CASE("deadlines: each kind has its own duration and its own order", "[upstream]") {
  Clocked clocked;
  const SlotIndex slow = clocked.add(DeadlineKind::Slow, 0);
  const SlotIndex write = clocked.add(DeadlineKind::Write, 0);
  const SlotIndex read = clocked.add(DeadlineKind::Read, 0);
  const SlotIndex later_read = clocked.add(DeadlineKind::Read, 100);
  REQUIRE(clocked.deadlines.next() == at(500));
  REQUIRE(clocked.due(499).empty());
  REQUIRE(clocked.due(500) == Due{read});
  REQUIRE(clocked.deadlines.next() == at(600));
  REQUIRE(clocked.due(2000) == Due{later_read, write});
  REQUIRE(clocked.deadlines.next() == at(30000));
  REQUIRE(clocked.due(30000) == Due{slow});
  REQUIRE_FALSE(clocked.deadlines.next());
}

TEST_CASE("deadlines: several of one kind expire oldest first", "[upstream]") {
  Clocked clocked;
  const SlotIndex a = clocked.add(DeadlineKind::Read, 0);
  const SlotIndex b = clocked.add(DeadlineKind::Read, 0);
  const SlotIndex c = clocked.add(DeadlineKind::Read, 10);
  const SlotIndex d = clocked.add(DeadlineKind::Read, 20);
  REQUIRE(clocked.due(510) == Due{a, b, c});
  REQUIRE(clocked.due(520) == Due{d});
}

TEST_CASE("deadlines: first, middle and last can be taken out", "[upstream]") {
  for (std::size_t out = 0; out < 3; ++out) {
    Clocked clocked;
    Due all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(clocked.add(DeadlineKind::Write, i));
    }
    clocked.deadlines.remove(all[out]);
    REQUIRE(clocked.slots[all[out]].deadline == DeadlineKind::None);
    clocked.deadlines.remove(all[out]);  // again: harmless
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(out));
    const SlotIndex last = clocked.add(DeadlineKind::Write, 3);
    all.push_back(last);
    REQUIRE(clocked.deadlines.next() == at(out == 0 ? 2001 : 2000));
    REQUIRE(clocked.due(5000) == all);
  }
}

TEST_CASE("deadlines: the only one of its kind leaves an empty list", "[upstream]") {
  Clocked clocked;
  const SlotIndex only = clocked.add(DeadlineKind::Read, 0);
  clocked.deadlines.remove(only);
  REQUIRE_FALSE(clocked.deadlines.next());
  const SlotIndex other = clocked.add(DeadlineKind::Read, 5);
  REQUIRE(clocked.due(505) == Due{other});
}

TEST_CASE("deadlines: what expired is out, and may be removed again", "[upstream]") {
  Clocked clocked;
  const SlotIndex gone = clocked.add(DeadlineKind::Read, 0);
  const SlotIndex stays = clocked.add(DeadlineKind::Read, 100);
  REQUIRE(clocked.due(500) == Due{gone});
  clocked.deadlines.remove(gone);
  REQUIRE(clocked.deadlines.next() == at(600));
  REQUIRE(clocked.due(600) == Due{stays});
}

TEST_CASE("deadlines: no deadline is never due", "[upstream]") {
  Clocked clocked;
  const SlotIndex none = clocked.add(DeadlineKind::None, 0);
  REQUIRE_FALSE(clocked.deadlines.next());
  clocked.deadlines.remove(none);
  REQUIRE(clocked.due(1000000).empty());
}

TEST_CASE("deadlines: timed ones go by their own time", "[upstream]") {
  Clocked clocked;
  const SlotIndex late = clocked.add_timed(9000);
  const SlotIndex early = clocked.add_timed(100);
  const SlotIndex same = clocked.add_timed(9000);
  const SlotIndex read = clocked.add(DeadlineKind::Read, 0);
  REQUIRE(clocked.deadlines.next() == at(100));
  REQUIRE(clocked.due(100) == Due{early});
  REQUIRE(clocked.slots[early].deadline == DeadlineKind::None);
  REQUIRE(clocked.deadlines.next() == at(500));
  clocked.deadlines.remove(read);
  clocked.deadlines.remove(late);
  REQUIRE(clocked.deadlines.next() == at(9000));
  REQUIRE(clocked.due(9000) == Due{same});
  REQUIRE_FALSE(clocked.deadlines.next());
}
