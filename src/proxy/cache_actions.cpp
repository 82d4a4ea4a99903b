#include "pannier/proxy/cache_actions.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/context.hpp"

#include "cached_reads.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <utility>

namespace pannier::proxy {

std::optional<base::Duration> parse_bypass_period(std::string_view text) {
  constexpr std::int64_t kLongest = 24LL * 3600 * 1000;
  static constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits{
      {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}}};
  const std::size_t unit = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::parse_int(text.substr(0, unit));
  for (const auto& [name, factor] : kUnits) {
    if (number && *number > 0 && *number <= kLongest / factor && text.substr(unit) == name) {
      return std::chrono::milliseconds(*number * factor);
    }
  }
  return std::nullopt;
}

void set_bypass(Shared& shared, base::TimePoint until) {
  shared.bypass_until.store(until.time_since_epoch().count(), std::memory_order_relaxed);
}

std::size_t invalidate_keys(Context& context, std::span<const std::string_view> keys) {
  std::size_t removed = 0;
  std::vector<cache::Party> woken;
  for (const std::string_view key : keys) {
    const std::uint64_t hash = cache::NearCache::hash(key);
    removed += context.shared.near_cache.invalidate(hash);
    if (context.shared.shadow) {
      context.shared.shadow->invalidate(hash);
    }
    // As after a push: the refill must not come from a replica that lags.
    context.shared.recent_writes.begin(hash);
    context.shared.recent_writes.end(hash, context.runtime.now);
    context.shared.leases.on_changed(hash, context.runtime.now, woken);
  }
  wake_parties(context, woken);
  return removed;
}

std::vector<cache::HotKeys::Entry> merge_hot_keys(
    std::vector<std::vector<cache::HotKeys::Entry>>&& parts, std::size_t most) {
  std::map<std::string, cache::HotKeys::Entry> by_key;
  for (auto& part : parts) {
    for (cache::HotKeys::Entry& entry : part) {
      cache::HotKeys::Entry& sum = by_key[entry.key];
      sum.count += entry.count;
      sum.error += entry.error;
      sum.bytes += entry.bytes;
      sum.per_second += entry.per_second;
    }
  }
  std::vector<cache::HotKeys::Entry> all;
  for (auto& [key, entry] : by_key) {
    entry.key = key;
    all.push_back(std::move(entry));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.per_second > b.per_second;
  });
  all.resize(std::min(all.size(), most));
  return all;
}

std::string hidden_key(std::string_view key) {
  return fmt::format("#{:016x}", cache::NearCache::hash(key));
}

}  // namespace pannier::proxy
