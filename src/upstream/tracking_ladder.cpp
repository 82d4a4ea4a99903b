#include "tracking_ladder.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kFirstBackoff = milliseconds(50);
constexpr auto kMaxBackoff = seconds(2);

Rung below(Rung rung) {
  return static_cast<Rung>(static_cast<std::uint8_t>(rung) + 1);
}

}  // namespace

TrackingLadder::TrackingLadder(Runtime& runtime,
                               TrackingEvents& events,
                               TrackingHost& host,
                               route::NodeId id)
    : runtime_(runtime),
      events_(events),
      host_(host),
      id_(id),
      random_(std::random_device{}()) {}

TrackingLadder::~TrackingLadder() {
  close();
}

void TrackingLadder::update(const route::Node& seen, bool primary) {
  const Facts old = std::exchange(facts_, {seen, primary});
  if (seen.address.length == 0) {
    facts_.node.address = old.node.address;
  }
  if (seen.run_id.empty()) {
    facts_.node.run_id = old.node.run_id;
  }
  const bool is_back = seen.reachable && !old.node.reachable;
  if (facts_.node.address.length == 0) {
    return;
  }
  if (old.node.address.length == 0) {
    restart("it has an address");
  } else if (!(old.node.address == facts_.node.address)) {
    restart("its address changed");
  } else if (old.primary != primary) {
    restart("its role changed");
  } else if (!is_same_server(old.node.run_id)) {
    restart("another server runs there now");
  } else if (is_back && state_.rung == Rung::None && !trying_) {
    failures_ = 0;
    begin();
  }
}

// What is connected to a server that was started meanwhile may be ahead of the topology.
bool TrackingLadder::is_same_server(const std::string& before) const {
  const std::string& run_id = facts_.node.run_id;
  if (!held_ && !trying_) {
    return before.empty() || before == run_id;
  }
  const auto fits = [&run_id](const std::unique_ptr<TrackingLink>& link) {
    if (!link || run_id.empty()) {
      return true;
    }
    const TrackingSession& session = link->session();
    const std::string& known = session.run_id().empty() ? session.goal().run_id : session.run_id();
    return known.empty() || known == run_id;
  };
  return fits(held_) && fits(trying_);
}

void TrackingLadder::restart(const std::string& reason) {
  lose(reason, base::LogLevel::Info);
  begin_at_the_top();
}

void TrackingLadder::begin_at_the_top() {
  rung_ = Rung::Resp3;
  refusals_.clear();
  failures_ = 0;
  begin();
}

void TrackingLadder::begin() {
  runtime_.timers.cancel(retry_);
  runtime_.timers.cancel(climb_);
  if (host_.prefixes().empty() || facts_.node.address.length == 0 || trying_) {
    return;
  }
  TrackingSession::Goal goal{rung_, facts_.primary, facts_.node.run_id, host_.prefixes()};
  trying_ = std::make_unique<TrackingLink>(
      runtime_, static_cast<TrackingLinkEvents&>(*this), std::move(goal));
  trying_->open(facts_.node);
}

void TrackingLadder::drop(std::unique_ptr<TrackingLink>& link, const std::string& reason) {
  if (link) {
    link->close(reason);
    dead_.push_back(std::move(link));
  }
}

void TrackingLadder::close() {
  drop(held_, "shutting down");
  drop(trying_, "shutting down");
  for (const base::TimerQueue::Id& timer : {retry_, climb_, timer_}) {
    runtime_.timers.cancel(timer);
  }
  timer_due_ = base::TimePoint::max();
}

void TrackingLadder::lose(const std::string& reason, base::LogLevel level) {
  close();
  state_.reason = reason;
  state_.redirect_id = 0;
  if (std::exchange(state_.rung, Rung::None) != Rung::None) {
    ++state_.losses;
    base::log(level, "tracking", "{} is not heard of any more: {}", facts_.node.name, reason);
    events_.on_lost(id_, reason);
  }
}

// `trying_` has proven that it hears.
void TrackingLadder::settle() {
  const TrackingLink* proven = trying_.get();
  if (state_.rung != Rung::None) {
    constexpr auto kBetter = "there is a better way to hear of changes";
    drop(held_, kBetter);
    state_.rung = Rung::None;
    events_.on_lost(id_, kBetter);
    if (trying_.get() != proven) {
      return;  // the plan was changed from there
    }
  }
  held_ = std::move(trying_);
  failures_ = 0;
  logged_failure_.clear();
  state_.rung = rung_;
  state_.reason = refusals_;
  state_.redirect_id = rung_ == Rung::Channel ? 0 : held_->hearer_id();
  state_.address = facts_.node.address;
  if (rung_ != Rung::Resp3) {
    climb_later();
  }
  base::log_info("tracking", "{} tells of changes: {}", facts_.node.name, to_string(rung_));
  events_.on_coherent(id_, state_);
}

void TrackingLadder::settle_for_ttl() {
  state_.rung = Rung::Ttl;
  state_.reason = refusals_;
  state_.redirect_id = 0;
  state_.address = facts_.node.address;
  climb_later();
  events_.on_coherent(id_, state_);
}

