#include "pannier/cache/hot_keys.hpp"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace pannier::cache {
namespace {

double seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

std::size_t HotKeys::Hash::operator()(std::string_view key) const {
  return XXH3_64bits(key.data(), key.size());
}

HotKeys::HotKeys(std::size_t capacity) : capacity_(capacity) {}

void HotKeys::note(std::string_view key,
                   std::uint64_t bytes,
                   std::uint32_t weight,
                   base::TimePoint now) {
  decay(now);
  Counted& noted = counted(key.substr(0, kMaxKey));
  noted.second.count += weight;
  noted.second.bytes += bytes * weight;
  sink(noted);
}

std::vector<HotKeys::Entry> HotKeys::top(std::size_t most, base::TimePoint now) const {
  const std::uint32_t behind = halvings(now);
  // A rate over less than a second would be a guess.
  const double covered =
      std::max(1.0, covered_after(behind) + seconds(now - period_start_ - behind * kHalfLife));
  std::vector<Entry> entries;
  entries.reserve(heap_.size());
  for (const Counted* each : heap_) {
    const Counter& counter = each->second;
    if (const std::uint64_t count = counter.count >> behind; count > 0) {
      entries.push_back({each->first,
                         count,
                         counter.error >> behind,
                         counter.bytes >> behind,
                         static_cast<double>(count) / covered});
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.count != b.count ? a.count > b.count : a.key < b.key;
  });
  entries.resize(std::min(entries.size(), most));
  return entries;
}

// The key's counter. A new key takes over the least count: it may have had that many already.
HotKeys::Counted& HotKeys::counted(std::string_view key) {
  if (const auto found = counters_.find(key); found != counters_.end()) {
    return *found;
  }
  if (counters_.size() < capacity_) {
    Counted& fresh = *counters_.emplace(key, Counter()).first;
    heap_.push_back(&fresh);
    // It is the least of all: up to the top, and those on its way down.
    std::size_t place = heap_.size() - 1;
    for (; place > 0; place = (place - 1) / 2) {
      put(*heap_[(place - 1) / 2], place);
    }
    put(fresh, 0);
    return fresh;
  }
  auto node = counters_.extract(heap_.front()->first);
  node.key() = key;
  node.mapped().error = node.mapped().count;
  node.mapped().bytes = 0;
  return *counters_.insert(std::move(node)).position;
}

void HotKeys::sink(Counted& counted) {
  std::size_t place = counted.second.place;
  while (2 * place + 1 < heap_.size()) {
    std::size_t child = 2 * place + 1;
    if (child + 1 < heap_.size() && heap_[child + 1]->second.count < heap_[child]->second.count) {
      ++child;
    }
    if (counted.second.count <= heap_[child]->second.count) {
      break;
    }
    put(*heap_[child], place);
    place = child;
  }
  put(counted, place);
}

void HotKeys::put(Counted& counted, std::size_t place) {
  heap_[place] = &counted;
  counted.second.place = place;
}

// How many are due.
std::uint32_t HotKeys::halvings(base::TimePoint now) const {
  constexpr base::Duration::rep kAll = 63;  // of these nothing is left
  return static_cast<std::uint32_t>(
      std::clamp<base::Duration::rep>((now - period_start_) / kHalfLife, 0, kAll));
}

double HotKeys::covered_after(std::uint32_t halvings) const {
  double covered = covered_seconds_;
  for (std::uint32_t i = 0; i < halvings; ++i) {
    covered = (covered + seconds(kHalfLife)) / 2;
  }
  return covered;
}

void HotKeys::decay(base::TimePoint now) {
  const std::uint32_t due = halvings(now);
  if (due == 0 && !counters_.empty()) {
    return;
  }
  covered_seconds_ = covered_after(due);
  period_start_ += due * kHalfLife;
  heap_.clear();
  for (auto each = counters_.begin(); each != counters_.end();) {
    Counter& counter = each->second;
    counter.count >>= due;
    counter.error >>= due;
    counter.bytes >>= due;
    if (counter.count == 0) {
      each = counters_.erase(each);
    } else {
      heap_.push_back(&*each++);
    }
  }
  if (counters_.empty()) {
    period_start_ = now;
    covered_seconds_ = 0;
  }
  std::sort(heap_.begin(), heap_.end(), [](const Counted* a, const Counted* b) {
    return a->second.count < b->second.count;
  });
  for (std::size_t place = 0; place < heap_.size(); ++place) {
    heap_[place]->second.place = place;
  }
}

}  // namespace pannier::cache
