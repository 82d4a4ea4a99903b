#include "stripe.hpp"

#include <algorithm>

namespace pannier::cache {
namespace {

constexpr std::size_t kIndexGrowth = sizeof(std::uint64_t) + 2 * sizeof(SlotId);  // by one entry
constexpr unsigned kMostTouches = 3;
// One hit and a fifth of the budget in place of the paper's two and a tenth, which fell below LRU
// in a very small cache of a real trace (tests/bench/README.md).
constexpr unsigned kTouchesForMain = 1;
constexpr unsigned kTouchesForMainNegative = 2;
constexpr std::size_t kSmallShare = 5;

}  // namespace

Stripe::Stripe(std::size_t budget, const Epochs& epochs)
    : epochs_(&epochs),
      budget_(budget),
      index_(budget / kLeastCharge + 1),
      ghost_(budget / kLeastCharge + 1) {}

Entry* Stripe::find(const Query& query, Tick now, Epochs::Standing& standing) {
  now_ = now;
  const SlotId id = id_of(query);
  if (id == 0) {
    return nullptr;
  }
  Entry& entry = index_.at(id);
  standing = standing_of(entry);
  if (standing == Epochs::Standing::Flushed || entry.key_class != query.key_class) {
    remember(entry, query.hash);
    remove(id, Cause::Removed);
    return nullptr;
  }
  if (entry.over(now)) {
    remember(entry, query.hash);
    remove(id, Cause::Expired);
    return nullptr;
  }
  if (entry.touches < kMostTouches) {
    entry.touches = (entry.touches + 1U) & kMostTouches;
  }
  return &entry;
}

Kept Stripe::place(const Query& query, OwnedEntry entry, Tick now) {
  now_ = now;
  const std::size_t charge = entry->charge();
  if (budget_ == 0) {
    return Kept::Full;
  }
  if (too_large(charge)) {
    return Kept::TooLarge;
  }
  entry->in_main = entry->negative == 0 && ghost_.take(query.hash);
  if (const SlotId old = id_of(query); old != 0) {
    // The same query answered anew keeps its place among the queues.
    const Entry& replaced = index_.at(old);
    entry->in_main = entry->in_main != 0 || replaced.in_main != 0;
    entry->touches = replaced.touches;
    remove(old, Cause::Removed);
  } else {
    drop_oldest_variant(query);
  }
  if (!make_room(charge + kIndexGrowth)) {
    return Kept::Full;
  }
  ClassUse& use = uses_[entry->key_class];
  use.bytes += charge;
  ++use.entries;
  Queue& queue = queue_of(*entry);
  queue.bytes += charge;
  push(queue, index_.insert(query.hash, std::move(entry)));
  return Kept::Yes;
}

std::size_t Stripe::erase(std::uint64_t hash) {
  std::size_t erased = 0;
  SlotId id = index_.first(hash);
  while (id != 0) {
    const Entry& entry = index_.at(id);
    const SlotId next = index_.next(id);
    if (NearCache::hash(entry.key()) == hash) {
      remember(entry, hash);
      remove(id, Cause::Removed);
      ++erased;
    }
    id = next;
  }
  return erased;
}

void Stripe::erase_other(const Query& query, std::optional<std::string_view> bytes) {
  const SlotId id = id_of(query);
  if (id == 0) {
    return;
  }
  const Entry& entry = index_.at(id);
  if (!bytes || (entry.negative != 0) != bytes->empty() || entry.value() != *bytes) {
    remember(entry, query.hash);
    remove(id, Cause::Removed);
  }
}

std::size_t Stripe::expire_some(Tick now, std::size_t looks, bool& round_done) {
  now_ = now;
  round_done = false;
  std::size_t removed = 0;
  for (; looks != 0; --looks) {
    if (looked_at_ >= index_.last_id()) {
      looked_at_ = 0;
      round_done = true;
      break;
    }
    ++looked_at_;
    if (index_.entry_at(looked_at_) != nullptr && remove_if_over(looked_at_)) {
      ++removed;
    }
  }
  return removed;
}

void Stripe::set_budget(std::size_t budget) {
  budget_ = budget;
  static_cast<void>(make_room(0));
  give_back_when_empty();
}

std::size_t Stripe::recount() const {
  std::size_t bytes = index_.bytes() + ghost_.bytes();
  for (const Queue* queue : {&small_, &main_}) {
    for (SlotId id = queue->newest; id != 0; id = index_.at(id).older) {
      bytes += index_.at(id).charge();
    }
  }
  return bytes;
}

SlotId Stripe::id_of(const Query& query) const {
  SlotId id = index_.first(query.hash);
  while (id != 0 && !index_.at(id).answers(query)) {
    id = index_.next(id);
  }
  return id;
}

Epochs::Standing Stripe::standing_of(const Entry& entry) const {
  return epochs_->standing(
      {entry.epoch, static_cast<NodeIndex>(entry.node), entry.key_class, entry.tracked != 0});
}

void Stripe::push(Queue& queue, SlotId id) {
  Entry& entry = index_.at(id);
  entry.newer = 0;
  entry.older = queue.newest;
  (queue.newest == 0 ? queue.oldest : index_.at(queue.newest).newer) = id;
  queue.newest = id;
}

void Stripe::unlink(Queue& queue, SlotId id) {
  const Entry& entry = index_.at(id);
  (entry.newer == 0 ? queue.newest : index_.at(entry.newer).older) = entry.older;
  (entry.older == 0 ? queue.oldest : index_.at(entry.older).newer) = entry.newer;
}

void Stripe::remove(SlotId id, Cause cause) {
  const Entry& entry = index_.at(id);
  const std::size_t charge = entry.charge();
  Queue& queue = queue_of(entry);
  unlink(queue, id);
  queue.bytes -= charge;
  ClassUse& use = uses_[entry.key_class];
  use.bytes -= charge;
  --use.entries;
  use.evictions += cause == Cause::Evicted ? 1 : 0;
  use.expirations += cause == Cause::Expired ? 1 : 0;
  index_.remove(id);
  give_back_when_empty();
}

// What was hit and has to go although there was room comes back into the main queue at once.
void Stripe::remember(const Entry& entry, std::uint64_t hash) {
  if (entry.in_main != 0 || entry.touches != 0) {
    ghost_.remember(hash, index_.size());
  }
}

void Stripe::drop_oldest_variant(const Query& query) {
  std::size_t variants = 0;
  SlotId oldest = 0;
  for (SlotId id = index_.first(query.hash); id != 0; id = index_.next(id)) {
    if (index_.at(id).key() == query.key) {
      ++variants;
      oldest = id;  // chains begin with the newest
    }
  }
  if (variants >= NearCache::kMaxVariants) {
    remove(oldest, Cause::Evicted);
  }
}

bool Stripe::make_room(std::size_t need) {
  // A queue full of entries that were hit would be turned around up to three times for one victim.
  constexpr std::size_t kMostChances = 256;
  std::size_t chances = 0;
  while (used() + need > budget_ || index_.full()) {
    if (index_.size() == 0) {
      return false;
    }
    if (main_.oldest == 0 || (small_.oldest != 0 && small_.bytes > budget_ / kSmallShare)) {
      evict_from_small();
    } else if (!evict_from_main(chances >= kMostChances)) {
      ++chances;
    }
  }
  return true;
}

void Stripe::evict_from_small() {
  const SlotId id = small_.oldest;
  if (remove_if_over(id)) {
    return;
  }
  Entry& entry = index_.at(id);
  if (entry.touches >= (entry.negative != 0 ? kTouchesForMainNegative : kTouchesForMain)) {
    const std::size_t charge = entry.charge();
    unlink(small_, id);
    small_.bytes -= charge;
    entry.in_main = 1;
    entry.touches = 0;
    main_.bytes += charge;
    push(main_, id);
    return;
  }
  if (entry.negative == 0) {  // a storm of missing keys must not make it forget the others
    ghost_.remember(NearCache::hash(entry.key()), index_.size());
  }
  remove(id, Cause::Evicted);
}

// False: the oldest had been hit and got a second chance.
bool Stripe::evict_from_main(bool even_touched) {
  const SlotId id = main_.oldest;
  if (remove_if_over(id)) {
    return true;
  }
  Entry& entry = index_.at(id);
  if (entry.touches == 0 || even_touched) {
    remove(id, Cause::Evicted);
    return true;
  }
  entry.touches = (entry.touches - 1U) & kMostTouches;
  unlink(main_, id);
  push(main_, id);
  return false;
}

bool Stripe::remove_if_over(SlotId id) {
  const Entry& entry = index_.at(id);
  const bool over = entry.over(now_);
  if (!over && standing_of(entry) != Epochs::Standing::Flushed) {
    return false;
  }
  remove(id, over ? Cause::Expired : Cause::Removed);
  return true;
}

// An index that once had many small entries must not take the room of large ones for ever.
void Stripe::give_back_when_empty() {
  if (index_.size() == 0 && used() > budget_ / 8) {
    index_.give_back();
    ghost_.give_back();
    looked_at_ = 0;
  }
}

}  // namespace pannier::cache
