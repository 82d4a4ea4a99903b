#include "pannier/cache/near_cache.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <string>
#include <vector>

// The near cache alone, without a network: `bench_near_cache --help` tells how to choose.

namespace pannier::cache {
namespace {

constexpr std::size_t kEntries = 100'000;
constexpr std::size_t kBatch = 16;
constexpr base::TimePoint kNow{std::chrono::hours(1)};

struct Key {
  std::string text;
  std::uint64_t hash = 0;
};

std::vector<Key> make_keys(const std::string& prefix) {
  std::vector<Key> keys(kEntries);
  for (std::size_t i = 0; i < kEntries; ++i) {
    keys[i].text = prefix + std::to_string(i);
    keys[i].hash = NearCache::hash(keys[i].text);
  }
  return keys;
}

const std::vector<Key>& keys() {
  static const std::vector<Key> made = make_keys("product:");
  return made;
}

Query query_of(const Key& key) {
  return {key.hash, key.text, {}, 1, 0, 0, 0};
}

Kept install(NearCache& cache, const Key& key) {
  static const std::string value(100, 'v');
  NearCache::Reply reply;
  reply.tracked = false;
  reply.bytes = value;
  reply.life = {kNow + std::chrono::hours(1), kNow + std::chrono::hours(1), base::TimePoint::max()};
  return cache.install(query_of(key), cache.begin(query_of(key)), reply, kNow);
}

void fill(NearCache& cache) {
  for (const Key& key : keys()) {
    install(cache, key);
  }
}

NearCache& filled() {
  static NearCache cache(256 << 20);
  static const bool done = (fill(cache), true);
  benchmark::DoNotOptimize(done);
  return cache;
}

// The same keys in random order, side by side in memory as in a request buffer, so that the
// benchmark adds no cache misses of its own.
std::vector<Key> shuffled(std::vector<Key> some, int seed) {
  std::shuffle(some.begin(), some.end(), std::mt19937(static_cast<unsigned>(seed)));
  return some;
}

std::vector<Key> keys_of_thread(const benchmark::State& state) {
  return shuffled(keys(), state.thread_index() + 1);
}

// As a batch of requests is looked up: hash all, ask for the memory of all, then find each. `use`
// says how many bytes of a hit it took.
template <typename Use>
void find_batches(benchmark::State& state, const Use& use) {
  NearCache& cache = filled();
  const std::vector<Key> asked = keys_of_thread(state);
  std::size_t at = 0;
  std::size_t bytes = 0;
  for (auto _ : state) {
    std::array<Query, kBatch> batch;
    for (Query& query : batch) {
      const Key& key = asked[at];
      at = at + 1 == kEntries ? 0 : at + 1;
      query = {NearCache::hash(key.text), key.text, {}, 1, 0, 0, 0};
      cache.prefetch_bucket(query.hash);
    }
    for (const Query& query : batch) {
      cache.prefetch_slot(query.hash);
    }
    for (const Query& query : batch) {
      cache.prefetch_entry(query.hash);
    }
    for (const Query& query : batch) {
      const Hit hit = cache.find(query, kNow);
      bytes += use(hit.bytes());
    }
  }
  const auto looked_up = static_cast<double>(state.iterations()) * kBatch;
  if (static_cast<double>(bytes) != looked_up * 100) {
    state.SkipWithError("not everything was found");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}

void lookup_batch(benchmark::State& state) {
  find_batches(state, [](std::string_view reply) { return reply.size(); });
}

// The same with the replies copied, as they are for clients.
void copy_batch(benchmark::State& state) {
  std::array<char, 4096> out;  // NOLINT(*-member-init): each hit fills what is used
  find_batches(state, [&](std::string_view reply) {
    const std::size_t copied = reply.copy(out.data(), out.size());
    benchmark::DoNotOptimize(out);
    return copied;
  });
}

void lookup_one(benchmark::State& state) {
  NearCache& cache = filled();
  const std::vector<Key> asked = keys_of_thread(state);
  std::size_t at = 0;
  for (auto _ : state) {
    const Hit hit = cache.find(query_of(asked[at]), kNow);
    benchmark::DoNotOptimize(hit.bytes().data());
    at = at + 1 == kEntries ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}

// Names of keys come from the server; each is hashed first.
void invalidate_kept(benchmark::State& state) {
  const std::vector<Key> changed = shuffled(keys(), 1);
  std::int64_t done = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto cache = std::make_unique<NearCache>(256 << 20);
    fill(*cache);
    state.ResumeTiming();
    for (const Key& key : changed) {
      done += static_cast<std::int64_t>(cache->invalidate(NearCache::hash(key.text)));
    }
    state.PauseTiming();
    cache.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(done);
}

void invalidate_unknown(benchmark::State& state) {
  NearCache& cache = filled();
  const std::vector<Key> unknown = shuffled(make_keys("foreign:"), 1);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.invalidate(NearCache::hash(unknown[at].text)));
    at = at + 1 == kEntries ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}

void install_with_room(benchmark::State& state) {
  NearCache& cache = filled();
  const std::vector<Key> asked = keys_of_thread(state);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(install(cache, asked[at]));
    at = at + 1 == kEntries ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}

// A tenth of what is installed fits.
void install_with_eviction(benchmark::State& state) {
  static NearCache cache(kEntries * 18);
  const std::vector<Key> asked = keys_of_thread(state);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(install(cache, asked[at]));
    at = at + 1 == kEntries ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(lookup_batch)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(copy_batch)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(lookup_one)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(invalidate_kept)->Unit(benchmark::kMillisecond);
BENCHMARK(invalidate_unknown);
BENCHMARK(install_with_room)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(install_with_eviction)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace pannier::cache

BENCHMARK_MAIN();
