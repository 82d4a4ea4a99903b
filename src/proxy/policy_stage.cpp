#include "policy_stage.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/route/recent_writes.hpp"

#include "fleet_limits.hpp"
#include "introspection.hpp"
#include "key_class.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>

namespace pannier::proxy {
namespace {

using config::RuleMode;
using policy::RequestRules;

constexpr std::int64_t kMostTaken = 1LL << 53;
constexpr std::size_t kMostCharges = 64;  // per transaction; what is beyond is not given back

metrics::Counter& counter_of(metrics::CountByActing& counts, RuleMode mode) {
  const auto acting =
      mode == RuleMode::Enforce ? metrics::Acting::Enforce : metrics::Acting::Observe;
  return counts[static_cast<std::size_t>(acting)];
}

metrics::LimitMetrics& metrics_of(Context& context, policy::LimitId id) {
  return context.runtime.metrics.limits[context.rule_stage.bound.limits[id].place];
}

// In a transaction a refused command makes EXEC fail (behaviour 7.1).
Passage refuse_request(Context& context,
                       Session& session,
                       const RuledRequest& request,
                       metrics::Refusal reason,
                       std::string_view text) {
  stop_waiting(context, session);
  return_grants(context, session);
  if (session.pinned.multi) {
    fail_transaction(session);
  } else if (request.row.name == "multi") {
    refuse_multi(context, session, reason, text);
    return Passage::Refused;
  }
  refuse(context, session, reason, text);
  return Passage::Refused;
}

std::string name_of(const RuledRequest& request) {
  return base::printable(request.arguments[0]);
}

std::string why_denied(const config::DenyRule& rule,
                       policy::Denial::Reason reason,
                       const RuledRequest& request) {
  using Reason = policy::Denial::Reason;
  if (!rule.hint.empty()) {
    return rule.hint;
  }
  if (reason == Reason::Arguments) {
    return fmt::format("'{}' has more than {} arguments", name_of(request), rule.max_arguments);
  }
  if (reason == Reason::Value) {
    return fmt::format("an argument of '{}' has more than {}",
                       name_of(request),
                       base::human_bytes(rule.max_value));
  }
  return fmt::format(
      "'{}' is denied{}", name_of(request), reason == Reason::Key ? " for this key" : "");
}

void count_denial(Context& context, const policy::Denial& denial, RuleMode mode) {
  const BoundRules& bound = context.rule_stage.bound;
  const std::uint16_t place = denial.id == policy::kReadOnlyRule
                                  ? bound.read_only_place
                                  : bound.denial_places.at(denial.id);
  counter_of(context.runtime.metrics.denials[place].denied, mode).add();
}

Passage deny(Context& context,
             Session& session,
             const RuledRequest& request,
             const policy::RequestView& view) {
  const policy::Denials denials = context.rules->requests.denial_of(view);
  if (denials.observed) {
    count_denial(context, *denials.observed, RuleMode::Observe);
  }
  if (!denials.enforced) {
    return Passage::Free;
  }
  count_denial(context, *denials.enforced, RuleMode::Enforce);
  std::string text;
  if (denials.enforced->id == policy::kReadOnlyRule) {
    text = fmt::format(
        "NOPERM [pannier rule=read_only] '{}' may write, and the policy says "
        "read_only",
        name_of(request));
  } else {
    const config::DenyRule& rule = context.rules->policy.deny[denials.enforced->id];
    text = fmt::format("NOPERM [pannier rule={}] {}",
                       rule.name,
                       why_denied(rule, denials.enforced->reason, request));
  }
  return refuse_request(context, session, request, metrics::Refusal::Denied, text);
}

std::string_view listener_name(Context& context, const config::Listener& listener) {
  auto& known = context.rule_stage.listeners;
  const auto found = std::find_if(
      known.begin(), known.end(), [&](const auto& each) { return each.first == &listener; });
  if (found != known.end()) {
    return found->second;
  }
  return known.emplace_back(&listener, listener.address.to_string()).second;
}

Subject subject_of(Context& context,
                   const Session& session,
                   const config::LimitRule& rule,
                   std::string_view captured) {
  std::string_view text = captured;
  if (rule.per == config::Per::All) {
    return {};
  }
  if (rule.per == config::Per::Client) {
    text = session.state.name.empty() ? listener_name(context, session.listener())
                                      : std::string_view(session.state.name);
  }
  return {text, route::RecentWrites::hash(text)};
}

std::int64_t quantity_of(const config::LimitRule& rule, const RuledRequest& request) {
  return rule.cost == config::Cost::Request
             ? 1
             : static_cast<std::int64_t>(std::min<std::uint64_t>(request.bytes, kMostTaken));
}

// What became of one limit of a request.
struct Taking {
  enum class Kind : std::uint8_t {
    Taken,
    Refused,
    Away,  // refused, as nobody can say
    Waits
  };

