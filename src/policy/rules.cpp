#include "pannier/policy/rules.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pannier::policy {
namespace {

// Observing is doing nothing, except for what counts what it would have answered: the cache, and
// on_error.
void apply_modes(config::PolicyClass& rules, config::RuleMode ceiling) {
  const auto mode = std::min(ceiling, rules.mode);
  rules.mode = mode;
  if (rules.cache) {
    rules.cache->mode = std::min(mode, rules.cache->mode);
    if (rules.cache->mode == config::RuleMode::Off) {
      rules.cache.reset();
    }
  }
  if (rules.ttl) {
    rules.ttl->mode = std::min(mode, rules.ttl->mode);
    if (rules.ttl->mode == config::RuleMode::Off) {
      rules.ttl.reset();
    }
  }
  if (mode == config::RuleMode::Off) {
    rules.store = config::Store::Allow;
    rules.scripts = config::Scripts::Allow;
  }
  if (mode != config::RuleMode::Enforce) {
    rules.reads.reset();
    rules.miss.reset();
  }
  if (mode == config::RuleMode::Off) {
    rules.on_error = config::OnError::Fail;
  }
  if (rules.miss && rules.miss->lease.count() == 0) {
    rules.miss.reset();
  }
}

using Classes = std::vector<config::PolicyClass>;

// The classes of `wanted`, each in its place.
Classes place_classes(Classes wanted, const Classes& previous) {
  std::unordered_map<std::string_view, std::size_t> known;
  Classes out(previous.size());
  for (std::size_t id = 0; id < previous.size(); ++id) {
    out[id].name = previous[id].name;
    known.emplace(previous[id].name, id);
  }
  Classes fresh;
  for (auto& each : wanted) {
    const auto found = known.find(each.name);
    auto& place = found == known.end() ? fresh.emplace_back() : out[found->second];
    place = std::move(each);
  }
  std::size_t next = 0;
  for (auto& each : fresh) {
    if (out.size() < kMaxClasses) {
      out.push_back(std::move(each));
      continue;
    }
    while (!is_retired(out[next])) {
      ++next;
    }
    out[next] = std::move(each);
  }
  return out;
}

}  // namespace

RulesPtr compile(config::Policy policy, const Rules* previous, Origin origin) {
  auto rules = std::make_shared<Rules>();
  rules->origin = std::move(origin);
  if (previous != nullptr) {
    policy.classes = place_classes(std::move(policy.classes), previous->policy.classes);
  }
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
    rules->any_stale |= serves_stale(each);
    rules->any_reads |= each.reads.has_value() || serves_stale(each);
    const bool never = each.store == config::Store::Never;
    rules->any_never |= never;
    rules->any_sliding |= each.ttl && each.ttl->sliding && each.ttl->preset.count() > 0;
    rules->any_ttl |= each.ttl || never || each.scripts == config::Scripts::Deny;
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
