#include "cache_fixture.hpp"
#include "entry.hpp"

#include <catch2/catch.hpp>
#include <malloc.h>

#include <cstdio>
#include <random>
#include <thread>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::SharedBytes;
using pannier::base::TimePoint;

// What stays and what goes, and how the bytes are counted.

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr std::size_t kMiB = 1 << 20;

std::size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  std::size_t total = 0;
  std::size_t resident = 0;
  const int read = std::fscanf(file, "%zu %zu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * 4096 : 0;
}

// One stripe, so that it is known who competes with whom.
struct SmallCache : CacheFixture {
  SmallCache() : CacheFixture(kMiB) {}

  // Keeps `bytes` of replies of 200 B that nobody asks for again.
  void scan(std::size_t bytes) {
    for (std::size_t kept = 0; kept < bytes; kept += 250) {
      REQUIRE(keep({"scan:" + std::to_string(next_++)}, std::string(200, 'x')) == Kept::Yes);
    }
  }

  void hit(const Wish& wish, int times) {
    for (int i = 0; i < times; ++i) {
      REQUIRE(get(wish) != "-");
    }
  }

 private:
  int next_ = 0;
};

}  // namespace

TEST_CASE("near_cache: the budget holds and the count is right, whatever is kept") {
  CacheFixture f(4 * kMiB);
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 18;
    f.keep({"k" + std::to_string(random() % 5000)}, std::string(size + random() % size, 'v'));
    if (i % 500 == 0) {
      REQUIRE(f.cache.used_bytes() == f.cache.recount());
      REQUIRE(f.cache.used_bytes() <= 4 * kMiB);
    }
  }
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
  REQUIRE(f.cache.used_bytes() > 3 * kMiB);
  REQUIRE(f.cache.use_of(kClass).entries == f.cache.entries());
  REQUIRE(f.cache.use_of(kClass).evictions > 0);
}

