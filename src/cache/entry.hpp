#pragma once

#include "pannier/base/shared_bytes.hpp"
#include "pannier/cache/near_cache.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace pannier::cache {

// A moment in milliseconds, the low 32 bits of it. Ticks are compared by difference, so that their
// wrap after 49 days does not matter to lives that are shorter.
using Tick = std::uint32_t;
inline constexpr Tick kLongestLife = Tick{1} << 30;  // 12 days; a longer life is cut to it

[[nodiscard]] Tick tick_of(base::TimePoint at);

// A span of milliseconds in 16 bits, rounded down by at most 1/1024 of itself.
[[nodiscard]] std::uint16_t shorten(Tick span);
[[nodiscard]] Tick lengthen(std::uint16_t span);

using SlotId = std::uint32_t;  // where an entry stands in its stripe's slot table; 0: nowhere

// A kept reply: one block from malloc that holds this header and behind it, without gaps: the
// length of `rest` (if there is any), the key, `rest`, the value, the charge (if it is not what the
// block takes). All but the reference count is used under the lock of the stripe. The key, `rest`
// and the value never change.
struct Entry {
  base::SharedBlock block;
  SlotId newer;  // neighbours in the queue
  SlotId older;
  Tick fresh_until;
  std::uint32_t epoch;  // of the ticket
  std::uint32_t value_bytes;
  std::uint16_t key_bytes;
  std::uint16_t stale_for;  // shortened: from fresh_until to the end
  std::uint16_t refresh;    // shortened: from the refresh to the end; 0: never
  std::uint16_t life;       // shortened: from the sending to fresh_until
  std::uint16_t node : 6;
  std::uint16_t key_class : 10;
  std::uint16_t row : 15;
  std::uint16_t has_rest : 1;
  std::uint8_t db;
  std::uint8_t touches : 2;  // hits since it entered its queue or got its last second chance
  std::uint8_t version : 2;
  std::uint8_t negative : 1;
  std::uint8_t tracked : 1;
  std::uint8_t in_main : 1;  // of the two queues
  std::uint8_t has_charge : 1;

  [[nodiscard]] std::string_view key() const;
  [[nodiscard]] std::string_view value() const;
  [[nodiscard]] bool answers(const Query& query) const;

  // What it costs: the block with malloc's own header, as large as `charge_as` would make it.
  [[nodiscard]] std::size_t charge() const;

  [[nodiscard]] Tick keep_until() const { return fresh_until + lengthen(stale_for); }

  // Whether its time is over. A distance that no life can have lies in the past.
  [[nodiscard]] bool over(Tick now) const { return keep_until() - now - 1 >= kLongestLife; }

  [[nodiscard]] bool fresh(Tick now) const { return fresh_until - now - 1 < kLongestLife; }

  // Whether a refresh is due; then it is not for the next second.
  [[nodiscard]] bool take_refresh(Tick now);
};

inline constexpr std::size_t kHeaderBytes = offsetof(Entry, db) + 2;
static_assert(kHeaderBytes == 38);
static_assert(std::is_trivially_destructible_v<Entry>, "the last owner of the block frees it");

struct EntryRelease {
  void operator()(Entry* entry) const { base::SharedBytes::release(entry->block); }
};

using OwnedEntry = std::unique_ptr<Entry, EntryRelease>;

// What an entry for these would need from malloc; 0 when it is beyond what an entry can hold.
[[nodiscard]] std::size_t block_bytes(const Query& query, const NearCache::Reply& reply);

// Null when there is no memory. `block_bytes` is not 0.
[[nodiscard]] OwnedEntry make_entry(const Query& query,
                                    const NearCache::Reply& reply,
                                    std::uint32_t epoch,
                                    base::TimePoint now);

}  // namespace pannier::cache
