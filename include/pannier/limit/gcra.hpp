#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

// The generic cell rate algorithm on integers: pure, time is given. All times are microseconds
// (those since the epoch that the primary counts fit the double of a script exactly, nanoseconds
// would not) unless the rate was made for another unit. Products have 128 bits, results are
// clamped: no argument overflows.
namespace pannier::limit {

// 71 years: what takes longer never happens. Twice that beyond the epoch's today still fits a
// double.
inline constexpr std::int64_t kLongest = 1LL << 51;
inline constexpr std::int64_t kMostTokens = 1LL << 53;

// `limit` tokens at once, and another one every `interval`.
class Rate {
 public:
  // One token, and another one every microsecond.
  Rate() = default;

  // `count` tokens per `period_seconds`, `max_burst` more at once. Empty: over one token per
  // microsecond. REQUIRES: max_burst >= 0, count > 0, period_seconds > 0
  [[nodiscard]] static std::optional<Rate> make(std::int64_t max_burst,
                                                std::int64_t count,
                                                std::int64_t period_seconds);

  // The same with a period in microseconds.
  [[nodiscard]] static std::optional<Rate> per(std::int64_t max_burst,
                                               std::int64_t count,
                                               std::int64_t period);

  // For any number of tokens per unit of time, whatever that is: what several cost together is
  // rounded up, not each. REQUIRES: as `make`; period > 0
  [[nodiscard]] static Rate fraction(std::int64_t max_burst,
                                     std::int64_t count,
                                     std::int64_t period);

  [[nodiscard]] std::int64_t limit() const { return limit_; }

  // Of one token, at least 1.
  [[nodiscard]] std::int64_t interval() const { return std::max<std::int64_t>(1, time_ / tokens_); }

  // How far ahead of the steady rate one may be: the time in which `limit` tokens come.
  [[nodiscard]] std::int64_t tolerance() const { return tolerance_; }

  // So many tokens come in this time; negative times count as 0.
  [[nodiscard]] std::int64_t tokens_in(std::int64_t time) const;

  // The time in which so many tokens come; more than `tolerance` where that can never be had at
  // once. REQUIRES: quantity >= 0
  [[nodiscard]] std::int64_t cost(std::int64_t quantity) const;

 private:
  Rate(std::int64_t limit, std::int64_t tokens, std::int64_t time);

  [[nodiscard]] static std::optional<Rate> every(std::int64_t max_burst, std::int64_t interval);

  std::int64_t limit_ = 1;
  std::int64_t tokens_ = 1;  // in `time_`
  std::int64_t time_ = 1;
  std::int64_t tolerance_ = 1;
};

struct Verdict {
  bool limited = false;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  std::int64_t retry_after = -1;  // until this quantity is there; -1: it is, or never can be
  std::int64_t reset_after = 0;   // until all tokens are there
  // When all tokens would be there, to be kept for `reset_after`; empty: what is kept stays.
  std::optional<std::int64_t> keep;
};

// Takes `quantity` tokens if they are there; 0 only looks. `kept`: what an earlier call said, if
// anything is kept still. REQUIRES: quantity >= 0; now and kept within +-2^62
[[nodiscard]] Verdict take(const Rate& rate,
                           std::optional<std::int64_t> kept,
                           std::int64_t now,
                           std::int64_t quantity);

// As CL.THROTTLE tells times: whole seconds, one more if milliseconds are left over, so that who
// waits that long does not come too early. -1 stays -1.
[[nodiscard]] std::int64_t whole_seconds(std::int64_t microseconds);

}  // namespace pannier::limit