TEST_CASE("near_cache: an entry costs at most 56 bytes beyond its key and value") {
  CacheFixture f(2 * kMiB);
  const auto overhead = [&] {
    const std::size_t index = f.cache.used_bytes() - f.cache.use_of(kClass).bytes;
    return static_cast<double>(kHeaderBytes) +
           static_cast<double>(index) / static_cast<double>(f.cache.entries());
  };
  for (int i = 0; i < 5000; ++i) {
    f.keep({"key:" + std::to_string(i)}, std::string(100, 'v'));
  }
  REQUIRE(f.cache.entries() == 5000);
  REQUIRE(overhead() <= 52.1);  // no ghost yet
  for (int i = 0; i < 50'000; ++i) {
    f.keep({"key:" + std::to_string(i)}, std::string(100, 'v'));
  }
  REQUIRE(f.cache.use_of(kClass).evictions > 30'000);
  REQUIRE(overhead() <= 56.0);  // with ghosts
}

TEST_CASE("near_cache: what was hit outlives a scan, what was not does not") {
  SmallCache f;
  f.keep({"hit"}, "v");
  f.keep({"not hit"}, "v");
  f.hit({"hit"}, 1);
  f.scan(10 * kMiB);
  REQUIRE(f.get({"hit"}) == "v");
  REQUIRE(f.get({"not hit"}) == "-");
}

TEST_CASE("near_cache: what comes again soon after its eviction stays") {
  SmallCache f;
  f.keep({"again"}, "v");
  f.scan(kMiB + kMiB / 10);
  REQUIRE(f.get({"again"}) == "-");
  f.keep({"again"}, "v");
  f.scan(2 * kMiB);
  REQUIRE(f.get({"again"}) == "v");
}

TEST_CASE("near_cache: what was hit before its invalidation comes back into the main queue") {
  SmallCache f;
  f.keep({"hit"}, "v1");
  f.keep({"not hit"}, "v1");
  f.hit({"hit"}, 1);
  f.cache.invalidate(f.hash("hit"));
  f.cache.invalidate(f.hash("not hit"));
  f.keep({"hit"}, "v2");
  f.keep({"not hit"}, "v2");
  f.scan(2 * kMiB);
  REQUIRE(f.get({"hit"}) == "v2");
  REQUIRE(f.get({"not hit"}) == "-");
}

TEST_CASE("near_cache: what was hit comes back into the main queue after its time") {
  SmallCache f;
  f.reply.life = f.life(1s);
  f.keep({"k"}, "v1");
  f.hit({"k"}, 1);
  f.now += 2s;
  f.reply.life = f.life(1h);
  REQUIRE(f.get({"k"}) == "-");
  f.keep({"k"}, "v2");
  f.scan(2 * kMiB);
  REQUIRE(f.get({"k"}) == "v2");
}

TEST_CASE("near_cache: a main queue full of hits still makes room") {
  SmallCache f;
  for (int i = 0; i < 20'000; ++i) {
    const Wish wish{"k" + std::to_string(i)};
    f.keep(wish, std::string(200, 'x'));
    f.hit(wish, 3);
  }
  REQUIRE(f.cache.used_bytes() <= kMiB);
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
}

TEST_CASE("near_cache: a negative entry stays only when it is asked for twice") {
  SmallCache f;
  f.reply.negative = true;
  for (const char* key : {"never", "once", "twice"}) {
    f.keep({key}, "");
  }
  REQUIRE(f.find({"once"}));
  REQUIRE(f.find({"twice"}));
  REQUIRE(f.find({"twice"}));
  // Remembered by the ghost, which does not help a negative entry.
  f.cache.invalidate(f.hash("once"));
  f.keep({"once"}, "");
  f.reply.negative = false;
  f.scan(2 * kMiB);
  REQUIRE_FALSE(f.find({"never"}));
  REQUIRE_FALSE(f.find({"once"}));
  REQUIRE(f.find({"twice"}));
}

TEST_CASE("near_cache: an entry over an eighth of a stripe is refused") {
  SmallCache f;
  REQUIRE(f.keep({"k"}, std::string(kMiB / 8, 'x')) == Kept::TooLarge);
  REQUIRE(f.keep({"k"}, std::string(kMiB / 8 - 200, 'x')) == Kept::Yes);
  REQUIRE(f.keep({"k"}, std::string(kMiB, 'x')) == Kept::TooLarge);
  REQUIRE(f.get({"k"}).size() == kMiB / 8 - 200);
}

TEST_CASE("near_cache: a value that was handed out outlives its entry and the cache") {
  const std::string large(kMiB, 'x');
  SharedBytes evicted;
  SharedBytes invalidated;
  SharedBytes replaced;
  {
    CacheFixture f(256 * kMiB);
    for (const char* key : {"evicted", "invalidated", "replaced"}) {
      REQUIRE(f.keep({key}, large) == Kept::Yes);
    }
    evicted = f.find({"evicted"}).shared();
    invalidated = f.find({"invalidated"}).shared();
    replaced = f.find({"replaced"}).shared();
    f.cache.invalidate(f.hash("invalidated"));
    f.keep({"replaced"}, "small");
    const std::size_t used = f.cache.used_bytes();
    REQUIRE(used == f.cache.recount());
    REQUIRE(used < 2 * kMiB);
    f.cache.set_budget(kMiB);
    REQUIRE(f.cache.entries() <= 1);
    REQUIRE(invalidated.view() == large);
  }
  REQUIRE(evicted.view() == large);
  REQUIRE(invalidated.view() == large);
  REQUIRE(replaced.view() == large);
}

TEST_CASE("near_cache: a smaller budget holds at once, and is never above the first") {
  CacheFixture f(8 * kMiB);
  for (int i = 0; i < 40'000; ++i) {
    f.keep({"k" + std::to_string(i)}, std::string(200, 'x'));
  }
  f.cache.set_budget(2 * kMiB);
  REQUIRE(f.cache.budget() == 2 * kMiB);
  REQUIRE(f.cache.used_bytes() <= 2 * kMiB);
  REQUIRE(f.cache.entries() > 1000);
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
  f.cache.set_budget(0);
  REQUIRE(f.cache.used_bytes() == 0);
  REQUIRE(f.keep({"k"}, "v") == Kept::Full);
  f.cache.set_budget(64 * kMiB);
  REQUIRE(f.cache.budget() == 8 * kMiB);
  REQUIRE(f.keep({"k"}, "v") == Kept::Yes);
}

TEST_CASE("near_cache: entries whose time is over are removed in bounded steps") {
  CacheFixture f;
  f.reply.life = f.life(1s);
  for (int i = 0; i < 1000; ++i) {
    f.keep({"short" + std::to_string(i)}, "v");
  }
  f.reply.life = f.life(1h);
  for (int i = 0; i < 1000; ++i) {
    f.keep({"long" + std::to_string(i)}, "v");
  }
  f.now += 2s;
  std::size_t removed = 0;
  for (int call = 0; call < 300; ++call) {
    const std::size_t some = f.cache.expire_some(f.now, 10);
    REQUIRE(some <= 10);
    removed += some;
  }
  REQUIRE(removed == 1000);
  REQUIRE(f.cache.entries() == 1000);
  REQUIRE(f.cache.use_of(kClass).expirations == 1000);
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
}

TEST_CASE("near_cache: the memory of flushed entries comes back") {
  CacheFixture f;
  for (int i = 0; i < 1000; ++i) {
    f.keep({"k" + std::to_string(i)}, "v");
  }
  f.cache.flush_class(kClass);
  for (int call = 0; call < 200; ++call) {
    f.cache.expire_some(f.now, 100);
  }
  REQUIRE(f.cache.entries() == 0);
  REQUIRE(f.cache.use_of(kClass).bytes == 0);
  REQUIRE(f.cache.use_of(kClass).expirations == 0);
}

TEST_CASE("near_cache: a shadow entry is counted as what it stands for") {
  CacheFixture f;
  const Wish wish{"k", kHget, {"a", "b"}};
  f.keep(wish, std::string(10'000, 'v'));
  const auto real = static_cast<double>(f.cache.use_of(kClass).bytes);
  f.reply.charge_as = 10'000;
  f.keep(wish, "digest");
  REQUIRE(f.get(wish) == "digest");
  REQUIRE(f.cache.entries() == 1);
  REQUIRE(static_cast<double>(f.cache.use_of(kClass).bytes) == Approx(real).margin(32));
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
  f.reply.charge_as = 1;
  f.keep({"tiny"}, "digest");
  f.cache.invalidate(f.hash("k"));
  REQUIRE(f.cache.use_of(kClass).bytes >= sizeof(Entry));
  f.cache.invalidate(f.hash("tiny"));
  REQUIRE(f.cache.use_of(kClass).bytes == 0);
}

TEST_CASE("near_cache: an idle cache costs no memory worth speaking of") {
  const std::size_t before = resident_bytes();
  const NearCache cache(std::size_t{4} << 30);
  REQUIRE(cache.used_bytes() == 0);
  if (!kSanitized) {
    REQUIRE(resident_bytes() - before < 512 * 1024);
  }
}

TEST_CASE("near_cache: the process grows by what is counted, and little more") {
  if (kSanitized) {
    return;
  }
  const std::size_t before = resident_bytes();
  CacheFixture f(64 * kMiB);
  for (int i = 0; i < 150'000; ++i) {
    f.keep({"key:" + std::to_string(i)}, std::string(200, 'v'));
  }
  REQUIRE(f.cache.entries() == 150'000);
  const auto grown = static_cast<double>(resident_bytes() - before);
  REQUIRE(grown <= 1.15 * static_cast<double>(f.cache.used_bytes()));
}

TEST_CASE("near_cache: the budget holds with values of 1 B to 1 MB from four threads") {
  constexpr std::size_t kBudget = 160 * kMiB;
  constexpr int kSteps = kSanitized ? 2'000 : 10'000;
  const unsigned seed = Catch::rngSeed();
  INFO("seed " << seed);
  const std::size_t before = resident_bytes();
  CacheFixture f(kBudget);
  const std::string large(kMiB, 'x');
  const auto work = [&](unsigned number) {
    std::mt19937 random(seed + number);
    for (int step = 0; step < kSteps; ++step) {
      const std::string key = "k" + std::to_string(random() % 20'000);
      const Query query{NearCache::hash(key), key, {}, kGet, 0, 0, 0};
      const TimePoint now = kStart + std::chrono::milliseconds(step);
      NearCache::Reply reply;
      reply.node = kNode;
      reply.bytes =
          std::string_view(large).substr(0, 1 + random() % (std::size_t{1} << random() % 21));
      reply.life = {now + 500ms, now + 2s, TimePoint::max()};
      f.cache.install(query, f.cache.begin(query), reply, now);
      if (step % 8 == 0) {
        f.cache.invalidate(NearCache::hash("k" + std::to_string(random() % 20'000)));
      }
      if (step % 64 == 0) {
        f.cache.expire_some(now, 64);
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < 4; ++number) {
      threads.emplace_back(work, number);
    }
  }
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
  REQUIRE(f.cache.used_bytes() <= kBudget);
  REQUIRE(f.cache.used_bytes() > kBudget / 2);
  if (!kSanitized) {
    malloc_trim(0);  // holes that malloc keeps are not the cache's
    const auto grown = static_cast<double>(resident_bytes() - before);
    REQUIRE(grown <= 1.15 * static_cast<double>(f.cache.used_bytes()));
  }
}
