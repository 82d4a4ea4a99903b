#include "pannier/upstream/deadlines.hpp"

#include <algorithm>

namespace pannier::upstream {

Deadlines::Deadlines(SlotSlab& slots, const Durations& durations) : slots_(&slots) {
  lists_[static_cast<std::size_t>(DeadlineKind::Read)].duration = durations.read;
  lists_[static_cast<std::size_t>(DeadlineKind::Write)].duration = durations.write;
  lists_[static_cast<std::size_t>(DeadlineKind::Slow)].duration = durations.slow;
  lists_[static_cast<std::size_t>(DeadlineKind::Attempt)].duration = durations.attempt;
}

void Deadlines::add(SlotIndex index) {
  Slot& slot = (*slots_)[index];
  if (slot.deadline >= DeadlineKind::Timed) {
    return;
  }
  List& list = list_of(slot);
  slot.deadline_previous = list.last;
  slot.deadline_next = kNoSlot;
  if (list.last == kNoSlot) {
    list.first = index;
  } else {
    (*slots_)[list.last].deadline_next = index;
  }
  list.last = index;
}

void Deadlines::add_timed(SlotIndex index, base::TimePoint due) {
  (*slots_)[index].deadline = DeadlineKind::Timed;
  timed_.emplace(due, index);
}

void Deadlines::remove(SlotIndex index) {
  Slot& slot = (*slots_)[index];
  if (slot.deadline == DeadlineKind::None) {
    return;
  }
  if (slot.deadline == DeadlineKind::Timed) {
    const auto found = std::find_if(
        timed_.begin(), timed_.end(), [index](const auto& entry) { return entry.second == index; });
    if (found != timed_.end()) {
      timed_.erase(found);
    }
    slot.deadline = DeadlineKind::None;
    return;
  }
  List& list = list_of(slot);
  (slot.deadline_previous == kNoSlot ? list.first
                                     : (*slots_)[slot.deadline_previous].deadline_next) =
      slot.deadline_next;
  (slot.deadline_next == kNoSlot ? list.last : (*slots_)[slot.deadline_next].deadline_previous) =
      slot.deadline_previous;
  slot.deadline = DeadlineKind::None;
}

std::optional<base::TimePoint> Deadlines::next() const {
  std::optional<base::TimePoint> earliest;
  for (const List& list : lists_) {
    if (list.first != kNoSlot) {
      const base::TimePoint due = (*slots_)[list.first].start + list.duration;
      earliest = earliest ? std::min(*earliest, due) : due;
    }
  }
  if (!timed_.empty()) {
    const base::TimePoint due = timed_.begin()->first;
    earliest = earliest ? std::min(*earliest, due) : due;
  }
  return earliest;
}

void Deadlines::expire(base::TimePoint now, std::vector<Due>& due) {
  for (List& list : lists_) {
    while (list.first != kNoSlot && (*slots_)[list.first].start + list.duration <= now) {
      const Due first{list.first, (*slots_)[list.first].deadline};
      remove(first.index);
      due.push_back(first);
    }
  }
  while (!timed_.empty() && timed_.begin()->first <= now) {
    const SlotIndex index = timed_.begin()->second;
    remove(index);
    due.push_back({index, DeadlineKind::Timed});
  }
}

}  // namespace pannier::upstream
