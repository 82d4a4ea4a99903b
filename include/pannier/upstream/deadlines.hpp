#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/upstream/slot.hpp"

#include <array>
#include <map>
#include <optional>
#include <vector>

namespace pannier::upstream {

// When requests in flight run out of time. One list per kind: the duration is constant per kind, so
// insertion order is deadline order, and adding or removing is two link changes. Blocking commands
// and further tries bring their own time and are few: an ordered map. Pure; one per worker.
class Deadlines {
 public:
  struct Durations {
    base::Duration read;
    base::Duration write;
    base::Duration slow;
    base::Duration attempt;
  };

  // A request whose time is over, and by which kind of deadline.
  struct Due {
    SlotIndex index = kNoSlot;
    DeadlineKind kind = DeadlineKind::None;
  };

  Deadlines(SlotSlab& slots, const Durations& durations);

  // Uses slot.deadline (Timed and None do nothing) and slot.start.
  void add(SlotIndex index);
  // For DeadlineKind::Timed.
  void add_timed(SlotIndex index, base::TimePoint due);
  void remove(SlotIndex index);

  // The earliest deadline, if any.
  [[nodiscard]] std::optional<base::TimePoint> next() const;
  // Takes out what is due at `now` and appends it to `due`.
  void expire(base::TimePoint now, std::vector<Due>& due);

 private:
  struct List {
    base::Duration duration{};
    SlotIndex first = kNoSlot;
    SlotIndex last = kNoSlot;
  };

  [[nodiscard]] List& list_of(const Slot& slot) {
    return lists_.at(static_cast<std::size_t>(slot.deadline));
  }

  SlotSlab* slots_;
  std::array<List, 4> lists_;
  std::multimap<base::TimePoint, SlotIndex> timed_;
};

}  // namespace pannier::upstream
