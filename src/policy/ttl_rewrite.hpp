#pragma once

#include "pannier/policy/ttl_plan.hpp"

#include <cstdint>

namespace pannier::policy {

// What the planning of one key of one request needs.
struct TtlSubject {
  const TtlRequest& request;
  TtlPlan::Target target;
  const config::TtlRules& rules;

  [[nodiscard]] bool enforced() const { return rules.mode == config::RuleMode::Enforce; }

  [[nodiscard]] bool streamed() const { return request.announced > request.arguments.size(); }

  [[nodiscard]] std::size_t count() const {
    return streamed() ? request.announced : request.arguments.size();
  }
};

// The TTL of a store that says none: the default, or the maximum alone; 0: none.
[[nodiscard]] std::int64_t preset_of(const config::TtlRules& rules);
// Behaviour 4.7: clamped, shortened by the jitter, and not below the minimum.
[[nodiscard]] std::int64_t bounded(const config::TtlRules& rules,
                                   std::int64_t ms,
                                   std::uint32_t random);

void count(const TtlSubject& subject, metrics::TtlAction action, TtlPlan& plan);
void refuse(const TtlSubject& subject, metrics::TtlAction action, TtlPlan& plan);
// PEXPIREs for a key that the command stores to and cannot give a TTL. `is_fresh`: it has none now.
void add_expiry(const TtlSubject& subject, bool is_fresh, TtlPlan& plan);

// Commands that carry a TTL, by their forms.
void plan_set(const TtlSubject& subject, TtlPlan& plan);
void plan_setex(const TtlSubject& subject, TtlPlan& plan);
void plan_setnx(const TtlSubject& subject, TtlPlan& plan);
void plan_getset(const TtlSubject& subject, TtlPlan& plan);
void plan_getex(const TtlSubject& subject, TtlPlan& plan);
void plan_expire(const TtlSubject& subject, TtlPlan& plan);
void plan_persist(const TtlSubject& subject, TtlPlan& plan);
void plan_restore(const TtlSubject& subject, TtlPlan& plan);

}  // namespace pannier::policy
