#include "cache_fixture.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::SharedBytes;
using pannier::base::TimePoint;

// Case 72: threads read, fill, write and invalidate the same keys; a checker holds every value that
// is handed out against the newest invalidation that was processed before it was asked for. The
// seed is Catch's: --rng-seed repeats the schedule as far as the threads allow.

namespace {

constexpr int kKeys = 24;
constexpr int kDbs = 2;
constexpr int kThreads = 4;
constexpr int kSteps = 20'000;

// The server: what each key's value is, in all dbs. The checker: up to which version a key's
// changes are known to this sidecar: by a push, because it wrote itself, or in a db because a
// client was shown it.
struct World {
  struct Key {
    std::atomic<std::uint64_t> version{1};
    std::array<std::atomic<std::uint64_t>, kDbs> known{1, 1};
  };

  std::array<Key, kKeys> keys;
  std::atomic<std::int64_t> milliseconds{0};

  // A change is known: nothing older may be handed out to who asks from now on.
  void learn(int key, std::uint64_t version) {
    for (int db = 0; db < kDbs; ++db) {
      learn_in(key, db, version);
    }
  }

  void learn_in(int key, int db, std::uint64_t version) {
    auto& known = keys[static_cast<std::size_t>(key)].known[static_cast<std::size_t>(db)];
    std::uint64_t seen = known.load();
    while (seen < version && !known.compare_exchange_weak(seen, version)) {
    }
  }

  [[nodiscard]] TimePoint now() const {
    return kStart + std::chrono::milliseconds(milliseconds.load());
  }
};

// What a reply says: its key, its version, when it ceases to be fresh, and padding.
std::string reply_of(int key,
                     std::uint64_t version,
                     std::int64_t fresh_until,
                     std::size_t padding) {
  std::array<char, 64> head{};
  const int length = std::snprintf(head.data(),
                                   head.size(),
                                   "%d %llu %lld ",
                                   key,
                                   static_cast<unsigned long long>(version),
                                   static_cast<long long>(fresh_until));
  std::string out(head.data(), static_cast<std::size_t>(length));
  out.append(padding, static_cast<char>('a' + version % 26));
  return out;
}

class Client {
 public:
  Client(NearCache& cache, World& world, unsigned seed)
      : cache_(cache),
        world_(world),
        random_(seed) {}

  void run() {
    for (int step = 0; step < kSteps && fault.empty(); ++step) {
      const int key = pick(kKeys);
      const int dice = pick(1000);
      if (dice < 500) {
        read(key);
      } else if (dice < 750) {
        fill(key);
      } else if (dice < 850) {
        foreign_write(key);
      } else if (dice < 950) {
        own_write(key);
      } else if (dice < 990) {
        world_.milliseconds.fetch_add(pick(5));
        cache_.expire_some(world_.now(), 8);
      } else {
        rare(pick(5));
      }
    }
  }

  std::string fault;  // the first one
  std::uint64_t hits = 0;

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  World::Key& of(int key) { return world_.keys[static_cast<std::size_t>(key)]; }

  static std::string name(int key) { return "key:" + std::to_string(key); }

  void pause() {
    if (pick(4) == 0) {
      std::this_thread::yield();
    }
  }

  [[nodiscard]] Query query(const std::string& key, int db) const {
    return {NearCache::hash(key), key, {}, kGet, static_cast<std::uint8_t>(db), 0, 0};
  }

  void read(int key) {
    const std::string text = name(key);
    const int db = pick(kDbs);
    const std::uint64_t known = of(key).known[static_cast<std::size_t>(db)].load();
    const TimePoint now = world_.now();
    cache_.prefetch_bucket(NearCache::hash(text));
    cache_.prefetch_slot(NearCache::hash(text));
    cache_.prefetch_entry(NearCache::hash(text));
    std::string bytes;
    SharedBytes shared;
    Freshness freshness{};
    {
      Hit hit = cache_.find(query(text, db), now);
      if (!hit) {
        return;
      }
      freshness = hit.freshness;
      shared = hit.shared();
      if (shared.empty()) {
        bytes = hit.bytes();
      }
    }
    pause();
    ++hits;
    const std::uint64_t version =
        check(key, known, now, freshness, shared.empty() ? std::string_view(bytes) : shared.view());
    world_.learn_in(key, db, version);
  }

