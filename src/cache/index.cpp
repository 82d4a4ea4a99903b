#include "index.hpp"

#include <algorithm>

namespace pannier::cache {
namespace {

std::uint64_t hash_of(const Entry& entry) {
  return NearCache::hash(entry.key());
}

// A third of room: chains of one entry more often, for 2 bytes per entry.
std::size_t buckets_for(std::size_t entries) {
  return entries + entries / 2;
}

}  // namespace

Index::Index(std::size_t capacity)
    : capacity_(std::min(capacity, kMostEntries)),
      slots_(capacity_ + 1),
      buckets_(buckets_for(capacity_)) {}

Index::~Index() {
  for (SlotId id = 1; id <= last_id_; ++id) {
    if (Entry* entry = entry_at(id); entry != nullptr) {
      base::SharedBytes::release(entry->block);
    }
  }
}

SlotId Index::insert(std::uint64_t hash, OwnedEntry entry) {
  const SlotId id = take_slot();
  ++size_;
  while (buckets_for(size_) > bucket_count()) {
    add_bucket();
  }
  const std::size_t bucket = bucket_of(hash);
  set_slot(id, entry.release(), head(bucket));
  set_head(bucket, id);
  return id;
}

OwnedEntry Index::remove(SlotId id) {
  OwnedEntry entry(&at(id));
  const std::size_t bucket = bucket_of(hash_of(*entry));
  SlotId before = head(bucket);
  if (before == id) {
    set_head(bucket, next(id));
  } else {
    while (next(before) != id) {
      before = next(before);
    }
    set_next(before, next(id));
  }
  set_slot(id, nullptr, free_);
  free_ = id;
  --size_;
  return entry;
}

void Index::give_back() {
  bucket_count_.store(0, std::memory_order_relaxed);
  last_id_ = 0;
  free_ = 0;
  slots_.give_back();
  buckets_.give_back();
}

void Index::prefetch_bucket(std::uint64_t hash) const {
  __builtin_prefetch(&buckets_[bucket_of(hash)]);
}

void Index::prefetch_slot(std::uint64_t hash) const {
  __builtin_prefetch(&slots_[first(hash)]);
}

void Index::prefetch_entry(std::uint64_t hash) const {
  constexpr int kMost = 3;  // few chains are longer
  SlotId id = first(hash);
  for (int i = 0; i < kMost && id != 0; ++i) {
    const Slot found = slot(id);
    const auto* memory = reinterpret_cast<const char*>(entry_of(found));
    __builtin_prefetch(memory);
    __builtin_prefetch(memory + 64);
    __builtin_prefetch(memory + 128);
    id = next_of(found);
  }
}

SlotId Index::take_slot() {
  if (free_ == 0) {
    return ++last_id_;
  }
  const SlotId id = free_;
  free_ = next(id);
  return id;
}

// Splits a bucket, keeping the order of its entries. `prefetch_*` may look into the wrong one of
// the two meanwhile, which costs a cache miss.
void Index::add_bucket() {
  const std::uint32_t added = bucket_count();
  bucket_count_.store(added + 1, std::memory_order_relaxed);
  if (added == 0) {
    return;
  }
  const std::size_t split = added - std::bit_floor(added);
  SlotId id = head(split);
  SlotId last_kept = 0;
  SlotId last_moved = 0;
  set_head(split, 0);
  while (id != 0) {
    const SlotId following = next(id);
    const std::size_t bucket = bucket_of(hash_of(at(id)));
    SlotId& last = bucket == split ? last_kept : last_moved;
    if (last == 0) {
      set_head(bucket, id);
    } else {
      set_next(last, id);
    }
    set_next(id, 0);
    last = id;
    id = following;
  }
}

}  // namespace pannier::cache
