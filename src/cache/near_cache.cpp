#include "pannier/cache/near_cache.hpp"

#include "epochs.hpp"
#include "stripe.hpp"
#include "versions.hpp"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <vector>

namespace pannier::cache {
namespace {

constexpr std::size_t kMostStripes = 16;
// A stripe is not smaller than this: an eighth of it is the largest reply that is kept.
constexpr std::size_t kLeastStripe = std::size_t{2} << 20U;

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return (a ^ b) * 0x9E3779B97F4A7C15ULL ^ (a >> 29U);
}

}  // namespace

struct NearCache::Impl {
  explicit Impl(std::size_t bytes) : most(bytes), budget(bytes) {
    const std::size_t count =
        std::bit_floor(std::clamp<std::size_t>(bytes / kLeastStripe, 1, kMostStripes));
    shift = 63 - std::countr_zero(count);
    for (std::size_t i = 0; i < count; ++i) {
      stripes.push_back(std::make_unique<Stripe>(bytes / count, epochs));
    }
  }

  // By the highest bits; two shifts, because one by 64 is not defined.
  [[nodiscard]] Stripe& stripe_of(std::uint64_t hash) const {
    return *stripes[hash >> 1U >> shift];
  }

  template <typename Count>
  [[nodiscard]] auto sum(Count count) const {
    decltype(count(*stripes[0])) total{};
    for (const auto& stripe : stripes) {
      const std::lock_guard lock(stripe->mutex());
      total += count(*stripe);
    }
    return total;
  }

  std::size_t erase(std::uint64_t hash) {
    Stripe& stripe = stripe_of(hash);
    const std::lock_guard lock(stripe.mutex());
    return stripe.erase(hash);
  }

  // Yes: nothing happened since `ticket` that forbids it.
  [[nodiscard]] Kept verdict(const Query& query, const Ticket& ticket, const Reply& reply) const {
    if (!ticket.clean || ticket.key_word != versions.of(query.hash) ||
        ticket.all_word != versions.of_all() || ticket.shown != versions.shown(ticket.identity)) {
      return Kept::Doomed;
    }
    switch (epochs.standing({ticket.epoch, reply.node, query.key_class, reply.tracked})) {
      case Epochs::Standing::Flushed:
        return Kept::Doomed;
      case Epochs::Standing::Unproven:
        return Kept::Incoherent;
      case Epochs::Standing::Good:
        break;
    }
    return Kept::Yes;
  }

  Epochs epochs;
  Versions versions;
  std::vector<std::unique_ptr<Stripe>> stripes;
  int shift = 0;
  const std::size_t most;
  std::atomic<std::size_t> budget;
  std::atomic<std::size_t> expired_stripe{0};  // where expire_some goes on
};

NearCache::NearCache(std::size_t budget) : impl_(std::make_unique<Impl>(budget)) {}

NearCache::~NearCache() = default;

std::uint64_t NearCache::hash(std::string_view key) {
  return XXH3_64bits(key.data(), key.size());
}

std::uint64_t NearCache::identity(const Query& query) {
  std::uint64_t out = mix(query.hash,
                          (std::uint64_t{query.row} << 16U) + (std::uint64_t{query.db} << 8U) +
                              std::uint64_t{query.version});
  for (const std::string_view argument : query.rest) {
    out = mix(out, hash(argument));
  }
  return out;
}

void NearCache::prefetch_bucket(std::uint64_t hash) const {
  impl_->stripe_of(hash).index().prefetch_bucket(hash);
}

void NearCache::prefetch_slot(std::uint64_t hash) const {
  impl_->stripe_of(hash).index().prefetch_slot(hash);
}

void NearCache::prefetch_entry(std::uint64_t hash) const {
  impl_->stripe_of(hash).index().prefetch_entry(hash);
}

Hit NearCache::find(const Query& query, base::TimePoint now) {
  Hit hit;
  Stripe& stripe = impl_->stripe_of(query.hash);
  const Tick tick = tick_of(now);
  std::unique_lock lock(stripe.mutex());
  Epochs::Standing standing{};
  Entry* entry = stripe.find(query, tick, standing);
  if (entry == nullptr) {
    return hit;
  }
  hit.found_ = true;
  if (standing == Epochs::Standing::Unproven) {
    hit.freshness = Freshness::Unproven;
  } else {
    hit.freshness = entry->fresh(tick) ? Freshness::Fresh : Freshness::Stale;
    hit.wants_refresh = entry->take_refresh(tick);
  }
  hit.negative = entry->negative != 0;
  hit.node = static_cast<NodeIndex>(entry->node);
  const auto left = static_cast<std::int32_t>(entry->fresh_until - tick);
  hit.fresh_until =
      std::chrono::floor<std::chrono::milliseconds>(now) + std::chrono::milliseconds(left);
  const std::int32_t age = static_cast<std::int32_t>(lengthen(entry->life)) - left;
  hit.age = std::chrono::milliseconds(std::max(age, 0));
  hit.bytes_ = entry->value();
  if (hit.bytes_.size() > kCopyUpTo) {
    hit.shared_ = base::SharedBytes(entry->block, hit.bytes_);
  } else {
    hit.lock_ = std::move(lock);
  }
  return hit;
}

Ticket NearCache::begin(const Query& query) const {
  Ticket ticket;
  ticket.identity = identity(query);
  ticket.key_word = impl_->versions.of(query.hash);
  ticket.all_word = impl_->versions.of_all();
  ticket.shown = impl_->versions.shown(ticket.identity);
  ticket.epoch = impl_->epochs.current();
  ticket.clean = Versions::idle(ticket.key_word) && Versions::idle(ticket.all_word);
  return ticket;
}