void TrackingLadder::end_of_held(TrackingSession::Verdict verdict, const std::string& reason) {
  rung_ = state_.rung;
  refusals_ = state_.reason;
  lose(reason, base::LogLevel::Warn);
  if (trying_ || host_.prefixes().empty()) {
    return;  // the plan was changed from there
  }
  if (verdict == TrackingSession::Verdict::Fall) {
    fall(reason);
  } else {
    retry_later();
  }
}

void TrackingLadder::end_of_try(TrackingSession::Verdict verdict, const std::string& reason) {
  drop(trying_, reason);
  if (verdict == TrackingSession::Verdict::Fall) {
    fall(reason);
  } else if (state_.rung != Rung::None) {
    climb_later();
  } else {
    if (std::exchange(logged_failure_, reason) != reason) {
      base::log_warn("tracking", "{} is not heard of: {}", facts_.node.name, reason);
    }
    state_.reason = reason;
    retry_later();
  }
}

void TrackingLadder::fall(const std::string& reason) {
  std::string& logged = logged_.at(static_cast<std::size_t>(rung_));
  if (std::exchange(logged, reason) != reason) {
    base::log_warn("tracking",
                   "{} cannot tell of changes by {}: {}; trying {}",
                   facts_.node.name,
                   to_string(rung_),
                   reason,
                   to_string(below(rung_)));
  }
  refusals_ += (refusals_.empty() ? "" : "; ") + std::string(to_string(rung_)) + ": " + reason;
  rung_ = below(rung_);
  if (state_.rung != Rung::None && rung_ >= state_.rung) {
    climb_later();
  } else if (rung_ == Rung::Ttl) {
    settle_for_ttl();
  } else {
    begin();
  }
}

void TrackingLadder::retry_later() {
  const auto around =
      std::min<base::Duration>(kFirstBackoff * (1U << std::min(failures_, 6U)), kMaxBackoff);
  ++failures_;
  std::uniform_int_distribution<base::Duration::rep> wait(around.count() / 2, around.count());
  runtime_.timers.cancel(retry_);
  retry_ = runtime_.timers.add(runtime_.now + base::Duration(wait(random_)), [this] { begin(); });
}

void TrackingLadder::climb_later() {
  runtime_.timers.cancel(climb_);
  climb_ = runtime_.timers.add(runtime_.now + kClimbEvery, [this] { begin_at_the_top(); });
}

void TrackingLadder::on_change(TrackingLink& link) {
  if (link.is_over()) {
    return;
  }
  link.send_requests();
  if (link.session().take_wish()) {
    const TrackingSession::Source source = host_.send_canary(link);
    link.session().canary_source(source);
  }
  if (link.is_over()) {
    return;  // by what it sent
  }
  const TrackingSession::Verdict verdict = link.session().verdict();
  if (link.session().is_over()) {
    const std::string reason = link.session().reason();
    if (&link == held_.get()) {
      end_of_held(verdict, reason);
    } else {
      end_of_try(verdict, reason);
    }
  } else if (verdict == TrackingSession::Verdict::Coherent && &link == trying_.get()) {
    settle();
  }
  if (!link.is_over()) {
    report(link);
  }
  arm();
}

void TrackingLadder::report(TrackingLink& link) {
  if (const auto proof = link.session().take_proof()) {
    state_.canary_seen = proof->at;
    if (proof->lag != base::Duration{}) {
      state_.canary_lag = proof->lag;
    }
    events_.on_proven(id_, proof->at, proof->lag);
  }
}

void TrackingLadder::arm() {
  base::TimePoint due = base::TimePoint::max();
  for (const auto* link : {&held_, &trying_}) {
    if (*link) {
      due = std::min(due, (*link)->session().due().value_or(base::TimePoint::max()));
    }
  }
  if (due < timer_due_) {
    runtime_.timers.cancel(timer_);
    timer_due_ = due;
    timer_ = runtime_.timers.add(due, [this] { on_time(); });
  }
}

void TrackingLadder::on_time() {
  timer_due_ = base::TimePoint::max();
  for (TrackingLink* link : {held_.get(), trying_.get()}) {
    if (link != nullptr && !link->is_over()) {
      link->session().time(runtime_.now);
      on_change(*link);
    }
  }
  arm();
}

bool TrackingLadder::read_kept() {
  bool more = false;
  for (TrackingLink* link : {held_.get(), trying_.get()}) {
    if (link != nullptr && !link->is_over() && link->has_kept()) {
      link->read_kept();
      more = more || (!link->is_over() && link->has_kept());
    }
  }
  return more;
}

void TrackingLadder::on_heard(const TrackingLink& link, const TrackingInbox::Batch& batch) {
  if (held_ && &link != held_.get()) {
    return;  // the one that is held hears it too
  }
  state_.keys += batch.keys.size();
  if (!batch.keys.empty()) {
    events_.on_invalidated(id_, batch.keys);
  }
  if (batch.flush) {
    ++state_.flushes;
    events_.on_flushed(id_);
  }
}

void TrackingLadder::on_canary_answer(std::string_view value, std::string_view reply) {
  host_.on_canary_answer(value, reply);
}

void TrackingLadder::on_kept() {
  host_.on_kept();
}

}  // namespace pannier::upstream
