#include "pannier/limit/limiters.hpp"

#include "mix.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

namespace pannier::limit {
namespace {

constexpr std::int64_t kFine = 1000;  // nanoseconds, where a microsecond brings several tokens
constexpr std::uint64_t kFineBit = 1;

std::int64_t clamped(std::uint64_t value) {
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::int64_t>::max()));
}

std::uint64_t identity_of(const Definition& definition) {
  std::uint64_t hash = 0;
  for (const char c : definition.name) {
    hash = mix(hash, static_cast<unsigned char>(c));
  }
  hash = mix(hash, definition.count);
  hash = mix(hash, static_cast<std::uint64_t>(definition.period));
  hash = mix(hash, definition.burst);
  hash = mix(hash, definition.has_subjects ? 1 : 0);
  return hash == 0 ? 1 : hash;
}

std::int64_t unit_of(std::uint64_t key) {
  return (key & kFineBit) != 0 ? kFine : 1;
}

}  // namespace

std::uint64_t Limit::bucket(std::uint64_t subject) const {
  return key_of(identity_, subject, false);
}

void Limiters::FreeMemory::operator()(void* memory) const {
  std::free(memory);  // NOLINT(*-no-malloc): the pair of calloc
}

// calloc: pages of this size are zero without being touched.
// NOLINTNEXTLINE(*-no-malloc)
Limiters::Limiters() : table_(static_cast<Entry*>(std::calloc(kEntries, sizeof(Entry)))) {
  if (!table_) {
    throw std::bad_alloc();
  }
}

Limiters::~Limiters() = default;

Limit Limiters::prepare(const Definition& definition) {
  const std::int64_t count = std::max<std::int64_t>(1, clamped(definition.count));
  const std::int64_t period = std::max<std::int64_t>(1, definition.period);
  const std::int64_t burst = clamped(definition.burst);
  const auto rate = Rate::per(burst, count, period);
  Limit out(rate ? *rate : Rate::fraction(burst, count, period * kFine),
            rate ? 1 : kFine,
            identity_of(definition));
  if (definition.has_subjects) {
    used_.store(true, std::memory_order_relaxed);
  } else {
    out.place_ = place_of(out.identity_);
  }
  return out;
}

// Places are never given up: a limit that was there before finds its own again. Past the last one a
// limit without subjects lies in the table.
std::uint32_t Limiters::place_of(std::uint64_t identity) {
  const std::lock_guard guard(preparing_);
  for (std::uint32_t i = 0; i < kSingles; ++i) {
    std::uint64_t found = singles_[i].identity.load(std::memory_order_relaxed);
    if (found == 0) {
      singles_[i].identity.store(identity, std::memory_order_relaxed);
      found = identity;
    }
    if (found == identity) {
      return i;
    }
  }
  used_.store(true, std::memory_order_relaxed);
  return Limit::kInTable;
}

std::mutex& Limiters::lock_of(std::uint64_t key) const {
  return locks_[key / 2 % kSets % kLocks].mutex;
}

// The entry of the key, or the one that it takes. REQUIRES: its lock is held.
Limiters::Entry& Limiters::find(std::uint64_t key, std::int64_t now) {
  Entry* const set = &table_[key / 2 % kSets * kWays];
  Entry* chosen = set;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->key == key) {
      return *entry;
    }
    const std::int64_t full_at = entry->key == 0 ? 0 : entry->full_at / unit_of(entry->key);
    if (full_at < least) {
      least = full_at;
      chosen = entry;
    }
  }
  if (least >= now) {
    evictions_.fetch_add(1, std::memory_order_relaxed);
  }
  *chosen = {key, 0};
  return *chosen;
}

Taken Limiters::take(const Limit& limit,
                     std::uint64_t subject,
                     std::int64_t quantity,
                     std::int64_t now) {
  const std::int64_t unit = limit.unit_;
  Verdict verdict;
  if (limit.place_ != Limit::kInTable) {
    std::atomic<std::int64_t>& full_at = singles_[limit.place_].full_at;
    std::int64_t kept = full_at.load(std::memory_order_relaxed);
    do {
      verdict = limit::take(limit.rate_, kept, now * unit, quantity);
    } while (verdict.keep &&
             !full_at.compare_exchange_weak(kept, *verdict.keep, std::memory_order_relaxed));
  } else if (limit.rate_.cost(quantity) > limit.rate_.tolerance()) {
    verdict.limited = true;  // whatever is kept; nothing else has to make room
  } else {
    const std::uint64_t key = key_of(limit.identity_, subject, unit != 1);
    const std::lock_guard guard(lock_of(key));
    Entry& entry = find(key, now);
    verdict = limit::take(limit.rate_, entry.full_at, now * unit, quantity);
    entry.full_at = verdict.keep.value_or(entry.full_at);
  }
  const std::int64_t retry = verdict.retry_after;
  return {verdict.limited, retry < 0 ? retry : (retry + unit - 1) / unit};
}

void Limiters::give_back(const Limit& limit,
                         std::uint64_t subject,
                         std::int64_t quantity,
                         std::int64_t taken_at,
                         std::int64_t now) {
  const std::int64_t anew = std::max<std::int64_t>(0, now - taken_at) * limit.unit_;
  const std::int64_t amount = limit.rate_.cost(quantity) - anew;
  if (amount <= 0) {
    return;
  }
  if (limit.place_ != Limit::kInTable) {
    singles_[limit.place_].full_at.fetch_sub(amount, std::memory_order_relaxed);
    return;
  }
  const std::uint64_t key = key_of(limit.identity_, subject, limit.unit_ != 1);
  const std::lock_guard guard(lock_of(key));
  Entry* const set = &table_[key / 2 % kSets * kWays];
  Entry* const entry =
      std::find_if(set, set + kWays, [key](const Entry& each) { return each.key == key; });
  if (entry != set + kWays) {
    entry->full_at -= amount;
  }
}

std::size_t Limiters::entries(std::int64_t now) const {
  std::size_t count = 0;
  if (!used_.load(std::memory_order_relaxed)) {
    return count;
  }
  for (std::size_t set = 0; set < kSets; ++set) {
    const std::lock_guard guard(locks_[set % kLocks].mutex);
    for (std::size_t i = 0; i < kWays; ++i) {
      const Entry& entry = table_[set * kWays + i];
      count += entry.key != 0 && entry.full_at / unit_of(entry.key) > now ? 1 : 0;
    }
  }
  return count;
}

}  // namespace pannier::limit
