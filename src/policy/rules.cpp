#include "pannier/policy/rules.hpp"

#include <algorithm>
#include <utility>

namespace pannier::policy {
namespace {

// Observing is doing nothing, except for the cache, which counts what it would have answered.
void apply_modes(config::PolicyClass& rules, config::RuleMode ceiling) {
  const auto mode = std::min(ceiling, rules.mode);
  if (rules.cache) {
    rules.cache->mode = std::min(mode, rules.cache->mode);
    if (rules.cache->mode == config::RuleMode::Off) {
      rules.cache.reset();
    }
  }
  if (mode != config::RuleMode::Enforce) {
    rules.reads.reset();
    rules.miss.reset();
    rules.on_error = config::OnError::Fail;
  }
  if (rules.miss && rules.miss->lease.count() == 0) {
    rules.miss.reset();
  }
}

}  // namespace

RulesPtr compile(config::Policy policy) {
  auto rules = std::make_shared<Rules>();
  if (policy.mode != config::RuleMode::Enforce) {
    policy.reads.reset();
  }
  rules->any_reads = policy.reads.has_value();
  for (std::size_t i = 0; i < policy.classes.size(); ++i) {
    auto& each = policy.classes[i];
    apply_modes(each, policy.mode);
    rules->any_cache |= each.cache.has_value();
    rules->any_shadow |= each.cache && each.cache->mode == config::RuleMode::Observe;
    rules->any_lease |= each.miss.has_value();
    rules->any_mget |= each.cache && each.cache->mget;
    rules->any_reads |= each.reads.has_value();
    for (const auto& glob : each.keys) {
      rules->matcher.add(glob, static_cast<ClassId>(i));
    }
  }
  rules->matcher.add(std::string(kReservedKeys) + "*", kNoClass);
  rules->matcher.compile();
  rules->policy = std::move(policy);
  rules->requests = RequestRules(rules->policy, rules->matcher);
  return rules;
}

}  // namespace pannier::policy
