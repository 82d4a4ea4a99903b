#include "pannier/upstream/slot.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <vector>

using pannier::upstream::Fate;
using pannier::upstream::kNoSlot;
using pannier::upstream::SessionRef;
using pannier::upstream::Slot;
using pannier::upstream::SlotIndex;
using pannier::upstream::SlotSlab;

TEST_CASE("slot: indices in use are distinct", "[upstream]") {
  SlotSlab slots;
  std::set<SlotIndex> taken;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(taken.insert(slots.take()).second);
  }
  REQUIRE(taken.count(kNoSlot) == 0);
  REQUIRE(slots.in_use() == 1000);
}

TEST_CASE("slot: a slot stays where it is while others are taken", "[upstream]") {
  SlotSlab slots;
  const SlotIndex first = slots.take();
  Slot* const before = &slots[first];
  before->place = 42;
  for (int i = 0; i < 5000; ++i) {
    static_cast<void>(slots.take());
  }
  REQUIRE(&slots[first] == before);
  REQUIRE(slots[first].place == 42);
}

TEST_CASE("slot: what is given back is used again and comes clean", "[upstream]") {
  SlotSlab slots;
  std::vector<SlotIndex> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(slots.take());
    Slot& slot = slots[all.back()];
    slot.session = SessionRef{1, 1};
    slot.fate = Fate::Abandoned;
    slot.started = slot.is_subscribe = slot.marks_all = slot.in_backlog = true;
    slot.length = 7;
  }
  for (const SlotIndex index : all) {
    slots.give(index);
    REQUIRE(slots[index].session == SessionRef{});  // nobody, at once
  }
  REQUIRE(slots.in_use() == 0);
  const std::set<SlotIndex> known(all.begin(), all.end());
  std::size_t again = 0;
  for (int i = 0; i < 300; ++i) {
    const SlotIndex index = slots.take();
    again += known.count(index);
    const Slot& slot = slots[index];
    REQUIRE(slot.fate == Fate::Forward);
    REQUIRE_FALSE((slot.started || slot.is_subscribe || slot.marks_all || slot.in_backlog));
    REQUIRE(slot.length == 0);
    REQUIRE(slot.next_in_line == kNoSlot);
  }
  REQUIRE(again == 300);
}

TEST_CASE("slot: trim gives back what nobody uses and keeps the others' places", "[upstream]") {
  SlotSlab slots;
  std::vector<SlotIndex> taken;
  for (int i = 0; i < 2000; ++i) {
    taken.push_back(slots.take());
  }
  const SlotIndex kept = taken[1000];
  slots[kept].place = 42;
  for (const SlotIndex index : taken) {
    if (index != kept) {
      slots.give(index);
    }
  }
  CHECK(slots.bytes() == sizeof(Slot));
  slots.trim();
  CHECK(slots[kept].place == 42);
  std::set<SlotIndex> again{kept};
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(again.insert(slots.take()).second);
  }
  CHECK(slots[kept].place == 42);
  CHECK(slots.in_use() == 3001);
}
