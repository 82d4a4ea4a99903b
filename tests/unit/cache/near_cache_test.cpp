#include "cache_fixture.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::TimePoint;

// What the store keeps and gives back. Coherence: coherence_test.cpp; memory: eviction_test.cpp.

TEST_CASE("near_cache: a kept reply is found by the same query only") {
  CacheFixture f;
  REQUIRE(f.keep({"k"}, "$2\r\nv1\r\n") == Kept::Yes);
  REQUIRE(f.get({"k"}) == "$2\r\nv1\r\n");
  REQUIRE(f.get({"K"}) == "-");
  REQUIRE(f.get({"k", kHget}) == "-");
  REQUIRE(f.get({"k", kGet, {"x"}}) == "-");
  REQUIRE(f.get({"k", kGet, {}, 5}) == "-");
  REQUIRE(f.get({"k", kGet, {}, 0, 3}) == "-");
}

TEST_CASE("near_cache: arguments are told apart byte for byte") {
  CacheFixture f;
  REQUIRE(f.keep({"h", kHget, {"ab", "c"}}, "1") == Kept::Yes);
  REQUIRE(f.keep({"h", kHget, {"a", "bc"}}, "2") == Kept::Yes);
  REQUIRE(f.keep({"h", kHget, {"abc"}}, "3") == Kept::Yes);
  REQUIRE(f.keep({"h", kHget, {"abc", ""}}, "4") == Kept::Yes);
  REQUIRE(f.keep({"h", kHget, {""}}, "5") == Kept::Yes);
  REQUIRE(f.get({"h", kHget, {"ab", "c"}}) == "1");
  REQUIRE(f.get({"h", kHget, {"a", "bc"}}) == "2");
  REQUIRE(f.get({"h", kHget, {"abc"}}) == "3");
  REQUIRE(f.get({"h", kHget, {"abc", ""}}) == "4");
  REQUIRE(f.get({"h", kHget, {""}}) == "5");
  REQUIRE(f.get({"h", kHget}) == "-");
  REQUIRE(f.cache.entries() == 5);
}

