#include "pannier/limit/gcra.hpp"

#include <algorithm>

namespace pannier::limit {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMillisecond = 1'000;

std::int64_t clamped(Wide value, std::int64_t most) {
  return static_cast<std::int64_t>(std::min<Wide>(value, most));
}

// Of `left` microseconds' worth of tokens; negative where more are owed than there can be.
std::int64_t tokens(const Rate& rate, std::int64_t left) {
  return std::clamp<std::int64_t>(left / rate.interval(), 0, rate.limit());
}

}  // namespace

std::optional<Rate> Rate::make(std::int64_t max_burst,
                               std::int64_t count,
                               std::int64_t period_seconds) {
  const std::int64_t interval = clamped(Wide{period_seconds} * kSecond / count, kLongest);
  if (interval == 0) {
    return std::nullopt;
  }
  const std::int64_t limit = std::min(max_burst, kMostTokens - 1) + 1;
  return Rate(limit, interval, clamped(Wide{interval} * limit, kLongest));
}

std::int64_t Rate::cost(std::int64_t quantity) const {
  return clamped(Wide{interval_} * quantity, kLongest + 1);
}

Verdict take(const Rate& rate,
             std::optional<std::int64_t> kept,
             std::int64_t now,
             std::int64_t quantity) {
  const std::int64_t begin = std::max(kept.value_or(now), now);
  const std::int64_t cost = rate.cost(quantity);
  const std::int64_t too_early = begin + cost - rate.tolerance() - now;
  Verdict verdict;
  verdict.limit = rate.limit();
  verdict.limited = too_early > 0;
  if (verdict.limited) {
    verdict.retry_after = cost <= rate.tolerance() ? too_early : -1;
    verdict.reset_after = begin - now;
  } else {
    verdict.reset_after = begin + cost - now;
    if (cost > 0) {
      verdict.keep = begin + cost;
    }
  }
  verdict.remaining = tokens(rate, rate.tolerance() - verdict.reset_after);
  return verdict;
}

std::int64_t whole_seconds(std::int64_t microseconds) {
  if (microseconds < 0) {
    return -1;
  }
  const bool more = microseconds % kSecond >= kMillisecond;
  return microseconds / kSecond + (more ? 1 : 0);
}

}  // namespace pannier::limit
