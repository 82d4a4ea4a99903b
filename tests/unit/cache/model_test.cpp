#include "cache_fixture.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <optional>
#include <random>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::Duration;
using pannier::base::TimePoint;

// The near cache beside a naive model of it, under random calls from one thread. The seed is
// Catch's: --rng-seed repeats a run.

namespace {

struct Expected {
  std::string bytes;
  TimePoint fresh_until;
  TimePoint keep_until;
  NodeIndex node = 0;
  ClassIndex key_class = 0;
  bool tracked = false;
};

struct Fill {
  int key = 0;
  int variant = 0;
  NodeIndex node = 0;
  ClassIndex key_class = 0;
  bool tracked = false;
  bool doomed = false;
  Ticket ticket;
};

class Model {
 public:
  Model(std::size_t budget, bool exact, unsigned seed) : f_(budget), exact_(exact), random_(seed) {}

  void run(int steps) {
    for (int step = 1; step <= steps; ++step) {
      one_step();
      if (step % 200 == 0) {
        check_accounts();
      }
    }
  }

 private:
  static constexpr int kKeys = 200;
  static constexpr int kVariants = 4;
  static constexpr int kNodes = 2;
  static constexpr int kClasses = 3;

  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  [[nodiscard]] static Wish wish(int key, int variant) {
    Wish out{"key-" + std::to_string(key)};  // so no two of them share a word in Versions
    out.row = variant < 2 ? kGet : kHget;
    out.db = variant == 1 ? 1 : 0;
    if (variant >= 2) {
      out.rest.push_back("field" + std::to_string(variant));
    }
    return out;
  }

  static std::uint64_t hash(int key) { return NearCache::hash(wish(key, 0).key); }

  void one_step() {
    const int key = pick(kKeys);
    const int dice = pick(1000);
    if (dice < 450) {
      look(key, pick(kVariants));
    } else if (dice < 650) {
      begin(key);
    } else if (dice < 820) {
      complete();
    } else if (dice < 840) {
      show();
    } else if (dice < 900) {
      f_.cache.invalidate(hash(key));
      change(key);
    } else if (dice < 930) {
      f_.cache.begin_write(hash(key));
      ++writing_[key];
      change(key);
    } else if (dice < 960) {
      end_write();
    } else if (dice < 985) {
      f_.now += std::chrono::milliseconds(pick(200));
    } else {
      rare(pick(9));
    }
  }

  void rare(int dice) {
    const auto node = static_cast<NodeIndex>(kNode + pick(kNodes));
    const auto key_class = static_cast<ClassIndex>(pick(kClasses));
    switch (dice) {
      case 0:
        f_.cache.flush_all();
        drop([](const auto&) { return true; });
        break;
      case 1:
        f_.cache.flush_node(node);
        drop([&](const auto& x) { return x.node == node; });
        break;
      case 2:
        f_.cache.flush_class(key_class);
        drop([&](const auto& x) { return x.key_class == key_class; });
        break;
      case 3:
        f_.cache.lose(node);
        break;
      case 4:
      case 5:
        f_.cache.regain(node);
        drop([&](const auto& x) { return x.tracked && x.node == node; });
        break;
      case 6:
        f_.cache.begin_write_all();
        drop([](const auto&) { return true; });
        f_.cache.end_write_all();
        break;
      default:
        f_.cache.expire_some(f_.now, 20);
    }
  }

  template <typename Concerned>
  void drop(Concerned concerned) {
    std::erase_if(model_, [&](const auto& item) { return concerned(item.second); });
    for (Fill& fill : fills_) {
      fill.doomed = fill.doomed || concerned(fill);
    }
  }

  void change(int key) {
    std::erase_if(model_, [&](const auto& item) { return item.first.first == key; });
    for (Fill& fill : fills_) {
      fill.doomed = fill.doomed || fill.key == key;
    }
  }

  void end_write() {
    if (writing_.empty()) {
      return;
    }
    const auto at = std::next(writing_.begin(), pick(static_cast<int>(writing_.size())));
    const int key = at->first;
    f_.cache.end_write(hash(key));
    if (--at->second == 0) {
      writing_.erase(at);
    }
    change(key);
  }

  void begin(int key) {
    Fill fill;
    fill.key = key;
    fill.variant = pick(kVariants);
    fill.node = static_cast<NodeIndex>(kNode + pick(kNodes));
    fill.key_class = static_cast<ClassIndex>(pick(kClasses));
    fill.tracked = pick(4) != 0;
    fill.ticket = f_.begin(wish(key, fill.variant));
    fill.doomed = writing_.contains(key);
    REQUIRE(fill.ticket.clean == !fill.doomed);
    fills_.push_back(fill);
  }