TEST_CASE("near_cache: the empty key, a binary one and a long one are keys") {
  CacheFixture f;
  const std::string binary("a\0\r\n\xff", 5);
  const std::string longest(65'535, 'x');
  for (const std::string& key : {std::string(), binary, longest}) {
    REQUIRE(f.keep({key}, "v") == Kept::Yes);
    REQUIRE(f.get({key}) == "v");
  }
  REQUIRE(f.keep({longest + "x"}, "v") == Kept::TooLarge);
  REQUIRE(f.keep({"h", kHget, {longest}}, "v") == Kept::TooLarge);
}

TEST_CASE("near_cache: the same query answered anew replaces the reply") {
  CacheFixture f;
  f.keep({"k"}, "old");
  f.keep({"k"}, "new");
  REQUIRE(f.get({"k"}) == "new");
  REQUIRE(f.cache.entries() == 1);
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
}

TEST_CASE("near_cache: a negative entry has no bytes") {
  CacheFixture f;
  f.reply.negative = true;
  f.keep({"k"}, "");
  const Hit hit = f.find({"k"});
  REQUIRE(hit);
  REQUIRE(hit.negative);
  REQUIRE(hit.bytes().empty());
}

TEST_CASE("near_cache: a reply is fresh, then stale, then gone") {
  CacheFixture f;
  f.reply.life = f.life(100ms, 50ms);
  f.keep({"k"}, "v");
  f.now = kStart + 99ms;
  {
    const Hit hit = f.find({"k"});
    REQUIRE(hit.freshness == Freshness::Fresh);
    REQUIRE(hit.fresh_until == kStart + 100ms);
    REQUIRE(hit.age == 99ms);
    REQUIRE(hit.node == kNode);
  }
  f.now = kStart + 100ms;
  REQUIRE(f.find({"k"}).freshness == Freshness::Stale);
  f.now = kStart + 149ms;
  REQUIRE(f.find({"k"}).freshness == Freshness::Stale);
  f.now = kStart + 150ms;
  REQUIRE_FALSE(f.find({"k"}));
  REQUIRE(f.cache.entries() == 0);
  REQUIRE(f.cache.use_of(kClass).expirations == 1);
}

TEST_CASE("near_cache: a life counts from the sending, so a late reply has less of it") {
  CacheFixture f;
  f.reply.life = f.life(30ms);
  const Ticket ticket = f.begin({"k"});
  f.now += 20ms;
  REQUIRE(f.install({"k"}, ticket, "v") == Kept::Yes);
  f.now = kStart + 29ms;
  REQUIRE(f.get({"k"}) == "v");
  f.now = kStart + 30ms;
  REQUIRE(f.get({"k"}) == "-");
}

TEST_CASE("near_cache: a reply whose time is over is not kept") {
  CacheFixture f;
  f.reply.life = f.life(10ms);
  const Ticket ticket = f.begin({"k"});
  f.now += 10ms;
  REQUIRE(f.install({"k"}, ticket, "v") == Kept::Doomed);
  REQUIRE(f.cache.entries() == 0);
}

TEST_CASE("near_cache: the wrap of the millisecond counter does not matter") {
  CacheFixture f;
  f.now = TimePoint(std::chrono::milliseconds((std::int64_t{1} << 32) - 50));
  f.reply.life = f.life(100ms, 1h);
  f.keep({"k"}, "v");
  f.now += 99ms;
  REQUIRE(f.find({"k"}).freshness == Freshness::Fresh);
  f.now += 1ms;
  REQUIRE(f.find({"k"}).freshness == Freshness::Stale);
  f.now += 25 * 24h;
  REQUIRE_FALSE(f.find({"k"}));
}

TEST_CASE("near_cache: a life without end is cut to some days") {
  CacheFixture f;
  f.reply.life = {TimePoint::max(), TimePoint::max(), TimePoint::max()};
  f.keep({"k"}, "v");
  f.now += 12 * 24h;
  REQUIRE(f.get({"k"}) == "v");
  f.now += 24h;
  REQUIRE(f.get({"k"}) == "-");
}

TEST_CASE("near_cache: a refresh is asked for once, then at most once per second") {
  CacheFixture f;
  f.reply.life = f.life(10s);
  f.reply.life.refresh_at = kStart + 8s;
  f.keep({"k"}, "v");
  f.now = kStart + 7'999ms;
  REQUIRE_FALSE(f.find({"k"}).wants_refresh);
  f.now = kStart + 8'005ms;
  REQUIRE(f.find({"k"}).wants_refresh);
  REQUIRE_FALSE(f.find({"k"}).wants_refresh);
  f.now += 999ms;
  REQUIRE_FALSE(f.find({"k"}).wants_refresh);
  f.now += 2ms;
  REQUIRE(f.find({"k"}).wants_refresh);
  REQUIRE_FALSE(f.find({"k"}).wants_refresh);
}

TEST_CASE("near_cache: without a refresh time none is asked for") {
  CacheFixture f;
  f.reply.life = f.life(10s, 10s);
  f.keep({"k"}, "v");
  f.now = kStart + 19'999ms;
  const Hit hit = f.find({"k"});
  REQUIRE(hit.freshness == Freshness::Stale);
  REQUIRE_FALSE(hit.wants_refresh);
}

TEST_CASE("near_cache: a large reply is handed out by reference") {
  CacheFixture f;
  f.keep({"small"}, std::string(NearCache::kCopyUpTo, 's'));
  f.keep({"large"}, std::string(NearCache::kCopyUpTo + 1, 'l'));
  REQUIRE(f.find({"small"}).shared().empty());
  const Hit hit = f.find({"large"});
  REQUIRE(hit.shared().view() == hit.bytes());
  REQUIRE(hit.bytes().size() == NearCache::kCopyUpTo + 1);
}

TEST_CASE("near_cache: the oldest of too many variants of a key goes") {
  CacheFixture f;
  for (std::size_t i = 0; i <= NearCache::kMaxVariants; ++i) {
    f.keep({"h", kHget, {std::to_string(i)}}, "v");
  }
  REQUIRE(f.cache.entries() == NearCache::kMaxVariants);
  REQUIRE(f.get({"h", kHget, {"0"}}) == "-");
  REQUIRE(f.get({"h", kHget, {"1"}}) == "v");
}

TEST_CASE("near_cache: a budget of nothing keeps nothing") {
  CacheFixture f(0);
  REQUIRE(f.keep({"k"}, "v") == Kept::Full);
  REQUIRE(f.get({"k"}) == "-");
  REQUIRE(f.cache.used_bytes() == 0);
  f.cache.prefetch_bucket(f.hash("k"));
  f.cache.prefetch_slot(f.hash("k"));
  f.cache.prefetch_entry(f.hash("k"));
  REQUIRE(f.cache.invalidate(f.hash("k")) == 0);
  REQUIRE(f.cache.expire_some(f.now, 100) == 0);
}

TEST_CASE("near_cache: use is counted per class") {
  CacheFixture f;
  f.keep({"a"}, "v");
  f.key_class = 1023;
  f.keep({"b"}, std::string(1000, 'v'));
  REQUIRE(f.cache.use_of(kClass).entries == 1);
  REQUIRE(f.cache.use_of(1023).entries == 1);
  REQUIRE(f.cache.use_of(1023).bytes > f.cache.use_of(kClass).bytes);
  f.cache.invalidate(f.hash("b"));
  REQUIRE(f.cache.use_of(1023).entries == 0);
  REQUIRE(f.cache.use_of(1023).bytes == 0);
  REQUIRE(f.cache.use_of(1023).evictions == 0);
}

TEST_CASE("near_cache: many keys are found again") {
  CacheFixture f;
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(f.keep({"key:" + std::to_string(i)}, std::to_string(i)) == Kept::Yes);
  }
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(f.get({"key:" + std::to_string(i)}) == std::to_string(i));
  }
  for (int i = 0; i < 20'000; i += 2) {
    REQUIRE(f.cache.invalidate(f.hash("key:" + std::to_string(i))) == 1);
  }
  for (int i = 0; i < 20'000; ++i) {
    const std::string expected = i % 2 == 0 ? "-" : std::to_string(i);
    REQUIRE(f.get({"key:" + std::to_string(i)}) == expected);
  }
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
}
