#pragma once

#include "pannier/base/clock.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace pannier::base {

// Things to do later that are few: waits, connects, housekeeping. Never one per request. Pure: the
// owner asks for `next` and calls `run`. Not thread-safe.
class TimerQueue {
 public:
  using Id = std::pair<TimePoint, std::uint64_t>;

  Id add(TimePoint due, std::function<void()> action) {
    const Id id{due, ++last_};
    actions_.emplace(id, std::move(action));
    return id;
  }

  // Fine for an id that has run.
  void cancel(const Id& id) { actions_.erase(id); }

  [[nodiscard]] std::optional<TimePoint> next() const {
    return actions_.empty() ? std::nullopt : std::optional(actions_.begin()->first.first);
  }

  // Runs what is due; actions may add and cancel.
  void run(TimePoint now) {
    while (!actions_.empty() && actions_.begin()->first.first <= now) {
      const auto action = std::move(actions_.begin()->second);
      actions_.erase(actions_.begin());
      action();
    }
  }

 private:
  std::map<Id, std::function<void()>> actions_;
  std::uint64_t last_ = 0;
};

}  // namespace pannier::base
