#pragma once

#include "pannier/cache/near_cache.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::cache {

inline constexpr base::TimePoint kStart{std::chrono::hours(1)};
inline constexpr std::uint16_t kGet = 7;
inline constexpr std::uint16_t kHget = 8;
inline constexpr NodeIndex kNode = 3;
inline constexpr ClassIndex kClass = 5;

// What a reply is asked for by: a key, a command and its arguments behind the key.
struct Wish {
  std::string key;
  std::uint16_t row = kGet;
  std::vector<std::string> rest = {};
  std::uint8_t db = 0;
  std::uint8_t version = 0;
};

// A cache whose nodes are coherent, a clock that stands, and verbs for what the proxy does with it.
class CacheFixture {
 public:
  explicit CacheFixture(std::size_t budget = 64 << 20) : cache(budget) {
    cache.regain(kNode);
    cache.regain(kNode + 1);
    reply.node = kNode;
    reply.life = life(std::chrono::seconds(30));
  }

  [[nodiscard]] Lifetime life(base::Duration fresh, base::Duration stale = {}) const {
    return {now + fresh, now + fresh + stale, base::TimePoint::max()};
  }

  [[nodiscard]] static std::uint64_t hash(std::string_view key) { return NearCache::hash(key); }

  Kept install(const Wish& wish, const Ticket& ticket, std::string_view bytes) {
    reply.bytes = bytes;
    const std::vector<std::string_view> rest(wish.rest.begin(), wish.rest.end());
    return cache.install(query(wish, rest), ticket, reply, now);
  }

  Kept keep(const Wish& wish, std::string_view bytes) { return install(wish, begin(wish), bytes); }

  [[nodiscard]] Ticket begin(const Wish& wish) {
    const std::vector<std::string_view> rest(wish.rest.begin(), wish.rest.end());
    return cache.begin(query(wish, rest));
  }

  [[nodiscard]] bool may_join(const Wish& wish, const Ticket& ticket) {
    const std::vector<std::string_view> rest(wish.rest.begin(), wish.rest.end());
    return cache.may_join(ticket, query(wish, rest));
  }

  // "": there is no such key.
  void show(const Wish& wish, Ticket& ticket, std::optional<std::string_view> bytes) {
    const std::vector<std::string_view> rest(wish.rest.begin(), wish.rest.end());
    cache.show(query(wish, rest), ticket, bytes);
  }

  [[nodiscard]] Hit find(const Wish& wish) {
    const std::vector<std::string_view> rest(wish.rest.begin(), wish.rest.end());
    return cache.find(query(wish, rest), now);
  }

  // The bytes of a hit, or "-" for none.
  [[nodiscard]] std::string get(const Wish& wish) {
    const Hit hit = find(wish);
    return hit ? std::string(hit.bytes()) : "-";
  }

  NearCache cache;
  base::TimePoint now = kStart;
  NearCache::Reply reply;         // what `install` keeps, but for the bytes
  ClassIndex key_class = kClass;  // of all keys

 private:
  [[nodiscard]] Query query(const Wish& wish, const std::vector<std::string_view>& rest) const {
    return {hash(wish.key), wish.key, rest, wish.row, wish.db, wish.version, key_class};
  }
};

}  // namespace pannier::cache
