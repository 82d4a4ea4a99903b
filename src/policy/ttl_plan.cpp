#include "pannier/policy/ttl_plan.hpp"

#include "ttl_forms.hpp"
#include "ttl_rewrite.hpp"

#include <algorithm>

namespace pannier::policy {
namespace {

using metrics::TtlAction;

bool is_ruled(const config::PolicyClass& rules) {
  return rules.ttl || rules.store == config::Store::Never;
}

void add_target(const Rules& rules,
                const TtlRequest& request,
                std::string_view key,
                TtlPlan& plan) {
  const bool known =
      request.first && request.arguments.size() > 1 && key.data() == request.arguments[1].data();
  const ClassId id = known ? *request.first : rules.matcher.match(key);
  if (id != kNoClass && is_ruled(rules.at(id))) {
    plan.targets.push_back({key, id});
  }
}

void find_targets(const Rules& rules, const TtlRow& row, const TtlRequest& request, TtlPlan& plan) {
  const auto arguments = request.arguments;
  switch (row.target) {
    case TtlTarget::First:
    case TtlTarget::Second: {
      const std::size_t at = row.target == TtlTarget::First ? 1 : 2;
      if (arguments.size() > at) {
        add_target(rules, request, arguments[at], plan);
      }
      return;
    }
    case TtlTarget::Pairs:
      if (std::max(arguments.size(), request.announced) % 2 == 1) {
        for (std::size_t i = 1; i < arguments.size(); i += 2) {
          add_target(rules, request, arguments[i], plan);
        }
      }
      return;
    case TtlTarget::LastKey:
      plan.keys.clear();
      if (command::extract_keys(*request.row, arguments, plan.keys) == command::KeyStatus::Ok &&
          plan.keys.size() > 1) {
        add_target(rules, request, plan.keys.back(), plan);
      }
      return;
    case TtlTarget::None:
      return;
  }
}

// Behaviour 4.6: what takes away, and what only shortens a life, passes.
bool writes_value(TtlForm form) {
  return form != TtlForm::GetEx && form != TtlForm::Expire && form != TtlForm::Persist;
}

bool refused_by_store(const Rules& rules, TtlPlan& plan) {
  for (const TtlPlan::Target& target : plan.targets) {
    const config::PolicyClass& own = rules.at(target.key_class);
    if (own.store != config::Store::Never) {
      continue;
    }
    const bool acts = refuses_stores(own);
    plan.counts.push_back({target.key_class, TtlAction::NotStored, acts});
    if (acts && plan.outcome != TtlPlan::Outcome::Refuse) {
      plan.outcome = TtlPlan::Outcome::Refuse;
      plan.refusal = TtlAction::NotStored;
      plan.refused_by = target.key_class;
    }
  }
  return plan.outcome == TtlPlan::Outcome::Refuse;
}

void plan_script(const Rules& rules, const TtlRequest& request, TtlPlan& plan) {
  plan.keys.clear();
  if (command::extract_keys(*request.row, request.arguments, plan.keys) != command::KeyStatus::Ok) {
    return;
  }
  for (const std::string_view key : plan.keys) {
    const ClassId id = rules.matcher.match(key);
    if (id == kNoClass || rules.at(id).scripts != config::Scripts::Deny) {
      continue;
    }
    const bool acts = rules.at(id).mode == config::RuleMode::Enforce;
    if (acts || plan.counts.empty()) {  // it is refused once
      plan.counts.push_back({id, TtlAction::Script, acts});
    }
    if (acts) {
      plan.outcome = TtlPlan::Outcome::Refuse;
      plan.refusal = TtlAction::Script;
      plan.refused_by = id;
      return;
    }
  }
}

void plan_target(const TtlRow& row, const TtlSubject& subject, TtlPlan& plan) {
  switch (row.form) {
    case TtlForm::Set:
      return plan_set(subject, plan);
    case TtlForm::SetEx:
      return plan_setex(subject, plan);
    case TtlForm::SetNx:
      return plan_setnx(subject, plan);
    case TtlForm::GetSet:
      return plan_getset(subject, plan);
    case TtlForm::GetEx:
      return plan_getex(subject, plan);
    case TtlForm::Expire:
      return plan_expire(subject, plan);
    case TtlForm::Persist:
      return plan_persist(subject, plan);
    case TtlForm::Restore:
      return plan_restore(subject, plan);
    case TtlForm::Other:
      plan.after_stored = is_conditional(row, subject.request.arguments);
      return add_expiry(subject, row.is_fresh, plan);
    case TtlForm::Script:
    case TtlForm::None:
      return;
  }
}

}  // namespace

void TtlPlan::clear() {
  outcome = Outcome::Pass;
  refused_by = kNoClass;
  arguments.clear();
  answers_integer = false;
  additions.clear();
  after_stored = false;
  counts.clear();
  life.reset();
  life_if_stored = false;
  targets.clear();
}

void plan_ttl(const Rules& rules, const TtlRequest& request, TtlPlan& plan) {
  plan.clear();
  const TtlRow& row = ttl_row(*request.row);
  if (row.form == TtlForm::None ||
      !command::arity_fits(*request.row, std::max(request.arguments.size(), request.announced))) {
    return;
  }
  if (row.form == TtlForm::Script) {
    plan_script(rules, request, plan);
    return;
  }
  find_targets(rules, row, request, plan);
  if (plan.targets.empty() || !stores(row, request.arguments)) {
    return;
  }
  if (writes_value(row.form) && refused_by_store(rules, plan)) {
    return;
  }
  for (const TtlPlan::Target& target : plan.targets) {
    if (const auto& own = rules.at(target.key_class).ttl) {
      plan_target(row, {request, target, *own}, plan);
    }
  }
  // In a transaction no reply comes before EXEC's.
  plan.after_stored = plan.after_stored && !request.in_multi && !plan.additions.empty();
  plan.life_if_stored = plan.life_if_stored && !request.in_multi && plan.life;
}

}  // namespace pannier::policy
