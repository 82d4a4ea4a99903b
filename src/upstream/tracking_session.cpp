#include "tracking_session.hpp"

#include "pannier/base/bytes.hpp"

#include "tracking_requests.hpp"

#include <algorithm>

namespace pannier::upstream {
namespace {

std::size_t index_of(TrackingEnd end) {
  return static_cast<std::size_t>(end);
}

bool is_error(std::string_view reply) {
  return reply.starts_with('-');
}

// An error without its mark.
std::string shown(std::string_view error) {
  return base::printable(text_of_reply(error).substr(1), 160);
}

// What the user of Pannier must be granted to be spared this refusal.
std::string_view grant_for(TrackingAsk what, Rung rung) {
  switch (what) {
    case TrackingAsk::Track:
      return "+client|tracking +client|id";
    case TrackingAsk::Subscribe:
      return rung == Rung::Redirect ? "+subscribe &__redis__:invalidate" : "+subscribe &pannier:*";
    default:
      return rung == Rung::Channel ? "+publish &pannier:*" : "+set +get ~pannier:*";
  }
}

std::string_view name_of(TrackingAsk what, Rung rung) {
  switch (what) {
    case TrackingAsk::Track:
      return "CLIENT TRACKING";
    case TrackingAsk::Subscribe:
      return "SUBSCRIBE";
    default:
      return rung == Rung::Channel ? "PUBLISH of the canary" : "SET of the canary";
  }
}

}  // namespace

void TrackingSession::settle(Verdict verdict, std::string reason) {
  if (!is_over()) {
    verdict_ = verdict;
    reason_ = std::move(reason);
    requests_.clear();
    wish_ = false;
  }
}

void TrackingSession::ask(TrackingEnd end, TrackingAsk what) {
  TrackingRequest request{end, what, {}};
  switch (what) {
    case TrackingAsk::Info:
      request.bytes = info_request();
      break;
    case TrackingAsk::Track:
      request.bytes = track_request(goal_.prefixes, end == TrackingEnd::Companion ? hearer_id_ : 0);
      break;
    case TrackingAsk::Subscribe:
      request.bytes = subscribe_request(goal_.rung);
      break;
    case TrackingAsk::GetCanary:
      request.bytes = get_canary_request();
      break;
    default:
      request.bytes = ping_request();
  }
  requests_.push_back(std::move(request));
}

void TrackingSession::opened(TrackingEnd end, std::int64_t client_id, base::TimePoint now) {
  open_[index_of(end)] = true;
  if (end == TrackingEnd::Hearer) {
    hearer_id_ = client_id;
  }
  if (phase_ == Phase::Opening && open_[0] && (open_[1] || !needs_companion())) {
    begin_registering(now);
  }
}

void TrackingSession::closed(TrackingEnd end, const std::string& reason, std::string_view refusal) {
  const bool no_such_version = goal_.rung == Rung::Resp3 && end == TrackingEnd::Hearer &&
                               is_error(refusal) && !is_passing(refusal);
  if (phase_ == Phase::Opening && no_such_version) {
    fall("HELLO 3 is refused: " + shown(refusal));
  } else {
    fail(reason);
  }
}

void TrackingSession::begin_registering(base::TimePoint now) {
  phase_ = Phase::Registering;
  deadline_ = now + kAnswerWithin;
  if (goal_.rung == Rung::Redirect && hearer_id_ == 0) {
    fall("CLIENT ID is refused; grant +client|id");
    return;
  }
  ask(TrackingEnd::Hearer, TrackingAsk::Info);
  unanswered_ = 2;
  if (goal_.rung == Rung::Redirect) {
    ask(TrackingEnd::Companion, TrackingAsk::Info);
    ++unanswered_;
  }
  ask(TrackingEnd::Hearer, goal_.rung == Rung::Resp3 ? TrackingAsk::Track : TrackingAsk::Subscribe);
}

void TrackingSession::reply(TrackingEnd end,
                            TrackingAsk what,
                            std::string_view bytes,
                            base::TimePoint now) {
  if (is_over()) {
    return;
  }
  if (end == TrackingEnd::Companion && what == TrackingAsk::Ping) {
    asked_companion_ = false;
  } else if (phase_ == Phase::Registering) {
    registered(end, what, bytes, now);
  } else if (phase_ == Phase::Proving) {
    answered_while_proving(what, bytes, now);
  } else if (what == TrackingAsk::GetCanary) {
    look_up_canary(bytes);
  }
}

void TrackingSession::registered(TrackingEnd end,
                                 TrackingAsk what,
                                 std::string_view bytes,
                                 base::TimePoint now) {
  --unanswered_;
  if (what == TrackingAsk::Info) {
    note_run_id(end, bytes);
  } else if (is_error(bytes)) {
    refused(what, bytes);
  } else if (what == TrackingAsk::Subscribe && goal_.rung == Rung::Redirect) {
    ask(TrackingEnd::Companion, TrackingAsk::Track);
    ++unanswered_;
  }
  if (!is_over() && unanswered_ == 0) {
    begin_proving(now);
  }
}

// A client id means nothing on another server, and there may hit a stranger.
void TrackingSession::note_run_id(TrackingEnd end, std::string_view bytes) {
  if (is_error(bytes)) {
    return;  // without INFO the canary is all the proof there is
  }
  run_ids_[index_of(end)] = info_field(text_of_reply(bytes), "run_id");
  const std::string& mine = run_ids_[index_of(end)];
  const std::string& other = run_ids_[1 - index_of(end)];
  if (mine.empty()) {
    return;
  }
  if (!goal_.run_id.empty() && mine != goal_.run_id) {
    fail("another server answers there: run_id " + mine + " instead of " + goal_.run_id);
  } else if (!other.empty() && mine != other) {
    fail("two servers answer at one address: run_id " + mine + " and " + other);
  }
}

void TrackingSession::refused(TrackingAsk what, std::string_view error) {
  std::string reason(name_of(what, goal_.rung));
  reason += " is refused: " + shown(error);
  if (error.starts_with("-NOPERM")) {
    reason += "; grant ";
    reason += grant_for(what, goal_.rung);
  }
  if (is_passing(error)) {
    fail(std::move(reason));
  } else {
    fall(std::move(reason));
  }
}

void TrackingSession::begin_proving(base::TimePoint now) {
  phase_ = Phase::Proving;
  deadline_ = now + kAnswerWithin;
  wish_at_ = now + kAwayAgain;
  own_ = {};
  wish_ = true;
}

void TrackingSession::canary_sent(Rung rung, std::string_view value, base::TimePoint now) {
  if ((rung == Rung::Channel) == canary_is_key()) {
    return;  // this one is not told of such
  }
  own_.value = value;
  own_.sent_at = now;
  own_.outstanding = true;
  source_ = Source::Sent;
}

void TrackingSession::canary_answered(std::string_view value,
                                      std::string_view reply,
                                      base::TimePoint now) {
  if (is_over() || value != own_.value) {
    return;
  }
  if (!is_error(reply)) {
    if (phase_ == Phase::Proving && !acknowledged_) {
      acknowledged_ = true;
      deadline_ = now + kAnswerWithin;
    }
  } else if (goal_.primary && reply.starts_with("-READONLY")) {
    fail("it is no primary any more: " + shown(reply));
  } else if (goal_.primary && phase_ == Phase::Proving) {
    refused(TrackingAsk::WriteCanary, reply);
  } else if (!is_passing(reply)) {
    source_ = Source::Never;
  }
}

// The time to prove that pushes arrive is over, or a replica's source of canaries is.
void TrackingSession::look_after_proof(base::TimePoint now) {
  deadline_ = now + kAnswerWithin;
  if (asked_) {
    fail("no answer within 1s");
    return;
  }
  if (goal_.primary && !acknowledged_) {
    fail("no answer to the canary within 1s");
    return;
  }
  asked_ = true;
  last_question_ = acknowledged_ || source_ == Source::Never;
  if (last_question_ && acknowledged_ && !goal_.primary && canary_is_key()) {
    last_question_ = false;  // a replica may just be behind
    const bool subscribed = goal_.rung == Rung::Redirect;
    ask(subscribed ? TrackingEnd::Companion : TrackingEnd::Hearer, TrackingAsk::GetCanary);
    return;
  }
  ask(TrackingEnd::Hearer, TrackingAsk::Ping);
  wish_ = !last_question_;
}

// A push is sent in the server's turn in which the key changed; an answer to a question that was
// asked after the change was seen comes behind it.
void TrackingSession::answered_while_proving(TrackingAsk what,
                                             std::string_view bytes,
                                             base::TimePoint now) {
  if (what == TrackingAsk::GetCanary) {
    const bool has_it = is_error(bytes) || text_of_reply(bytes) == own_.value;
    deadline_ = now + kAnswerWithin;
    if (has_it) {
      last_question_ = true;
      ask(TrackingEnd::Hearer, TrackingAsk::Ping);
    } else {
      asked_ = false;
      acknowledged_ = false;
      wish_ = true;
    }
    return;
  }
  if (what == TrackingAsk::Ping) {
    asked_ = false;
    if (last_question_) {
      fall(source_ == Source::Never ? "no canary can be written to its primary"
                                    : "the canary did not arrive, although PING was answered");
    }
  }
}

void TrackingSession::canary_heard(std::string_view value, base::TimePoint now) {
  if (is_over() || phase_ < Phase::Proving) {
    return;
  }
  if (phase_ == Phase::Proving) {
    begin_watching(now);
  }
  heard_at_ = now;
  wish_later(now);
  if (!own_.outstanding || own_.looking) {
    proof_ = Proof{now, {}};
  } else if (!canary_is_key()) {
    own_.outstanding = value != own_.value;
    proof_ = Proof{now, own_.outstanding ? base::Duration{} : now - own_.sent_at};
  } else {
    // The push names the key only: whose canary it was is told by its value.
    own_.looking = true;
    own_.heard_at = now;
    const bool subscribed = goal_.rung == Rung::Redirect;
    ask(subscribed ? TrackingEnd::Companion : TrackingEnd::Hearer, TrackingAsk::GetCanary);
  }
}

void TrackingSession::look_up_canary(std::string_view bytes) {
  if (!own_.looking) {
    return;  // asked while proving, and heard since
  }
  own_.looking = false;
  const bool mine = text_of_reply(bytes) == own_.value && own_.sent_at <= own_.heard_at;
  const bool may_come = !goal_.primary && own_.heard_at < own_.sent_at + Tracking::kIncoherentAfter;
  own_.outstanding = !mine && may_come;
  proof_ = Proof{own_.heard_at, mine ? own_.heard_at - own_.sent_at : base::Duration{}};
}

void TrackingSession::begin_watching(base::TimePoint now) {
  phase_ = Phase::Watching;
  verdict_ = Verdict::Coherent;
  asked_ = false;
  keep_alive_at_ = now + kKeepAlive;
}

// Each sidecar waits another while, and hears of whoever was first: the fleet shares one writer.
void TrackingSession::wish_later(base::TimePoint now) {
  std::uniform_real_distribution<double> part(0.5, 1.5);
  wish_at_ =
      now + std::chrono::duration_cast<base::Duration>(Tracking::kCanaryEvery * part(random_));
}

void TrackingSession::watch(base::TimePoint now) {
  if (now >= heard_at_ + Tracking::kIncoherentAfter) {
    fail("no canary for 3s");
    return;
  }
  if (now >= wish_at_) {
    wish_ = true;
    wish_later(now);
  }
  if (now >= keep_alive_at_) {
    keep_alive_at_ = now + kKeepAlive;
    if (asked_companion_) {
      fail("no answer to PING for 10s");
    } else if (needs_companion()) {
      asked_companion_ = true;
      ask(TrackingEnd::Companion, TrackingAsk::Ping);
    }
  }
}

void TrackingSession::time(base::TimePoint now) {
  if (is_over()) {
    return;
  }
  if (phase_ == Phase::Watching) {
    watch(now);
  } else if (phase_ == Phase::Registering && now >= deadline_) {
    fail("no answer within 1s");
  } else if (phase_ == Phase::Proving && now >= deadline_) {
    look_after_proof(now);
  } else if (phase_ == Phase::Proving && source_ == Source::Away && now >= wish_at_) {
    wish_at_ = now + kAwayAgain;
    wish_ = true;
  }
}

std::optional<base::TimePoint> TrackingSession::due() const {
  if (is_over() || phase_ == Phase::Opening) {
    return std::nullopt;
  }
  if (phase_ == Phase::Proving && source_ == Source::Away) {
    return std::min(deadline_, wish_at_);
  }
  if (phase_ != Phase::Watching) {
    return deadline_;
  }
  return std::min({heard_at_ + Tracking::kIncoherentAfter, wish_at_, keep_alive_at_});
}

std::vector<TrackingRequest> TrackingSession::take_requests() {
  return std::exchange(requests_, {});
}

bool TrackingSession::take_wish() {
  return std::exchange(wish_, false);
}

std::optional<TrackingSession::Proof> TrackingSession::take_proof() {
  return std::exchange(proof_, std::nullopt);
}

}  // namespace pannier::upstream
