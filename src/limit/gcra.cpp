#include "pannier/limit/gcra.hpp"

#include <algorithm>
#include <limits>

namespace pannier::limit {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMillisecond = 1'000;

std::int64_t clamped(Wide value, std::int64_t most) {
  return static_cast<std::int64_t>(std::min<Wide>(value, most));
}

}  // namespace

Rate::Rate(std::int64_t limit, std::int64_t tokens, std::int64_t time)
    : limit_(limit),
      tokens_(tokens),
      time_(time),
      tolerance_(std::min(cost(limit), kLongest)) {}

std::optional<Rate> Rate::make(std::int64_t max_burst,
                               std::int64_t count,
                               std::int64_t period_seconds) {
  return every(max_burst, clamped(Wide{period_seconds} * kSecond / count, kLongest));
}

std::optional<Rate> Rate::per(std::int64_t max_burst, std::int64_t count, std::int64_t period) {
  return every(max_burst, std::min(period / count, kLongest));
}

std::optional<Rate> Rate::every(std::int64_t max_burst, std::int64_t interval) {
  return interval == 0 ? std::nullopt
                       : std::optional(Rate(std::min(max_burst, kMostTokens - 1) + 1, 1, interval));
}

Rate Rate::fraction(std::int64_t max_burst, std::int64_t count, std::int64_t period) {
  return {std::min(max_burst, kMostTokens - 1) + 1, count, std::min(period, kLongest)};
}

std::int64_t Rate::cost(std::int64_t quantity) const {
  const Wide product = Wide{time_} * quantity;
  return clamped(tokens_ == 1 ? product : (product + tokens_ - 1) / tokens_, kLongest + 1);
}

std::int64_t Rate::tokens_in(std::int64_t time) const {
  const std::int64_t positive = std::max<std::int64_t>(time, 0);
  return tokens_ == 1 ? positive / time_ : clamped(Wide{positive} * tokens_ / time_, kMost);
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
  verdict.remaining =
      std::min(rate.tokens_in(rate.tolerance() - verdict.reset_after), rate.limit());
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
