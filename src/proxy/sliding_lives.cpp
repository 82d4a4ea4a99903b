#include "pannier/proxy/sliding_lives.hpp"

#include <algorithm>
#include <limits>

namespace pannier::proxy {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

SlidingLives::Set& SlidingLives::set_of(std::uint64_t hash) {
  if (sets_.load(std::memory_order_acquire) == nullptr) {
    std::call_once(once_, [this] {
      owned_ = std::make_unique<std::array<Set, kSets>>();
      sets_.store(owned_.get(), std::memory_order_release);
    });
  }
  return (*sets_.load(std::memory_order_acquire))[(hash >> 40U) % kSets];
}

SlidingLives::Entry* SlidingLives::find(Set& set, std::uint64_t hash) {
  for (Entry& entry : set) {
    if (entry.hash.load(kRelaxed) == hash) {
      return &entry;
    }
  }
  return nullptr;
}

// The one whose loss costs the least: empty or over, then the one that is due first.
SlidingLives::Entry& SlidingLives::victim(Set& set, std::int64_t now) {
  const auto worth = [now](const Entry& entry) {
    const std::int64_t next = entry.next.load(kRelaxed);
    const std::int64_t expires = entry.expires.load(kRelaxed);
    if (entry.hash.load(kRelaxed) == 0 || (expires == kEnded ? next : expires) <= now) {
      return std::int64_t{0};
    }
    return expires == kEnded ? std::numeric_limits<std::int64_t>::max() : next;
  };
  return *std::min_element(set.begin(), set.end(), [&worth](const Entry& a, const Entry& b) {
    return worth(a) < worth(b);
  });
}

bool SlidingLives::is_due(std::uint64_t hash, std::int64_t now, Due& due) const {
  auto* sets = sets_.load(std::memory_order_acquire);
  Entry* entry = sets == nullptr ? nullptr : find((*sets)[(hash >> 40U) % kSets], hash);
  if (entry == nullptr) {
    due = {};
    return true;
  }
  due.seen = entry->next.load(kRelaxed);
  if (due.seen > now) {
    return false;
  }
  const std::int64_t expires = entry->expires.load(kRelaxed);
  due.expected = expires > now ? expires - now : 0;
  return true;
}

bool SlidingLives::claim(std::uint64_t hash, std::int64_t now, const Due& due, std::int64_t next) {
  Set& set = set_of(hash);
  if (Entry* entry = find(set, hash)) {
    std::int64_t seen = due.seen;
    return entry->next.compare_exchange_strong(seen, next, kRelaxed);
  }
  Entry& entry = victim(set, now);
  std::uint64_t old = entry.hash.load(kRelaxed);
  if (!entry.hash.compare_exchange_strong(old, hash, kRelaxed)) {
    return false;  // somebody else is at it
  }
  entry.expires.store(0, kRelaxed);
  entry.next.store(next, kRelaxed);
  return true;
}

void SlidingLives::set(std::uint64_t hash,
                       std::int64_t now,
                       std::int64_t next,
                       std::int64_t expires) {
  Set& all = set_of(hash);
  Entry* known = find(all, hash);
  Entry& entry = known != nullptr ? *known : victim(all, now);
  entry.hash.store(hash, kRelaxed);
  entry.next.store(next, kRelaxed);
  entry.expires.store(expires, kRelaxed);
}

void SlidingLives::end(std::uint64_t hash, std::int64_t now, std::int64_t expires) {
  set(hash, now, expires, kEnded);
}

}  // namespace pannier::proxy
