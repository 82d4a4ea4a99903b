#include "entry.hpp"

#include <malloc.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>

namespace pannier::cache {
namespace {

using Length = std::uint16_t;  // of the key, of `rest` and of each of its arguments
constexpr std::size_t kMostBytes = std::numeric_limits<Length>::max();
constexpr std::size_t kMallocHeader = sizeof(void*);

constexpr int kMantissaBits = 11;

char* data_of(Entry& entry) {
  return reinterpret_cast<char*>(&entry) + kHeaderBytes;
}

const char* data_of(const Entry& entry) {
  return reinterpret_cast<const char*>(&entry) + kHeaderBytes;
}

template <typename T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
char* store(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

char* store_bytes(char* to, std::string_view bytes) {
  bytes.copy(to, bytes.size());
  return to + bytes.size();
}

// Of the arguments behind the key, each with its length before it.
std::size_t encoded_bytes(std::span<const std::string_view> rest) {
  std::size_t bytes = 0;
  for (const std::string_view argument : rest) {
    bytes += sizeof(Length) + argument.size();
  }
  return bytes;
}

std::size_t rest_bytes(const Entry& entry) {
  return entry.has_rest != 0 ? load<Length>(data_of(entry)) : 0;
}

std::size_t key_offset(const Entry& entry) {
  return entry.has_rest != 0 ? sizeof(Length) : 0;
}

bool same_rest(std::string_view encoded, std::span<const std::string_view> rest) {
  for (const std::string_view argument : rest) {
    if (encoded.size() < sizeof(Length) + argument.size() ||
        load<Length>(encoded.data()) != argument.size() ||
        encoded.substr(sizeof(Length), argument.size()) != argument) {
      return false;
    }
    encoded.remove_prefix(sizeof(Length) + argument.size());
  }
  return encoded.empty();
}

void set_life(Entry& entry, const Lifetime& life, base::TimePoint now) {
  const base::TimePoint longest = now + std::chrono::milliseconds(kLongestLife);
  const base::TimePoint keep = std::clamp(life.keep_until, now, longest);
  const base::TimePoint fresh = std::clamp(life.fresh_until, now, keep);
  entry.fresh_until = tick_of(fresh);
  entry.stale_for = shorten(tick_of(keep) - entry.fresh_until);
  entry.life = shorten(entry.fresh_until - tick_of(now));
  const base::TimePoint refresh = std::max(life.refresh_at, now);
  const Tick end = entry.keep_until();
  entry.refresh = refresh < keep ? shorten(end - std::min(end, tick_of(refresh))) : Length{0};
}

}  // namespace

Tick tick_of(base::TimePoint at) {
  return static_cast<Tick>(
      std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count());
}

std::uint16_t shorten(Tick span) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(span)) - kMantissaBits);
  return static_cast<std::uint16_t>(static_cast<Tick>(shift) << kMantissaBits | span >> shift);
}

Tick lengthen(std::uint16_t span) {
  constexpr Tick kMantissa = (Tick{1} << kMantissaBits) - 1;
  return (span & kMantissa) << (span >> kMantissaBits);
}

std::string_view Entry::key() const {
  return {data_of(*this) + key_offset(*this), key_bytes};
}

std::string_view Entry::value() const {
  return {data_of(*this) + key_offset(*this) + key_bytes + rest_bytes(*this), value_bytes};
}

bool Entry::answers(const Query& query) const {
  if (row != query.row || db != query.db || version != query.version ||
      has_rest != static_cast<unsigned>(!query.rest.empty()) || key() != query.key) {
    return false;
  }
  if (has_rest == 0) {
    return true;
  }
  return same_rest({data_of(*this) + key_offset(*this) + key_bytes, rest_bytes(*this)}, query.rest);
}

std::size_t Entry::charge() const {
  if (has_charge != 0) {
    const std::string_view bytes = value();
    return load<std::size_t>(bytes.data() + bytes.size());
  }
  // malloc_usable_size does not write, it only wants a plain pointer.
  return malloc_usable_size(const_cast<Entry*>(this)) + kMallocHeader;
}

bool Entry::take_refresh(Tick now) {
  const Tick left = keep_until() - now;
  if (refresh == 0 || left > lengthen(refresh)) {
    return false;
  }
  constexpr Tick kSecond = 1000;
  refresh = shorten(left > kSecond ? left - kSecond : 0);
  return true;
}

std::size_t block_bytes(const Query& query, const NearCache::Reply& reply) {
  constexpr std::size_t kMostValue = std::numeric_limits<std::uint32_t>::max();
  const std::size_t rest = encoded_bytes(query.rest);
  if (query.key.size() > kMostBytes || rest > kMostBytes || reply.bytes.size() > kMostValue ||
      query.row >= 1U << 15U || query.version >= 1U << 2U) {
    return 0;
  }
  const std::size_t bytes = kHeaderBytes + (rest == 0 ? 0 : sizeof(Length)) + query.key.size() +
                            rest + reply.bytes.size() +
                            (reply.charge_as == 0 ? 0 : sizeof(std::size_t));
  return std::max(bytes, sizeof(Entry));
}

OwnedEntry make_entry(const Query& query,
                      const NearCache::Reply& reply,
                      std::uint32_t epoch,
                      base::TimePoint now) {
  void* memory = std::malloc(block_bytes(query, reply));  // NOLINT(cppcoreguidelines-no-malloc)
  if (memory == nullptr) {
    return nullptr;
  }
  auto* entry = new (memory) Entry{};
  entry->epoch = epoch;
  entry->value_bytes = static_cast<std::uint32_t>(reply.bytes.size());
  entry->key_bytes = static_cast<Length>(query.key.size());
  entry->node = reply.node & 0x3fU;
  entry->key_class = query.key_class & 0x3ffU;
  entry->row = query.row & 0x7fffU;
  entry->has_rest = !query.rest.empty();
  entry->db = query.db;
  entry->version = query.version & 3U;
  entry->negative = reply.negative;
  entry->tracked = reply.tracked;
  set_life(*entry, reply.life, now);
  char* out = data_of(*entry);
  if (entry->has_rest != 0) {
    out = store(out, static_cast<Length>(encoded_bytes(query.rest)));
  }
  out = store_bytes(out, query.key);
  for (const std::string_view argument : query.rest) {
    out = store_bytes(store(out, static_cast<Length>(argument.size())), argument);
  }
  out = store_bytes(out, reply.bytes);
  if (reply.charge_as != 0) {
    const std::size_t missing = std::max(reply.charge_as, reply.bytes.size()) - reply.bytes.size();
    store(out, entry->charge() + missing);
    entry->has_charge = 1;
  }
  return OwnedEntry(entry);
}

}  // namespace pannier::cache
