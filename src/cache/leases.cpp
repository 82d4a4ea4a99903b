#include "pannier/cache/leases.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace pannier::cache {
namespace {

// How leases ended: which keys and classes stay unfilled, so that waiting would help nobody.
class History {
 public:
  [[nodiscard]] bool no_wait(std::uint64_t name,
                             std::uint16_t key_class,
                             base::TimePoint now) const {
    if (!marks_.empty() && mark_of(name).name == name && now < mark_of(name).no_wait_until) {
      return true;
    }
    const auto found = classes_.find(key_class);
    return found != classes_.end() && now < found->second.no_wait_until;
  }

  void filled(std::uint64_t name, std::uint16_t key_class, base::TimePoint now) {
    if (!marks_.empty() && mark_of(name).name == name) {
      mark_of(name).unfilled = 0;
    }
    count(classes_[key_class], 0, now);
  }

  void unfilled(std::uint64_t name, std::uint16_t key_class, base::TimePoint now) {
    count(classes_[key_class], 1, now);
    marks_.resize(kMarks);
    Mark& mark = mark_of(name);
    if (mark.name != name) {
      if (now < mark.no_wait_until) {
        return;  // what is known of the other key is worth more than a first count
      }
      mark = {name, 0, {}};
    }
    if (++mark.unfilled == Leases::kUnfilledInARow) {
      mark.unfilled = 0;
      mark.no_wait_until = now + Leases::kNoWaitFor;
    }
  }

 private:
  // A table of fixed size: the place follows from the name, and a key that needs a place takes it.
  // With more keys unfilled than it holds, it is the class that stops waiting.
  static constexpr std::size_t kMarks = 4096;
  static constexpr std::uint32_t kLeastEnded = 10;
  static constexpr std::size_t kBuckets = 10;
  static constexpr base::Duration kBucket = Leases::kWindow / kBuckets;

  struct Mark {
    std::uint64_t name = 0;
    int unfilled = 0;  // in a row
    base::TimePoint no_wait_until{};
  };

  struct Bucket {
    std::int64_t period = 0;
    std::uint32_t ended = 0;
    std::uint32_t unfilled = 0;
  };

  struct Class {
    std::array<Bucket, kBuckets> buckets{};
    base::TimePoint no_wait_until{};
  };

  [[nodiscard]] Mark& mark_of(std::uint64_t name) { return marks_[name % kMarks]; }

  [[nodiscard]] const Mark& mark_of(std::uint64_t name) const { return marks_[name % kMarks]; }

  static void count(Class& key_class, std::uint32_t unfilled, base::TimePoint now) {
    if (now < key_class.no_wait_until) {
      return;  // leases from before do not prolong it
    }
    const std::int64_t period = now.time_since_epoch() / kBucket;
    Bucket& bucket = key_class.buckets.at(static_cast<std::size_t>(period) % kBuckets);
    if (bucket.period < period) {
      bucket = {period, 0, 0};
    }
    ++bucket.ended;
    bucket.unfilled += unfilled;
    Bucket sum;
    for (const Bucket& each : key_class.buckets) {
      if (each.period > period - static_cast<std::int64_t>(kBuckets)) {
        sum.ended += each.ended;
        sum.unfilled += each.unfilled;
      }
    }
    if (sum.ended >= kLeastEnded && sum.unfilled > Leases::kUnfilledShare * sum.ended) {
      key_class = {{}, now + Leases::kNoWaitFor};
    }
  }

  std::vector<Mark> marks_;  // empty until a lease ends unfilled
  std::unordered_map<std::uint16_t, Class> classes_;
};

struct Waiter {
  Party read;
  Party session;
};

struct Lease {
  std::uint64_t hash = 0;
  std::uint8_t db = 0;
  std::string key;
  std::uint16_t key_class = 0;
  base::Duration length{};
  // Nobody holds it between the end of one holder and the first nil after it: then one waiter,
  // `party`, was called to ask again, and the others wait on.
  bool held = false;
  Party party;
  std::list<Waiter> waiters;
  std::multimap<base::TimePoint, Lease*>::iterator deadline;

  [[nodiscard]] base::TimePoint until() const { return deadline->first; }

  // The same key in two databases is two keys.
  [[nodiscard]] std::uint64_t name() const { return hash + db; }
};

struct PartyHash {
  std::size_t operator()(const Party& party) const {
    return (party.token + party.worker) * 0x9e3779b97f4a7c15U;
  }
};

struct Place {
  Lease* lease = nullptr;
  std::list<Waiter>::iterator waiter;
};

struct Ask {
  std::uint8_t db;
  std::string_view key;
  std::uint64_t hash;
  std::uint16_t key_class;
  Waiter waiter;
  base::Duration length;
  base::TimePoint now;
};

}  // namespace

