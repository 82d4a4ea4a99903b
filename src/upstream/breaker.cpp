#include "breaker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::upstream {

using route::Failure;
using std::chrono::milliseconds;

const char* to_string(Failure failure) {
  switch (failure) {
    case Failure::Connect:
      return "no connection";
    case Failure::Lost:
      return "connection lost";
    case Failure::Silent:
      return "no sign of life";
    case Failure::Attempt:
      return "no reply within timeouts.attempt";
  }
  return "unknown";
}

Breaker::Second& Breaker::second_of(base::TimePoint now) {
  const auto number =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  Second& second = seconds_[static_cast<std::size_t>(number) % seconds_.size()];
  if (second.number != number) {
    second = {number, 0, 0};
  }
  return second;
}

void Breaker::count_replies(std::uint64_t total, base::TimePoint now) {
  const std::uint64_t before = replies_seen_.value_or(total);
  replies_seen_ = total;
  if (total > before) {
    second_of(now).replies += total - before;
    replies_between_ += total - before;
    consecutive_ = 0;
    replied_ = true;
  }
}

void Breaker::count_failures(Failure failure,
                             std::uint32_t count,
                             bool spared,
                             base::TimePoint now) {
  if (spared) {
    forget_traffic();
    return;
  }
  const bool too_early = state_ == State::HalfOpen && now - changed_at_ < kSettle;
  if (count == 0 || state_ == State::Open || too_early) {
    return;
  }
  // As of a node that the prober cannot reach: it may serve as soon as it can be connected to.
  const bool is_gone = failure == Failure::Connect || failure == Failure::Lost;
  second_of(now).failures += count;
  consecutive_ += count;
  failures_between_ += count;
  if (state_ == State::HalfOpen) {
    if (failures_between_ >= replies_between_) {
      open(fmt::format("it failed again: {}", to_string(failure)), false, now);
    }
  } else if (consecutive_ >= kConsecutive) {
    open(fmt::format("{} failures without a reply between, the last one: {}",
                     consecutive_,
                     to_string(failure)),
         is_gone,
         now);
  } else if (std::string reason = why_too_many(now); !reason.empty()) {
    open(std::move(reason), false, now);
  }
}

std::string Breaker::why_too_many(base::TimePoint now) {
  const std::int64_t oldest = second_of(now).number - static_cast<std::int64_t>(kWindow);
  std::uint64_t failures = 0;
  std::uint64_t all = 0;
  for (const Second& second : seconds_) {
    if (second.number > oldest) {
      failures += second.failures;
      all += second.failures + second.replies;
    }
  }
  return all >= kLeast && failures * 2 >= all
             ? fmt::format("{} of {} requests failed in {} s", failures, all, kWindow)
             : std::string();
}

void Breaker::probe_failed(const std::string& error, base::TimePoint began, base::TimePoint now) {
  const bool is_alive = std::exchange(replied_, false);
  if (failed_probes_ == 0 || is_alive) {
    failed_probes_ = 0;
    trouble_since_ = began;
  }
  ++failed_probes_;
  const bool for_long = failed_probes_ >= 2 && now - trouble_since_ >= kRideOut;
  if ((state_ == State::HalfOpen && !is_alive) || (state_ == State::Closed && for_long)) {
    open("it does not answer the prober: " + error, true, now);
  }
}

void Breaker::probe_answered(bool is_needed, base::TimePoint now) {
  failed_probes_ = 0;
  if (state_ == State::Open && (is_needed || now >= rests_until_)) {
    change(State::HalfOpen, "it answers the prober", now);
  } else if (state_ == State::HalfOpen && ++good_probes_ >= kGoodProbes) {
    change(State::Closed, "it serves again", now);
  }
}

base::Duration Breaker::next_rest(bool unreachable) {
  if (unreachable && level_ == 0) {
    return base::Duration::zero();
  }
  const unsigned doublings = std::min(unreachable ? level_ - 1 : level_, 10U);
  const auto longest = std::min<milliseconds>(kFirst * (1 << doublings), kLongest);
  std::uniform_int_distribution<milliseconds::rep> jitter(longest.count() / 2, longest.count());
  return milliseconds(jitter(random_));
}

void Breaker::open(std::string reason, bool unreachable, base::TimePoint now) {
  if (state_ == State::Closed && now - changed_at_ >= kStable) {
    level_ = 0;
  }
  rests_until_ = now + next_rest(unreachable);
  ++level_;
  change(State::Open, std::move(reason), now);
}

void Breaker::change(State to, std::string reason, base::TimePoint now) {
  transition_ = Transition{state_, to, now - changed_at_, std::move(reason)};
  state_ = to;
  changed_at_ = now;
  good_probes_ = 0;
  forget_traffic();
}

void Breaker::forget_traffic() {
  consecutive_ = 0;
  replies_between_ = failures_between_ = 0;
  seconds_ = {};
}

std::optional<Breaker::Transition> Breaker::take_transition() {
  return std::exchange(transition_, std::nullopt);
}

}  // namespace pannier::upstream
