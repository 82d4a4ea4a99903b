#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "pannier/base/clock.hpp"

namespace pannier::route {

// Which keys were written through this sidecar lately, so that no replica serves them before it has
// applied the write (behaviour 3.5). Shared by all workers and the control thread; lock-free.
//
// Keys share 64 Ki buckets by hash: a collision only keeps a read on the primary needlessly, so the
// table never overflows. A bucket holds how many writes are in flight, when the last one was
// answered, and the write epoch of that moment. The control thread closes an epoch before it asks
// the primary for its offset: all writes answered in epochs <= the closed one lie at or below that
// offset. A replica whose applied offset reaches it has `caught_up_epoch` = that epoch.
class RecentWrites {
 public:
  explicit RecentWrites(base::Duration minimum_window);

  [[nodiscard]] static std::uint64_t hash(std::string_view key);

  // A write to a key leaves / its outcome is known (answered, refused, or its connection is gone).
  void begin(std::uint64_t hash);
  void end(std::uint64_t hash, base::TimePoint now);
  // The same for writes whose keys are not known: they count for every key.
  void begin_all();
  void end_all(base::TimePoint now);

  [[nodiscard]] bool replica_may_serve(std::uint64_t hash,
                                       std::uint64_t caught_up_epoch,
                                       base::TimePoint now) const;

  // Control thread: closes the current epoch and returns it.
  std::uint64_t close_epoch();
};

}  // namespace pannier::route
