#pragma once

#include "entry.hpp"
#include "epochs.hpp"
#include "ghost.hpp"
#include "index.hpp"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

namespace pannier::cache {

// One part of the near cache: the entries of some keys under one lock, with S3-FIFO eviction in
// bytes. New entries enter the small queue, a fifth of the budget; those that were hit there go on
// to the main queue (negative ones after two hits), the others are evicted and remembered by the
// ghost, which lets them enter the main queue when they come again. In the main queue a hit earns a
// second chance. Hits move nothing. All calls but those of `index().prefetch_*` need the lock,
// which the caller holds.
class alignas(64) Stripe {
 public:
  Stripe(std::size_t budget, const Epochs& epochs);
  ~Stripe() = default;
  Stripe(const Stripe&) = delete;
  Stripe& operator=(const Stripe&) = delete;

  [[nodiscard]] std::mutex& mutex() { return mutex_; }

  // The entry that answers `query` and neither was flushed nor is over nor is of another class;
  // null: none. Counts a touch. One that is there but does not count is removed.
  [[nodiscard]] Entry* find(const Query& query, Tick now, Epochs::Standing& standing);

  // Replaces the entry that answers the same.
  Kept place(const Query& query, OwnedEntry entry, Tick now);

  // Removes the entries of all keys with that hash. Returns how many.
  std::size_t erase(std::uint64_t hash);

  // Removes the entry that answers `query`, whatever its class, unless it says the same: see
  // NearCache::show.
  void erase_other(const Query& query, std::optional<std::string_view> bytes);

  // Looks at up to `looks` entries, going on where it stopped, and removes those whose time is over
  // or that were flushed. Returns how many; `round_done` tells whether it came to the end.
  std::size_t expire_some(Tick now, std::size_t looks, bool& round_done);

  void set_budget(std::size_t budget);

  [[nodiscard]] std::size_t used() const {
    return small_.bytes + main_.bytes + index_.bytes() + ghost_.bytes();
  }

  [[nodiscard]] std::size_t entries() const { return index_.size(); }

  [[nodiscard]] std::size_t recount() const;

  [[nodiscard]] const ClassUse& use_of(ClassIndex key_class) const { return uses_[key_class]; }

  [[nodiscard]] const Index& index() const { return index_; }

  static constexpr std::size_t kLargestShare = 8;  // of the budget, for one entry

  // Whether `bytes` are too much for one entry.
  [[nodiscard]] bool too_large(std::size_t bytes) const { return bytes > budget_ / kLargestShare; }

  // Less than any entry is charged, with its share of the index.
  static constexpr std::size_t kLeastCharge = 64;

 private:
  // A queue through Entry::newer and Entry::older.
  struct Queue {
    SlotId newest = 0;
    SlotId oldest = 0;
    std::size_t bytes = 0;
  };

  enum class Cause : std::uint8_t {
    Evicted,
    Expired,
    Removed
  };

  [[nodiscard]] Queue& queue_of(const Entry& entry) { return entry.in_main != 0 ? main_ : small_; }

  [[nodiscard]] SlotId id_of(const Query& query) const;
  [[nodiscard]] Epochs::Standing standing_of(const Entry& entry) const;
  void push(Queue& queue, SlotId id);
  void unlink(Queue& queue, SlotId id);
  void remove(SlotId id, Cause cause);
  void remember(const Entry& entry, std::uint64_t hash);
  void drop_oldest_variant(const Query& query);
  [[nodiscard]] bool make_room(std::size_t need);
  void evict_from_small();
  [[nodiscard]] bool evict_from_main(bool even_touched);
  [[nodiscard]] bool remove_if_over(SlotId id);
  void give_back_when_empty();

  std::mutex mutex_;
  const Epochs* epochs_;
  std::size_t budget_;
  Tick now_ = 0;  // the latest that was told
  Queue small_;
  Queue main_;
  SlotId looked_at_ = 0;  // by expire_some
  alignas(64) Index index_;
  Ghost ghost_;
  Pages<ClassUse> uses_{kMaxClasses};
};

}  // namespace pannier::cache