// All of it is under the mutex, but `any`.
struct Leases::Impl {
  [[nodiscard]] LeaseAnswer on_nil(const Ask& ask);
  [[nodiscard]] LeaseAnswer wait(Lease& lease, const Waiter& waiter);
  Lease& open(const Ask& ask);
  void hold(Lease& lease, const Ask& ask);

  // The holder is one no longer.
  void vacate(Lease& lease);
  // Ended without a fill: the next waiter is called, or all if nobody is to wait for this key.
  void end_unfilled(Lease& lease, base::TimePoint now, std::vector<Party>& woken);
  void pass_on(Lease& lease, base::TimePoint now, std::vector<Party>& woken);
  void wake_all(Lease& lease, std::vector<Party>& woken);
  void end_filled(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken);
  void stop_waiting(const Party& waiter);
  void set_deadline(Lease& lease, base::TimePoint until);
  [[nodiscard]] Lease* find(std::uint8_t db, std::string_view key, std::uint64_t hash);
  void close(Lease& lease);

  std::mutex mutex;
  std::atomic<bool> any{false};
  std::unordered_multimap<std::uint64_t, Lease> leases;  // by hash
  std::multimap<base::TimePoint, Lease*> deadlines;
  std::unordered_map<Party, Place, PartyHash> waiting;        // a read waits for one key
  std::unordered_map<Party, std::size_t, PartyHash> holders;  // how many leases each has
  std::size_t held = 0;
  History history;
};

LeaseAnswer Leases::Impl::on_nil(const Ask& ask) {
  stop_waiting(ask.waiter.read);
  Lease* lease = find(ask.db, ask.key, ask.hash);
  if (lease != nullptr && lease->held && lease->until() <= ask.now) {
    history.unfilled(lease->name(), lease->key_class, ask.now);
    vacate(*lease);
    lease->party = {};
  }
  if (lease != nullptr && lease->held && lease->party == ask.waiter.session) {
    return LeaseAnswer::Fill;
  }
  if (history.no_wait(ask.hash + ask.db, ask.key_class, ask.now)) {
    if (lease != nullptr && !lease->held) {
      set_deadline(*lease, ask.now);  // those who wait need not: the next `expire` tells them
    }
    return LeaseAnswer::NoWait;
  }
  if (lease != nullptr && lease->held) {
    return wait(*lease, ask.waiter);
  }
  if (lease == nullptr && leases.size() >= kMaxLeases) {
    return LeaseAnswer::NoWait;
  }
  hold(lease != nullptr ? *lease : open(ask), ask);
  return LeaseAnswer::Fill;
}

LeaseAnswer Leases::Impl::wait(Lease& lease, const Waiter& waiter) {
  if (waiting.size() >= kMaxWaiters) {
    return LeaseAnswer::NoWait;
  }
  lease.waiters.push_back(waiter);
  waiting[waiter.read] = {&lease, std::prev(lease.waiters.end())};
  return LeaseAnswer::Wait;
}

Lease& Leases::Impl::open(const Ask& ask) {
  Lease& lease = leases.emplace(ask.hash, Lease())->second;
  lease.hash = ask.hash;
  lease.db = ask.db;
  lease.key = ask.key;
  lease.deadline = deadlines.emplace(ask.now, &lease);
  any.store(true, std::memory_order_release);
  return lease;
}

void Leases::Impl::hold(Lease& lease, const Ask& ask) {
  lease.held = true;
  lease.party = ask.waiter.session;
  lease.key_class = ask.key_class;
  lease.length = ask.length;
  set_deadline(lease, ask.now + ask.length);
  ++holders[lease.party];
  ++held;
}

void Leases::Impl::vacate(Lease& lease) {
  lease.held = false;
  --held;
  const auto holder = holders.find(lease.party);
  if (--holder->second == 0) {
    holders.erase(holder);
  }
}

void Leases::Impl::end_unfilled(Lease& lease, base::TimePoint now, std::vector<Party>& woken) {
  if (lease.held) {
    history.unfilled(lease.name(), lease.key_class, now);
    vacate(lease);
  }
  pass_on(lease, now, woken);
}

void Leases::Impl::pass_on(Lease& lease, base::TimePoint now, std::vector<Party>& woken) {
  if (lease.waiters.empty() || history.no_wait(lease.name(), lease.key_class, now)) {
    wake_all(lease, woken);
    close(lease);
    return;
  }
  const Waiter next = lease.waiters.front();
  // Its session must not wait for itself with another read.
  for (auto each = lease.waiters.begin(); each != lease.waiters.end();) {
    const auto waiter = each++;
    if (waiter->session == next.session) {
      woken.push_back(waiter->read);
      stop_waiting(waiter->read);
    }
  }
  if (lease.waiters.empty()) {
    close(lease);
    return;
  }
  lease.party = next.read;
  set_deadline(lease, now + lease.length);
}

void Leases::Impl::wake_all(Lease& lease, std::vector<Party>& woken) {
  for (const Waiter& waiter : lease.waiters) {
    woken.push_back(waiter.read);
    waiting.erase(waiter.read);
  }
  lease.waiters.clear();
}

