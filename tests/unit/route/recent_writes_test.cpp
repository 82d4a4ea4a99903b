#include "pannier/route/recent_writes.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using pannier::base::TimePoint;
using pannier::route::RecentWrites;

namespace {

constexpr TimePoint kStart{1000s};

std::size_t resident_kib() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  std::size_t total = 0;
  std::size_t resident = 0;
  const int read = std::fscanf(file, "%zu %zu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * 4 : 0;
}

}  // namespace

TEST_CASE("recent_writes: a key that was never written may be served anywhere") {
  const RecentWrites writes(1s);
  REQUIRE(writes.replica_may_serve(RecentWrites::hash("a"), 0, kStart));
}

TEST_CASE("recent_writes: a write in flight keeps its key on the primary") {
  RecentWrites writes(0s);
  const auto key = RecentWrites::hash("a");
  writes.begin(key);
  REQUIRE_FALSE(writes.replica_may_serve(key, 1000, kStart));
  REQUIRE(writes.replica_may_serve(RecentWrites::hash("b"), 0, kStart));
}

TEST_CASE("recent_writes: two writes in flight, one answered, still counts as in flight") {
  RecentWrites writes(0s);
  const auto key = RecentWrites::hash("a");
  writes.begin(key);
  writes.begin(key);
  writes.end(key, kStart);
  REQUIRE_FALSE(writes.replica_may_serve(key, 1000, kStart));
  writes.end(key, kStart);
  REQUIRE(writes.replica_may_serve(key, 1000, kStart));
}

TEST_CASE("recent_writes: the window is a minimum, the epoch is the end") {
  RecentWrites writes(1s);
  const auto key = RecentWrites::hash("a");
  writes.begin(key);
  writes.end(key, kStart);
  const auto closed = writes.close_epoch();

  REQUIRE_FALSE(writes.replica_may_serve(key, closed, kStart + 999ms));
  REQUIRE(writes.replica_may_serve(key, closed, kStart + 1s));
  REQUIRE_FALSE(writes.replica_may_serve(key, closed - 1, kStart + 1h));
}

TEST_CASE("recent_writes: a write that ends after the epoch was closed belongs to the next one") {
  RecentWrites writes(0s);
  const auto early = RecentWrites::hash("early");
  const auto late = RecentWrites::hash("late");
  writes.begin(early);
  writes.begin(late);
  writes.end(early, kStart);
  const auto closed = writes.close_epoch();
  writes.end(late, kStart);

  REQUIRE(writes.replica_may_serve(early, closed, kStart));
  REQUIRE_FALSE(writes.replica_may_serve(late, closed, kStart));
  REQUIRE(writes.close_epoch() == closed + 1);
  REQUIRE(writes.replica_may_serve(late, closed + 1, kStart));
}

TEST_CASE("recent_writes: an epoch without writes stays open") {
  RecentWrites writes(0s);
  const auto first = writes.close_epoch();
  REQUIRE(writes.close_epoch() == first);
  writes.begin_all();
  writes.end_all(kStart);
  REQUIRE(writes.close_epoch() == first + 1);
  REQUIRE(writes.close_epoch() == first + 1);
}

TEST_CASE("recent_writes: a write of unknown keys counts for every key") {
  RecentWrites writes(1s);
  const auto key = RecentWrites::hash("never written itself");
  writes.begin_all();
  REQUIRE_FALSE(writes.replica_may_serve(key, 1000, kStart));
  writes.end_all(kStart);
  const auto closed = writes.close_epoch();
  REQUIRE_FALSE(writes.replica_may_serve(key, closed, kStart));
  REQUIRE(writes.replica_may_serve(key, closed, kStart + 1s));
}

TEST_CASE("recent_writes: an older time never shortens the window of a newer one") {
  RecentWrites writes(1s);
  const auto key = RecentWrites::hash("a");
  writes.begin(key);
  writes.begin(key);
  writes.end(key, kStart + 500ms);
  writes.end(key, kStart);  // a worker whose turn began earlier
  const auto closed = writes.close_epoch();
  REQUIRE_FALSE(writes.replica_may_serve(key, closed, kStart + 1s));
  REQUIRE(writes.replica_may_serve(key, closed, kStart + 1500ms));
}

TEST_CASE("recent_writes: the hash is XXH3 of the key's bytes") {
  REQUIRE(RecentWrites::hash("") == 0x2D06800538D394C2ULL);
  REQUIRE(RecentWrites::hash(std::string_view("a\0b", 3)) != RecentWrites::hash("a"));
}

TEST_CASE("recent_writes: an unused table costs almost no memory") {
  const auto before = resident_kib();
  const RecentWrites writes(1s);
  REQUIRE(writes.replica_may_serve(RecentWrites::hash("a"), 0, kStart));
  REQUIRE(resident_kib() - before < 512);  // of 1 MiB
}

// Two workers write and one control thread closes epochs "at the primary", a counter here: after
// any close, every write that ended in a closed epoch must lie at or below the counter read next.
TEST_CASE("recent_writes: no write of a closed epoch lies above the offset that was asked after") {
  RecentWrites writes(0s);
  constexpr std::size_t kKeys = 8;
  std::array<std::uint64_t, kKeys> keys{};
  for (std::size_t i = 0; i < kKeys; ++i) {
    keys[i] = RecentWrites::hash("key" + std::to_string(i));
  }
  std::atomic<std::uint64_t> primary{0};
  std::atomic<std::uint64_t> replica{0};    // applied offset
  std::atomic<std::uint64_t> caught_up{0};  // its epoch
  std::array<std::atomic<std::uint64_t>, kKeys> answered{};
  std::atomic<bool> stop{false};
  std::atomic<int> stale{0};

  std::vector<std::thread> threads;
  for (std::size_t worker = 0; worker < 2; ++worker) {
    threads.emplace_back([&, worker] {
      for (std::size_t i = worker; !stop.load(); i += 2) {
        const std::size_t key = i % kKeys;
        writes.begin(keys[key]);
        const auto offset = primary.fetch_add(1) + 1;
        writes.end(keys[key], kStart);
        auto seen = answered[key].load();
        while (seen < offset && !answered[key].compare_exchange_weak(seen, offset)) {
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (std::size_t i = 0; !stop.load(); ++i) {
      const std::size_t key = i % kKeys;
      const auto must_see = answered[key].load();  // told by another client
      const auto epoch = caught_up.load();
      if (writes.replica_may_serve(keys[key], epoch, kStart) && replica.load() < must_see) {
        stale.fetch_add(1);
      }
    }
  });
  for (int round = 0; round < 500; ++round) {
    const auto epoch = writes.close_epoch();
    const auto offset = primary.load();
    replica.store(offset);
    caught_up.store(epoch);
    std::this_thread::yield();
  }
  stop.store(true);
  for (auto& thread : threads) {
    thread.join();
  }
  REQUIRE(stale.load() == 0);
}
