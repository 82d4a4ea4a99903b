#pragma once

#include "pannier/base/clock.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace pannier::route {

// Which keys were written through this sidecar lately, so that no replica serves them before it has
// applied the write (behaviour 3.5). Shared by all workers and the control thread; lock-free.
//
// Keys share 64 Ki buckets by hash: a collision only keeps a read on the primary needlessly, so the
// table never overflows. A bucket holds how many writes are in flight, when the last one was
// answered, and the write epoch of that moment. The control thread closes an epoch before it asks
// the primary for its offset: all writes answered in epochs <= the closed one lie at or below that
// offset. A replica whose applied offset reaches it has `caught_up_epoch` = that epoch.
//
// Why that holds, and the memory order that it needs:
// 1. end() runs after the write's reply arrived and reads the epoch then. If it reads E, the
// control
//    thread had not yet closed E in any way that this thread could know of. Were E closed and the
//    primary's offset taken *before* the primary ran the write, then close -> question -> primary
//    -> reply -> end() would be a chain through sockets, whose system calls order memory like
//    release and acquire, and coherence would make end() read E + 1 or later. So the write ran
//    before the offset was taken and lies at or below it.
// 2. end() stamps the bucket before it takes itself off the count (release). Who reads the count as
//    0 (acquire) sees every stamp: the count changes only by read-modify-writes, so each decrement
//    heads a release sequence that reaches the value read.
// 3. A reader that must see a write learned of it from a client, which got the reply after end():
//    again a chain through sockets, so it cannot read a count from before begin().
// Stamps only ever rise, so two workers that end writes of one bucket at once cannot undo each
// other.
class RecentWrites {
 public:
  explicit RecentWrites(base::Duration minimum_window);
  ~RecentWrites();
  RecentWrites(const RecentWrites&) = delete;
  RecentWrites& operator=(const RecentWrites&) = delete;

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

  // Control thread: closes the current epoch and returns it. An epoch in which no write ended stays
  // open and the one before is returned, so that an idle sidecar has nothing new to publish.
  std::uint64_t close_epoch();

 private:
  // Plain integers used through atomic_ref: the table is fresh zero pages that no constructor has
  // touched, and a page costs memory only once a key in it is written.
  struct Bucket {
    std::uint32_t in_flight;
    std::uint32_t epoch;  // of the last answered write; 0: never written
    std::int64_t ended;   // when that was, in ticks of the clock
  };

  static constexpr std::size_t kBuckets = 64 * 1024;

  [[nodiscard]] Bucket& bucket_of(std::uint64_t hash) const;
  void end_in(Bucket& bucket, base::TimePoint now);
  [[nodiscard]] bool is_settled(Bucket& bucket,
                                std::uint64_t caught_up_epoch,
                                base::TimePoint now) const;

  base::Duration minimum_window_;
  Bucket* buckets_;  // owned: one anonymous mapping
  // Read by every write, changed a few times per second: on a line of its own.
  alignas(64) std::atomic<std::uint32_t> epoch_{1};
  std::atomic<std::uint32_t> written_{0};  // the newest epoch in which a write ended
  alignas(64) mutable Bucket all_{};
};

}  // namespace pannier::route