bool NearCache::may_join(const Ticket& ticket, const Query& query) const {
  return ticket.clean && begin(query) == ticket;
}

void NearCache::show(const Query& query, Ticket& ticket, std::optional<std::string_view> bytes) {
  const std::uint32_t before = impl_->versions.show(ticket.identity);
  if (ticket.shown == before) {
    ticket.shown = before + 1;
  }
  Stripe& stripe = impl_->stripe_of(query.hash);
  const std::lock_guard lock(stripe.mutex());
  stripe.erase_other(query, bytes);
}

Kept NearCache::install(const Query& query,
                        const Ticket& ticket,
                        const Reply& reply,
                        base::TimePoint now) {
  if (const Kept kept = impl_->verdict(query, ticket, reply); kept != Kept::Yes) {
    return kept;
  }
  Stripe& stripe = impl_->stripe_of(query.hash);
  const std::size_t bytes = block_bytes(query, reply);
  if (bytes == 0) {
    return Kept::TooLarge;
  }
  // Copied before the lock is taken; then everything is asked again.
  OwnedEntry entry = make_entry(query, reply, ticket.epoch, now);
  if (entry == nullptr) {
    return Kept::Full;
  }
  const Tick tick = tick_of(now);
  if (entry->over(tick)) {
    return Kept::Doomed;
  }
  const std::lock_guard lock(stripe.mutex());
  if (const Kept kept = impl_->verdict(query, ticket, reply); kept != Kept::Yes) {
    return kept;
  }
  return stripe.place(query, std::move(entry), tick);
}

std::size_t NearCache::invalidate(std::uint64_t hash) {
  impl_->versions.change(hash);
  return impl_->erase(hash);
}

void NearCache::begin_write(std::uint64_t hash) {
  impl_->versions.begin_write(hash);
  impl_->erase(hash);
}

void NearCache::end_write(std::uint64_t hash) {
  impl_->versions.end_write(hash);
  impl_->erase(hash);
}

void NearCache::begin_write_all() {
  impl_->versions.begin_write_all();
  impl_->epochs.flush_all();
}

void NearCache::end_write_all() {
  impl_->versions.end_write_all();
  impl_->epochs.flush_all();
}

void NearCache::flush_all() {
  impl_->epochs.flush_all();
}

void NearCache::flush_node(NodeIndex node) {
  impl_->epochs.flush_node(node);
}

void NearCache::flush_class(ClassIndex key_class) {
  impl_->epochs.flush_class(key_class);
}

void NearCache::doubt_class(ClassIndex key_class) {
  impl_->epochs.doubt_class(key_class);
}

void NearCache::close_class(ClassIndex key_class) {
  impl_->epochs.close_class(key_class);
}

void NearCache::open_class(ClassIndex key_class) {
  impl_->epochs.open_class(key_class);
}

void NearCache::lose(NodeIndex node) {
  impl_->epochs.lose(node);
}

void NearCache::regain(NodeIndex node) {
  impl_->epochs.regain(node);
}

void NearCache::prove(NodeIndex node, base::TimePoint at) {
  impl_->epochs.prove(node, at);
}

bool NearCache::coherent(NodeIndex node) const {
  return impl_->epochs.coherent(node);
}

base::TimePoint NearCache::proven_at(NodeIndex node) const {
  return impl_->epochs.proven_at(node);
}

std::size_t NearCache::expire_some(base::TimePoint now, std::size_t most) {
  constexpr std::size_t kLooks = 64;  // under one lock
  const Tick tick = tick_of(now);
  std::size_t removed = 0;
  std::size_t at = impl_->expired_stripe.load(std::memory_order_relaxed);
  for (std::size_t left = most; left != 0; left -= std::min(left, kLooks)) {
    Stripe& stripe = *impl_->stripes[at % impl_->stripes.size()];
    bool round_done = false;
    const std::lock_guard lock(stripe.mutex());
    removed += stripe.expire_some(tick, std::min(left, kLooks), round_done);
    at += round_done ? 1 : 0;
  }
  impl_->expired_stripe.store(at, std::memory_order_relaxed);
  return removed;
}

void NearCache::set_budget(std::size_t budget) {
  budget = std::min(budget, impl_->most);
  impl_->budget.store(budget, std::memory_order_relaxed);
  for (const auto& stripe : impl_->stripes) {
    const std::lock_guard lock(stripe->mutex());
    stripe->set_budget(budget / impl_->stripes.size());
  }
}

std::size_t NearCache::budget() const {
  return impl_->budget.load(std::memory_order_relaxed);
}

std::size_t NearCache::largest_reply() const {
  return budget() / impl_->stripes.size() / Stripe::kLargestShare;
}

std::size_t NearCache::used_bytes() const {
  return impl_->sum([](const Stripe& stripe) { return stripe.used(); });
}

std::size_t NearCache::entries() const {
  return impl_->sum([](const Stripe& stripe) { return stripe.entries(); });
}

ClassUse NearCache::use_of(ClassIndex key_class) const {
  ClassUse total;
  for (const auto& stripe : impl_->stripes) {
    const std::lock_guard lock(stripe->mutex());
    const ClassUse& use = stripe->use_of(key_class);
    total.bytes += use.bytes;
    total.entries += use.entries;
    total.evictions += use.evictions;
    total.expirations += use.expirations;
  }
  return total;
}

std::size_t NearCache::recount() const {
  return impl_->sum([](const Stripe& stripe) { return stripe.recount(); });
}

}  // namespace pannier::cache
