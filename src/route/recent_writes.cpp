#include "pannier/route/recent_writes.hpp"

#include <sys/mman.h>
#include <xxhash.h>

#include <new>

namespace pannier::route {
namespace {

template <typename T, typename Value>
void raise_to(T&& atomic, Value value) {
  Value seen = atomic.load(std::memory_order_relaxed);
  while (seen < value && !atomic.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

RecentWrites::RecentWrites(base::Duration minimum_window) : minimum_window_(minimum_window) {
  void* memory = mmap(nullptr,
                      kBuckets * sizeof(Bucket),
                      PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS,
                      -1,
                      0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  // A huge page would make the first write cost 2 MiB.
  madvise(memory, kBuckets * sizeof(Bucket), MADV_NOHUGEPAGE);
  buckets_ = static_cast<Bucket*>(memory);
}

RecentWrites::~RecentWrites() {
  munmap(buckets_, kBuckets * sizeof(Bucket));
}

std::uint64_t RecentWrites::hash(std::string_view key) {
  return XXH3_64bits(key.data(), key.size());
}

void RecentWrites::begin(std::uint64_t hash) {
  std::atomic_ref(bucket_of(hash).in_flight).fetch_add(1, std::memory_order_relaxed);
}

void RecentWrites::end(std::uint64_t hash, base::TimePoint now) {
  end_in(bucket_of(hash), now);
}

void RecentWrites::begin_all() {
  std::atomic_ref(all_.in_flight).fetch_add(1, std::memory_order_relaxed);
}

void RecentWrites::end_all(base::TimePoint now) {
  end_in(all_, now);
}

bool RecentWrites::replica_may_serve(std::uint64_t hash,
                                     std::uint64_t caught_up_epoch,
                                     base::TimePoint now) const {
  return is_settled(all_, caught_up_epoch, now) &&
         is_settled(bucket_of(hash), caught_up_epoch, now);
}

std::uint64_t RecentWrites::close_epoch() {
  // Only this thread changes the epoch. A write that ends in it just now and is missed here is
  // counted by the next call; until then its epoch is open, so no replica has caught up with it.
  const std::uint32_t current = epoch_.load(std::memory_order_relaxed);
  if (written_.load(std::memory_order_relaxed) < current) {
    return current - 1;
  }
  epoch_.store(current + 1, std::memory_order_release);
  return current;
}

RecentWrites::Bucket& RecentWrites::bucket_of(std::uint64_t hash) const {
  return buckets_[hash % kBuckets];
}

void RecentWrites::end_in(Bucket& bucket, base::TimePoint now) {
  const std::uint32_t epoch = epoch_.load(std::memory_order_acquire);
  raise_to(std::atomic_ref(bucket.epoch), epoch);
  raise_to(std::atomic_ref(bucket.ended), std::int64_t{now.time_since_epoch().count()});
  raise_to(written_, epoch);
  std::atomic_ref(bucket.in_flight).fetch_sub(1, std::memory_order_release);
}

bool RecentWrites::is_settled(Bucket& bucket,
                              std::uint64_t caught_up_epoch,
                              base::TimePoint now) const {
  if (std::atomic_ref(bucket.in_flight).load(std::memory_order_acquire) != 0) {
    return false;
  }
  const std::uint32_t epoch = std::atomic_ref(bucket.epoch).load(std::memory_order_relaxed);
  if (epoch == 0) {
    return true;
  }
  if (epoch > caught_up_epoch) {
    return false;
  }
  const base::Duration ended{std::atomic_ref(bucket.ended).load(std::memory_order_relaxed)};
  return now.time_since_epoch() - ended >= minimum_window_;
}

}  // namespace pannier::route
