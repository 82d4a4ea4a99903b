#include "pannier/cache/near_cache.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <list>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

// Replays a key trace, read from standard input as one big-endian 32-bit key per request, through
// the near cache and through plain LRU and FIFO of the same byte budget: README.md says how.

namespace pannier::cache {
namespace {

constexpr base::TimePoint kNow{std::chrono::hours(1)};

using Trace = std::vector<std::uint32_t>;
using SizeOf = std::size_t (*)(std::uint32_t key);  // of its value

std::size_t equal_size(std::uint32_t /*key*/) {
  return 200;
}

// 16 B to 4 KiB, each doubling as frequent as the next; fixed per key.
std::size_t mixed_size(std::uint32_t key) {
  const std::uint64_t mixed = (key + 1) * 0x9e3779b97f4a7c15ULL;
  return (std::size_t{16} << (mixed >> 61U)) + (mixed >> 32U) % 16;
}

Trace read_trace() {
  Trace trace;
  std::array<unsigned char, 4> bytes{};
  while (std::fread(bytes.data(), 1, bytes.size(), stdin) == bytes.size()) {
    std::uint32_t key = 0;
    for (const unsigned char byte : bytes) {
      key = key << 8U | byte;
    }
    trace.push_back(key);
  }
  return trace;
}

NearCache::Reply reply_of(std::uint32_t key, SizeOf size_of) {
  static const std::string value(8192, 'v');
  NearCache::Reply reply;
  reply.tracked = false;
  reply.bytes = std::string_view(value).substr(0, size_of(key));
  reply.life = {kNow + std::chrono::hours(1), kNow + std::chrono::hours(1), base::TimePoint::max()};
  return reply;
}

bool ask(NearCache& cache, std::uint32_t key, SizeOf size_of) {
  const std::string text = std::to_string(key);
  const Query query{NearCache::hash(text), text, {}, 1, 0, 0, 0};
  if (cache.find(query, kNow)) {
    return true;
  }
  cache.install(query, cache.begin(query), reply_of(key, size_of), kNow);
  return false;
}

double near_cache_ratio(const Trace& trace, std::size_t budget, SizeOf size_of) {
  NearCache cache(budget);
  std::size_t hits = 0;
  for (const std::uint32_t key : trace) {
    hits += ask(cache, key, size_of) ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

// The reference: a list that is exact about its order and pays nothing for it.
double list_ratio(const Trace& trace,
                  std::size_t budget,
                  const std::unordered_map<std::uint32_t, std::size_t>& charges,
                  bool hits_move) {
  std::list<std::uint32_t> order;  // the next to go at the end
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> places;
  std::size_t used = 0;
  std::size_t hits = 0;
  for (const std::uint32_t key : trace) {
    if (const auto found = places.find(key); found != places.end()) {
      ++hits;
      if (hits_move) {
        order.splice(order.begin(), order, found->second);
      }
      continue;
    }
    used += charges.at(key);
    while (used > budget) {
      used -= charges.at(order.back());
      places.erase(order.back());
      order.pop_back();
    }
    order.push_front(key);
    places[key] = order.begin();
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

// What an entry costs in the near cache, index included; all three are charged the same.
std::unordered_map<std::uint32_t, std::size_t> charges_of(const Trace& trace, SizeOf size_of) {
  constexpr std::size_t kIndexShare = 14;
  std::unordered_map<std::uint32_t, std::size_t> charges;
  NearCache cache(1 << 20);
  for (const std::uint32_t key : trace) {
    if (!charges.contains(key)) {
      ask(cache, key, size_of);
      charges[key] = cache.use_of(0).bytes + kIndexShare;
      cache.invalidate(NearCache::hash(std::to_string(key)));
    }
  }
  return charges;
}

void print_table(const Trace& trace, const char* sizes, SizeOf size_of) {
  const auto charges = charges_of(trace, size_of);
  std::size_t all = 0;
  for (const auto& [key, charge] : charges) {
    all += charge;
  }
  for (const std::size_t percent : {1, 10}) {
    const std::size_t budget = all * percent / 100;
    std::printf("| %s | %zu %% | %zu | %.4f | %.4f | %.4f |\n",
                sizes,
                percent,
                budget,
                near_cache_ratio(trace, budget, size_of),
                list_ratio(trace, budget, charges, true),
                list_ratio(trace, budget, charges, false));
  }
}

}  // namespace
}  // namespace pannier::cache

int main() {
  using namespace pannier::cache;
  const Trace trace = read_trace();
  if (trace.empty()) {
    std::fputs("usage: xz -dc TRACE | bench_hit_ratio\n", stderr);
    return 2;
  }
  const std::unordered_set<std::uint32_t> keys(trace.begin(), trace.end());
  std::printf("%zu requests, %zu keys\n\n", trace.size(), keys.size());
  std::puts("| value sizes | budget, of all | bytes | near cache | LRU | FIFO |");
  std::puts("|---|---|---|---|---|---|");
  print_table(trace, "200 B", equal_size);
  print_table(trace, "16 B to 4 KiB", mixed_size);
  return 0;
}