  Kind kind = Kind::Taken;
  std::int64_t retry_after = 0;
};

Taking take_here(Context& context, const Charge& charge) {
  const limit::Taken taken = context.shared.rule_state.limiters.take(
      charge.limit, charge.subject, charge.quantity, charge.at);
  return {taken.limited ? Taking::Kind::Refused : Taking::Kind::Taken, taken.retry_after};
}

Taking take_without_primary(Context& context, const config::LimitRule& rule, Charge& charge) {
  switch (rule.on_upstream_error) {
    case config::OnUpstreamError::Local:
      charge.lent = false;
      return take_here(context, charge);
    case config::OnUpstreamError::Open:
      charge.quantity = 0;
      return {};
    case config::OnUpstreamError::Closed:
      break;
  }
  return {Taking::Kind::Away, limit::FleetLeases::kAwayFor};
}

// Adds to the stage's charges what was taken. A fleet limit that only observes asks nobody: it
// counts by the whole rate what passes here, as nothing may be seen of it upstream (behaviour 8.2).
Taking take_one(Context& context,
                Session& session,
                const RuledRequest& request,
                const policy::LimitMatch& match,
                RuleMode mode) {
  RuleStage& stage = context.rule_stage;
  const config::LimitRule& rule = context.rules->policy.limits[match.id];
  const BoundLimit& bound = stage.bound.limits[match.id];
  const Subject subject = subject_of(context, session, rule, match.subject);
  Charge charge{bound.limit,
                subject.hash,
                quantity_of(rule, request),
                microseconds(context.runtime.now),
                rule.scope == config::Scope::Fleet && mode == RuleMode::Enforce};
  Taking out;
  if (!charge.lent) {
    out = take_here(context, charge);
  } else {
    using Kind = limit::FleetLeases::Kind;
    const FleetResult lent = take_lent(context, session, {rule, bound, subject, charge.quantity});
    if (lent.kind == Kind::Away) {
      out = take_without_primary(context, rule, charge);
    } else if (lent.kind != Kind::Spent) {
      out = {lent.kind == Kind::Wait ? Taking::Kind::Waits : Taking::Kind::Refused,
             lent.retry_after};
    }
  }
  if (out.kind == Taking::Kind::Taken) {
    stage.charges.push_back(charge);
  }
  return out;
}

void give_back(Context& context, const Charge& charge) {
  if (charge.quantity == 0) {
    return;
  }
  if (charge.lent) {
    context.rule_stage.leases.give_back(charge.limit.bucket(charge.subject), charge.quantity);
  } else {
    context.shared.rule_state.limiters.give_back(charge.limit,
                                                 charge.subject,
                                                 charge.quantity,
                                                 charge.at,
                                                 microseconds(context.runtime.now));
  }
}

// All from this place on.
void give_back_from(Context& context, std::size_t first) {
  auto& charges = context.rule_stage.charges;
  std::for_each(charges.begin() + static_cast<std::ptrdiff_t>(first),
                charges.end(),
                [&](const Charge& charge) { give_back(context, charge); });
  charges.erase(charges.begin() + static_cast<std::ptrdiff_t>(first), charges.end());
}

struct Charging {
  Taking result;
  policy::LimitId id = 0;  // whose result it is
};

// The limits of this mode and scope, up to the first that is not taken.
Charging take_scope(Context& context,
                    Session& session,
                    const RuledRequest& request,
                    RuleMode mode,
                    config::Scope scope) {
  const RequestRules& rules = context.rules->requests;
  for (const policy::LimitMatch& match : context.rule_stage.matches) {
    if (rules.limit_mode(match.id) != mode ||
        context.rules->policy.limits[match.id].scope != scope) {
      continue;
    }
    const Taking taking = take_one(context, session, request, match, mode);
    if (taking.kind != Taking::Kind::Taken) {
      return {taking, match.id};
    }
  }
  return {};
}

// All limits of this mode, or none: the first one that refuses is the only one that counts. Those
// of this process come first: what they refuse must not trouble the primary.
Charging take_all(Context& context, Session& session, const RuledRequest& request, RuleMode mode) {
  RuleStage& stage = context.rule_stage;
  const RequestRules& rules = context.rules->requests;
  const std::size_t first = stage.charges.size();
  for (const config::Scope scope : {config::Scope::Sidecar, config::Scope::Fleet}) {
    const Charging charging = take_scope(context, session, request, mode, scope);
    if (charging.result.kind == Taking::Kind::Taken) {
      continue;
    }
    give_back_from(context, first);
    if (charging.result.kind != Taking::Kind::Waits) {
      counter_of(metrics_of(context, charging.id).refused, mode).add();
    }
    return charging;
  }
  for (const policy::LimitMatch& match : stage.matches) {
    if (rules.limit_mode(match.id) == mode) {
      counter_of(metrics_of(context, match.id).admitted, mode).add();
    }
  }
  return {};
}

std::string why_limited(const config::LimitRule& rule,
                        const BoundLimit& bound,
                        const RuledRequest& request,
                        const Taking& taking) {
  constexpr std::int64_t kMillisecond = 1000;
  if (taking.retry_after < 0) {
    return fmt::format(
        "THROTTLED rate limit '{}' never admits this request of {} bytes: burst "
        "allows {} at once",
        rule.name,
        quantity_of(rule, request),
        bound.limit.most());
  }
  const std::int64_t ms =
      std::max<std::int64_t>(1, (taking.retry_after + kMillisecond - 1) / kMillisecond);
  return fmt::format("THROTTLED rate limit '{}' {} retry_after_ms={}",
                     rule.name,
                     taking.kind == Taking::Kind::Away
                         ? "is closed while the primary does not answer"
                         : "exceeded",
                     ms);
}

Passage wait_for_tokens(Context& context, Session& session, policy::LimitId id) {
  if (context.topology->generation == 0) {
    session.wait_for(Waiting::Topology);
    return Passage::Waits;
  }
  if (session.wait_until == base::TimePoint{}) {
    metrics_of(context, id).waits.add();
  }
  start_waiting(context, session, Waiting::Limit, kFleetPatience);
  session.wait_for(Waiting::Limit);
  return Passage::Waits;
}

void remember_charges(Session& session, const std::vector<Charge>& charges) {
  auto& kept = session.charges.in_multi;
  for (const Charge& charge : charges) {
    const auto same = std::find_if(kept.begin(), kept.end(), [&](const Charge& each) {
      return each.limit.identity() == charge.limit.identity() && each.subject == charge.subject &&
             each.lent == charge.lent && each.at == charge.at;
    });
    if (same != kept.end()) {
      same->quantity += charge.quantity;
    } else if (kept.size() < kMostCharges) {
      kept.push_back(charge);
    }
  }
}

Passage charge(Context& context,
               Session& session,
               const RuledRequest& request,
               const policy::RequestView& view) {
  RuleStage& stage = context.rule_stage;
  stage.matches.clear();
  stage.charges.clear();
  context.rules->requests.limits_of(view, stage.matches);
  if (stage.matches.empty()) {
    return Passage::Free;
  }
  const auto [taking, id] = take_all(context, session, request, RuleMode::Enforce);
  if (taking.kind == Taking::Kind::Waits) {
    return wait_for_tokens(context, session, id);
  }
  if (taking.kind != Taking::Kind::Taken) {
    return refuse_request(
        context,
        session,
        request,
        metrics::Refusal::Throttled,
        why_limited(context.rules->policy.limits[id], stage.bound.limits[id], request, taking));
  }
  stop_waiting(context, session);
  return_grants(context, session);
  static_cast<void>(take_all(context, session, request, RuleMode::Observe));
  if (session.pinned.multi) {
    remember_charges(session, stage.charges);
  }
  return Passage::Free;
}

}  // namespace

bool is_unruled(const Context& context, const RuledRequest& request, std::uint16_t row) {
  const RequestRules& rules = context.rules->requests;
  const bool has_keys = request.row.rule != command::KeyRule::None;
  const auto first = static_cast<std::size_t>(request.row.first);
  if (request.announced > 0 ||
      (has_keys && (!command::has_one_key(request.row) || request.arguments.size() <= first))) {
    return false;
  }
  const auto key_class = has_keys ? class_of(context, request.arguments[first]) : policy::kNoClass;
  return rules.screen().passes(row, request.arguments.size(), request.bytes, key_class) ||
         (rules.wants(row) == (RequestRules::kLimits | RequestRules::kKeys) &&
          !rules.may_limit_key(row, request.arguments[first]));
}

Passage pass_rules(Context& context, Session& session, const RuledRequest& request) {
  if (session.charges.admitted) {
    return Passage::Free;
  }
  const std::uint8_t wants = context.rules->requests.wants(command::index_of(request.row));
  RuleStage& stage = context.rule_stage;
  policy::RequestView view;
  view.row = &request.row;
  view.arguments = request.arguments;
  view.announced = request.announced;
  view.unfinished = request.unfinished;
  stage.keys.clear();
  if ((wants & RequestRules::kKeys) != 0) {
    static_cast<void>(command::extract_keys(request.row, request.arguments, stage.keys));
    view.keys = stage.keys;
  }
  if ((wants & RequestRules::kClasses) != 0 && !stage.keys.empty()) {
    view.key_class = class_of(context, stage.keys.front());
  }
  Passage passage = Passage::Free;
  if ((wants & RequestRules::kDenials) != 0 && !session.charges.not_denied) {
    passage = deny(context, session, request, view);
    session.charges.not_denied = passage == Passage::Free;
  }
  if (passage == Passage::Free && (wants & RequestRules::kLimits) != 0) {
    passage = charge(context, session, request, view);
  }
  session.charges.admitted = passage == Passage::Free;
  return passage;
}

void end_charges(Context& context, Session& session, bool give_back_all) {
  if (give_back_all) {
    for (const Charge& charge : session.charges.in_multi) {
      give_back(context, charge);
    }
  }
  session.charges.in_multi.clear();
}

void drop_charges(Context& context, Session& session) {
  return_grants(context, session);
}

void bind_rules(Context& context) {
  const config::Policy& policy = context.rules->policy;
  RuleState& state = context.shared.rule_state;
  BoundRules bound;
  for (const config::LimitRule& rule : policy.limits) {
    const auto period = std::chrono::microseconds(rule.period).count();
    bound.limits.push_back(
        {state.limiters.prepare(
             {rule.name, rule.count, period, rule.burst, rule.per != config::Per::All}),
         limit::FleetLeases::rate_of(rule.count, period, rule.burst),
         state.limit_names.place_of(rule.name)});
  }
  for (const config::DenyRule& rule : policy.deny) {
    bound.denial_places.push_back(state.denial_names.place_of(rule.name));
  }
  if (policy.read_only) {
    bound.read_only_place = state.denial_names.place_of("read_only");
  }
  context.rule_stage.bound = std::move(bound);
  // Whoever waits is looked at anew: it may be limited no longer.
  context.sessions.for_each([&context](Session& session) {
    if (session.waiting() == Waiting::Limit) {
      stop_waiting(context, session);
      return_grants(context, session);
      session.wake(Waiting::Limit);
    }
  });
}

metrics::RulesState rules_state(const RuleState& state, base::TimePoint now) {
  return {state.limit_names.all(),
          state.denial_names.all(),
          state.limiters.entries(microseconds(now)),
          state.limiters.evictions()};
}

}  // namespace pannier::proxy