  // Returns the version.
  std::uint64_t check(
      int key, std::uint64_t known, TimePoint now, Freshness freshness, std::string_view bytes) {
    int read_key = 0;
    unsigned long long version = 0;
    long long fresh_until = 0;
    const std::string text(bytes);
    if (std::sscanf(text.c_str(), "%d %llu %lld ", &read_key, &version, &fresh_until) != 3 ||
        read_key != key || text != reply_of(key, version, fresh_until, padding_of(key, version))) {
      fault = "not what was installed for " + name(key) + ": " + text.substr(0, 100);
    } else if (version < known) {
      fault = name(key) + ": version " + std::to_string(version) + " after " +
              std::to_string(known) + " was known";
    } else if (freshness == Freshness::Fresh &&
               now >= kStart + std::chrono::milliseconds(fresh_until)) {
      fault = name(key) + ": fresh after its time";
    }
    return version;
  }

  // Some are handed out by reference.
  static std::size_t padding_of(int key, std::uint64_t version) {
    return key % 3 == 0 ? NearCache::kCopyUpTo + version % 1000 : version % 100;
  }

  void fill(int key) {
    const std::string text = name(key);
    const int db = pick(kDbs);
    const TimePoint sent = world_.now();
    Ticket ticket = cache_.begin(query(text, db));
    pause();
    const std::uint64_t version = of(key).version.load();
    pause();
    const TimePoint fresh = sent + std::chrono::milliseconds(1 + pick(40));
    const std::string bytes =
        reply_of(key, version, (fresh - kStart) / 1ms, padding_of(key, version));
    NearCache::Reply reply;
    reply.node = kNode;
    reply.bytes = bytes;
    reply.tracked = true;
    reply.life = {fresh, fresh + 20ms, fresh - 1ms};
    cache_.show(query(text, db), ticket, bytes);
    world_.learn_in(key, db, version);
    pause();
    cache_.install(query(text, db), ticket, reply, world_.now());
  }

  // By another sidecar: the push comes a little later.
  void foreign_write(int key) {
    const std::uint64_t version = of(key).version.fetch_add(1) + 1;
    pause();
    cache_.invalidate(NearCache::hash(name(key)));
    world_.learn(key, version);
  }

  // By this sidecar; no push comes.
  void own_write(int key) {
    const std::uint64_t hash = NearCache::hash(name(key));
    cache_.begin_write(hash);
    pause();
    const std::uint64_t version = of(key).version.fetch_add(1) + 1;
    pause();
    cache_.end_write(hash);
    world_.learn(key, version);
  }

  // Writes whose pushes never come, but something that stands for all of them.
  void rare(int dice) {
    std::array<std::uint64_t, kKeys> versions{};
    const auto write_some = [&] {
      for (int key = 0; key < kKeys; ++key) {
        const std::uint64_t add = key % 5 == 0 ? 1 : 0;
        versions[static_cast<std::size_t>(key)] = of(key).version.fetch_add(add) + add;
      }
    };
    switch (dice) {
      case 0:
        write_some();
        cache_.flush_all();
        break;
      case 1:
        write_some();
        cache_.flush_node(kNode);
        break;
      case 2:
        write_some();
        cache_.flush_class(0);
        break;
      case 3:
        cache_.lose(kNode);
        write_some();
        pause();
        cache_.regain(kNode);
        break;
      default:
        cache_.begin_write_all();
        write_some();
        cache_.end_write_all();
    }
    for (int key = 0; key < kKeys; ++key) {
      world_.learn(key, versions[static_cast<std::size_t>(key)]);
    }
  }

  NearCache& cache_;
  World& world_;
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("near_cache: no thread ever gets a value older than the last change that was known") {
  // In the small one entries are evicted all the time.
  const std::size_t budget = GENERATE(std::size_t{1} << 26, std::size_t{100'000});
  const unsigned seed = Catch::rngSeed();
  INFO("seed " << seed);
  NearCache cache(budget);
  World world;
  cache.regain(kNode);
  std::vector<Client> clients;
  for (unsigned i = 0; i < kThreads; ++i) {
    clients.emplace_back(cache, world, seed + i);
  }
  {
    std::vector<std::jthread> threads;
    for (Client& client : clients) {
      threads.emplace_back([&client] { client.run(); });
    }
  }
  std::uint64_t hits = 0;
  for (const Client& client : clients) {
    INFO(client.fault);
    CHECK(client.fault.empty());
    hits += client.hits;
  }
  REQUIRE(hits > 0);
  REQUIRE(cache.used_bytes() == cache.recount());
  REQUIRE(cache.used_bytes() <= budget);
}
