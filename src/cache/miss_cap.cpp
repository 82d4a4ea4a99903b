#include "pannier/cache/miss_cap.hpp"

#include <algorithm>

namespace pannier::cache {

bool MissCap::take(std::uint16_t key_class,
                   std::uint64_t hash,
                   const MissLimit& limit,
                   base::TimePoint now) {
  if (limit.concurrent == 0) {
    return true;
  }
  const std::scoped_lock lock(mutex_);
  Class& each = classes_[key_class];
  drop_expired(each, now);
  if (each.nils.size() >= limit.concurrent) {
    return false;
  }
  by_hash_.emplace(hash, Place{key_class, each.nils.emplace(now + limit.lease, hash)});
  note_any();
  return true;
}

void MissCap::give_back(std::uint16_t key_class, std::uint64_t hash, std::vector<Party>& woken) {
  const std::scoped_lock lock(mutex_);
  const auto [begin, end] = by_hash_.equal_range(hash);
  const auto found = std::find_if(
      begin, end, [key_class](const auto& each) { return each.second.key_class == key_class; });
  if (found != end) {
    drop(found, woken);
  }
}

bool MissCap::wait(std::uint16_t key_class, Party waiter) {
  const std::scoped_lock lock(mutex_);
  Class& each = classes_[key_class];
  if (each.waiters.size() >= kMaxWaiters) {
    return false;
  }
  each.waiters.push_back(waiter);
  return true;
}

void MissCap::forget(std::uint16_t key_class, Party waiter) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = classes_.find(key_class); found != classes_.end()) {
    auto& waiters = found->second.waiters;
    const auto place = std::find(waiters.begin(), waiters.end(), waiter);
    if (place != waiters.end()) {  // near the front: who came first gives up first
      waiters.erase(place);
    }
  }
}

std::optional<base::TimePoint> MissCap::next_expiry() {
  const std::scoped_lock lock(mutex_);
  std::optional<base::TimePoint> next;
  for (const auto& [id, each] : classes_) {
    if (!each.waiters.empty() && !each.nils.empty()) {
      const base::TimePoint first = each.nils.begin()->first;
      next = next ? std::min(*next, first) : first;
    }
  }
  if (!next || (told_ != base::TimePoint{} && told_ <= *next)) {
    return std::nullopt;
  }
  told_ = *next;
  return next;
}

void MissCap::expire(base::TimePoint now, std::vector<Party>& woken) {
  const std::scoped_lock lock(mutex_);
  told_ = {};
  for (auto& [id, each] : classes_) {
    const std::size_t before = each.nils.size();
    drop_expired(each, now);
    wake(each, before - each.nils.size(), woken);
  }
  note_any();
}

void MissCap::on_changed(std::uint64_t hash, std::vector<Party>& woken) {
  if (!any()) {
    return;
  }
  const std::scoped_lock lock(mutex_);
  for (auto found = by_hash_.find(hash); found != by_hash_.end(); found = by_hash_.find(hash)) {
    drop(found, woken);
  }
}

void MissCap::on_all_changed(std::vector<Party>& woken) {
  const std::scoped_lock lock(mutex_);
  by_hash_.clear();
  for (auto& [id, each] : classes_) {
    each.nils.clear();
    wake(each, each.waiters.size(), woken);
  }
  note_any();
}

std::size_t MissCap::out(std::uint16_t key_class) const {
  const std::scoped_lock lock(mutex_);
  const auto found = classes_.find(key_class);
  return found == classes_.end() ? 0 : found->second.nils.size();
}

void MissCap::drop_expired(Class& each, base::TimePoint now) {
  while (!each.nils.empty() && each.nils.begin()->first <= now) {
    const Nil nil = each.nils.begin();
    const auto [begin, end] = by_hash_.equal_range(nil->second);
    by_hash_.erase(
        std::find_if(begin, end, [nil](const auto& place) { return place.second.nil == nil; }));
    each.nils.erase(nil);
  }
}

void MissCap::drop(std::unordered_multimap<std::uint64_t, Place>::iterator place,
                   std::vector<Party>& woken) {
  Class& each = classes_[place->second.key_class];
  each.nils.erase(place->second.nil);
  by_hash_.erase(place);
  wake(each, 1, woken);
  note_any();
}

void MissCap::wake(Class& each, std::size_t room, std::vector<Party>& woken) {
  for (; room > 0 && !each.waiters.empty(); --room) {
    woken.push_back(each.waiters.front());
    each.waiters.pop_front();
  }
}

void MissCap::note_any() {
  any_.store(!by_hash_.empty(), std::memory_order_release);
}

}  // namespace pannier::cache
