#pragma once

#include "entry.hpp"
#include "pages.hpp"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pannier::cache {

// The index of a stripe: entries by hash of their key, and by a short id in place of a pointer.
// Buckets hold the id of the first entry of a chain; the slot table holds, per id, the entry's
// address and the id of the next one, so that a chain can be followed without touching its entries.
// The bucket table grows with each entry (linear hashing): no pause for growing, and no more memory
// is touched than the entries need. All is used under the stripe's lock, but for `prefetch_*`. Owns
// the entries that are in it.
class Index {
 public:
  static constexpr std::size_t kMostEntries = (1 << 20) - 1;

  // `capacity` is cut to kMostEntries.
  explicit Index(std::size_t capacity);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // The chain of the entries of that hash, and of others; 0: the end.
  [[nodiscard]] SlotId first(std::uint64_t hash) const { return head(bucket_of(hash)); }

  [[nodiscard]] SlotId next(SlotId id) const { return next_of(slot(id)); }

  [[nodiscard]] Entry& at(SlotId id) const { return *entry_of(slot(id)); }

  // The same for an id from 1 to `last_id` that may be free: null.
  [[nodiscard]] Entry* entry_at(SlotId id) const { return entry_of(slot(id)); }

  [[nodiscard]] SlotId last_id() const { return last_id_; }

  // Puts it before the others of its chain. Not when it is full.
  SlotId insert(std::uint64_t hash, OwnedEntry entry);
  OwnedEntry remove(SlotId id);

  [[nodiscard]] std::size_t size() const { return size_; }

  [[nodiscard]] bool full() const { return size_ == capacity_; }

  // Memory that was touched. It stays so when entries go, until `give_back`.
  [[nodiscard]] std::size_t bytes() const {
    return last_id_ * sizeof(Slot) + bucket_count() * sizeof(SlotId);
  }

  // Only when it is empty.
  void give_back();

  // From any thread, without the lock: what is read may be old, so nothing is done with it but
  // asking for the memory at that address.
  void prefetch_bucket(std::uint64_t hash) const;
  void prefetch_slot(std::uint64_t hash) const;
  void prefetch_entry(std::uint64_t hash) const;

 private:
  // A multiple of 16 as 44 bits of address, and 20 bits of id. A free slot has no address and leads
  // to the next free one.
  using Slot = std::uint64_t;
  static constexpr int kIdBits = 20;
  static_assert(kMostEntries < 1 << kIdBits);

  [[nodiscard]] static Entry* entry_of(Slot slot) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is packed with an id
    return reinterpret_cast<Entry*>(slot >> kIdBits << 4U);
  }

  [[nodiscard]] static SlotId next_of(Slot slot) { return slot & kMostEntries; }

  // Relaxed atomics because of the prefetching; the lock orders everything else.
  [[nodiscard]] Slot slot(SlotId id) const {
    return std::atomic_ref(slots_[id]).load(std::memory_order_relaxed);
  }

  void set_slot(SlotId id, const Entry* entry, SlotId next) {
    const auto address = reinterpret_cast<std::uintptr_t>(entry);
    std::atomic_ref(slots_[id]).store(address >> 4U << kIdBits | next, std::memory_order_relaxed);
  }

  void set_next(SlotId id, SlotId next) { set_slot(id, entry_at(id), next); }

  [[nodiscard]] SlotId head(std::size_t bucket) const {
    return std::atomic_ref(buckets_[bucket]).load(std::memory_order_relaxed);
  }

  void set_head(std::size_t bucket, SlotId id) {
    std::atomic_ref(buckets_[bucket]).store(id, std::memory_order_relaxed);
  }

  [[nodiscard]] std::uint32_t bucket_count() const {
    return bucket_count_.load(std::memory_order_relaxed);
  }

  // Buckets below the count take the hashes that end like their number: with one bit more for those
  // that were split already and for the halves that were split off.
  [[nodiscard]] std::size_t bucket_of(std::uint64_t hash) const {
    const std::uint32_t count = bucket_count();
    const std::uint64_t mask = std::bit_ceil(count) - 1;
    const std::uint64_t bucket = hash & mask;
    return bucket < count ? bucket : bucket & mask >> 1U;
  }

  [[nodiscard]] SlotId take_slot();
  void add_bucket();

  std::size_t capacity_;
  Pages<Slot> slots_;
  Pages<SlotId> buckets_;
  std::atomic<std::uint32_t> bucket_count_{0};
  SlotId size_ = 0;
  SlotId last_id_ = 0;  // the highest that was ever used
  SlotId free_ = 0;
};

}  // namespace pannier::cache