  // A reply to the query of a fill is shown: it comes later, or never.
  void show() {
    if (fills_.empty()) {
      return;
    }
    Fill& shown = fills_[static_cast<std::size_t>(pick(static_cast<int>(fills_.size())))];
    const auto at = model_.find({shown.key, shown.variant});
    const bool same = at != model_.end() && pick(2) == 0;
    if (!same && at != model_.end()) {
      model_.erase(at);
    }
    const std::string bytes = same ? at->second.bytes : "x";
    f_.show(wish(shown.key, shown.variant), shown.ticket, bytes);
    for (Fill& fill : fills_) {
      const bool other = &fill != &shown;
      fill.doomed =
          fill.doomed || (other && fill.key == shown.key && fill.variant == shown.variant);
    }
  }

  void complete() {
    if (fills_.empty()) {
      return;
    }
    const auto at = fills_.begin() + pick(static_cast<int>(fills_.size()));
    const Fill fill = *at;
    fills_.erase(at);
    const std::size_t size = std::size_t{1} << pick(14);
    const std::string bytes(size + static_cast<std::size_t>(pick(100)),
                            static_cast<char>(random_()));
    f_.reply.node = fill.node;
    f_.key_class = fill.key_class;
    f_.reply.tracked = fill.tracked;
    // Spans that are kept to the millisecond.
    f_.reply.life = f_.life(std::chrono::milliseconds(1 + pick(2000)),
                            std::chrono::milliseconds(pick(2) * pick(2000)));
    const Kept kept = f_.install(wish(fill.key, fill.variant), fill.ticket, bytes);
    if (fill.doomed) {
      REQUIRE(kept == Kept::Doomed);
    } else if (fill.tracked && !f_.cache.coherent(fill.node)) {
      REQUIRE(kept == Kept::Incoherent);
    } else {
      REQUIRE(kept == Kept::Yes);
      model_[{fill.key, fill.variant}] = {bytes,
                                          f_.reply.life.fresh_until,
                                          f_.reply.life.keep_until,
                                          fill.node,
                                          fill.key_class,
                                          fill.tracked};
    }
  }

  void look(int key, int variant) {
    const auto at = model_.find({key, variant});
    f_.key_class = at != model_.end() && pick(20) != 0 ? at->second.key_class
                                                       : static_cast<ClassIndex>(pick(kClasses));
    const Hit hit = f_.find(wish(key, variant));
    const bool expected = at != model_.end() && f_.now < at->second.keep_until;
    if (!expected || at->second.key_class != f_.key_class) {
      REQUIRE_FALSE(hit);
      model_.erase({key, variant});
      return;
    }
    if (!hit) {
      REQUIRE_FALSE(exact_);  // evicted
      return;
    }
    const Expected& kept = at->second;
    REQUIRE(hit.bytes() == kept.bytes);
    REQUIRE(hit.node == kept.node);
    REQUIRE(hit.fresh_until == kept.fresh_until);
    if (kept.tracked && !f_.cache.coherent(kept.node)) {
      REQUIRE(hit.freshness == Freshness::Unproven);
    } else {
      REQUIRE(hit.freshness == (f_.now < kept.fresh_until ? Freshness::Fresh : Freshness::Stale));
    }
  }

  void check_accounts() {
    REQUIRE(f_.cache.used_bytes() == f_.cache.recount());
    REQUIRE(f_.cache.used_bytes() <= f_.cache.budget());
    std::uint64_t entries = 0;
    for (int i = 0; i < kClasses; ++i) {
      entries += f_.cache.use_of(static_cast<ClassIndex>(i)).entries;
    }
    REQUIRE(entries == f_.cache.entries());
  }

  CacheFixture f_;
  bool exact_;
  std::mt19937 random_;
  std::map<std::pair<int, int>, Expected> model_;
  std::map<int, int> writing_;  // writes in flight
  std::vector<Fill> fills_;
};

}  // namespace

TEST_CASE("near_cache: agrees with a naive model while there is room") {
  for (unsigned run = 0; run < 4; ++run) {
    const unsigned seed = Catch::rngSeed() + run;
    INFO("seed " << seed);
    Model(256 << 20, true, seed).run(50'000);
  }
}

TEST_CASE("near_cache: never contradicts a naive model when room is short") {
  for (unsigned run = 0; run < 4; ++run) {
    const unsigned seed = Catch::rngSeed() + 100 + run;
    INFO("seed " << seed);
    Model(300'000, false, seed).run(50'000);
  }
}