void Leases::Impl::end_filled(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken) {
  for (auto found = leases.find(hash); found != leases.end(); found = leases.find(hash)) {
    Lease& lease = found->second;
    if (lease.held) {
      history.filled(lease.name(), lease.key_class, now);
      vacate(lease);
    }
    wake_all(lease, woken);
    close(lease);
  }
}

void Leases::Impl::stop_waiting(const Party& waiter) {
  if (const auto found = waiting.find(waiter); found != waiting.end()) {
    found->second.lease->waiters.erase(found->second.waiter);
    waiting.erase(found);
  }
}

void Leases::Impl::set_deadline(Lease& lease, base::TimePoint until) {
  deadlines.erase(lease.deadline);
  lease.deadline = deadlines.emplace(until, &lease);
}

Lease* Leases::Impl::find(std::uint8_t db, std::string_view key, std::uint64_t hash) {
  const auto [begin, end] = leases.equal_range(hash);
  const auto found = std::find_if(
      begin, end, [&](const auto& each) { return each.second.db == db && each.second.key == key; });
  return found == end ? nullptr : &found->second;
}

// REQUIRES: not held, nobody waits
void Leases::Impl::close(Lease& lease) {
  deadlines.erase(lease.deadline);
  const auto [begin, end] = leases.equal_range(lease.hash);
  leases.erase(std::find_if(begin, end, [&](const auto& each) { return &each.second == &lease; }));
  any.store(!leases.empty(), std::memory_order_release);
}

Leases::Leases() : impl_(std::make_unique<Impl>()) {}

Leases::~Leases() = default;

LeaseAnswer Leases::on_nil(std::uint8_t db,  // NOLINT(readability-function-size): all are needed
                           std::string_view key,
                           std::uint64_t hash,
                           std::uint16_t key_class,
                           Party holder,
                           Party waiter,
                           const LeaseRules& rules,
                           base::TimePoint now) {
  if (rules.lease <= base::Duration::zero()) {
    return LeaseAnswer::NoWait;
  }
  const std::scoped_lock lock(impl_->mutex);
  return impl_->on_nil({db, key, hash, key_class, {waiter, holder}, rules.lease, now});
}

bool Leases::any() const {
  return impl_->any.load(std::memory_order_acquire);
}

void Leases::on_changed(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken) {
  if (any()) {
    const std::scoped_lock lock(impl_->mutex);
    impl_->end_filled(hash, now, woken);
  }
}

void Leases::on_all_changed(base::TimePoint /*now*/, std::vector<Party>& woken) {
  const std::scoped_lock lock(impl_->mutex);
  // Neither filled nor unfilled: nothing is learned about any key.
  for (auto& [hash, lease] : impl_->leases) {
    impl_->wake_all(lease, woken);
  }
  impl_->leases.clear();
  impl_->deadlines.clear();
  impl_->holders.clear();
  impl_->held = 0;
  impl_->any.store(false, std::memory_order_release);
}

void Leases::on_value(std::uint64_t hash, base::TimePoint now, std::vector<Party>& woken) {
  on_changed(hash, now, woken);
}

void Leases::on_gone(Party holder, base::TimePoint now, std::vector<Party>& woken) {
  const std::scoped_lock lock(impl_->mutex);
  const auto found = impl_->holders.find(holder);
  if (found == impl_->holders.end()) {
    return;
  }
  std::vector<Lease*> ended;
  ended.reserve(found->second);
  for (auto& [hash, lease] : impl_->leases) {
    if (lease.held && lease.party == holder) {
      ended.push_back(&lease);
    }
  }
  for (Lease* lease : ended) {
    impl_->end_unfilled(*lease, now, woken);
  }
}

void Leases::forget(std::uint64_t hash, Party waiter, base::TimePoint now) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->stop_waiting(waiter);
  const auto [begin, end] = impl_->leases.equal_range(hash);
  std::vector<Lease*> idle;
  for (auto each = begin; each != end; ++each) {
    Lease& lease = each->second;
    if (lease.held) {
      continue;
    }
    if (lease.waiters.empty()) {
      idle.push_back(&lease);
    } else if (lease.party == waiter) {
      impl_->set_deadline(lease, now);  // it was called in vain: the next `expire` calls another
    }
  }
  for (Lease* lease : idle) {
    impl_->close(*lease);
  }
}

void Leases::expire(base::TimePoint now, std::vector<Party>& woken) {
  const std::scoped_lock lock(impl_->mutex);
  auto& deadlines = impl_->deadlines;
  while (!deadlines.empty() && deadlines.begin()->first <= now) {
    impl_->end_unfilled(*deadlines.begin()->second, now, woken);
  }
}

std::size_t Leases::leases() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->held;
}

std::size_t Leases::waiters() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->waiting.size();
}

}  // namespace pannier::cache
