#pragma once

#include "pannier/config/glob.hpp"
#include "pannier/config/policy.hpp"
#include "pannier/policy/key_matcher.hpp"
#include "pannier/policy/request_rules.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::policy {

// What globs mean is part of the file's format; see there.
using config::common_key;
using config::equally_specific;
using config::glob_fault;
using config::glob_matches;
using config::literal_prefix;

// The policy, compiled: an immutable snapshot that each worker holds. What the modes forbid is
// gone: a class's `cache` is empty or its mode is Observe or Enforce; where a class is not
// enforced, its reads, leases and on_error are not there.
struct Rules {
  config::Policy policy;
  KeyMatcher matcher;
  RequestRules requests;    // limits and denials
  bool any_cache = false;   // some class is cached or observed
  bool any_shadow = false;  // some class only observes its cache
  bool any_lease = false;
  bool any_mget = false;   // some class answers MGET from memory
  bool any_reads = false;  // some class or the defaults say where reads go

  [[nodiscard]] const config::PolicyClass& at(ClassId id) const { return policy.classes[id]; }
};

using RulesPtr = std::shared_ptr<const Rules>;

// Keys that Pannier itself stores have no class, whatever the globs say.
inline constexpr std::string_view kReservedKeys = "pannier:";

[[nodiscard]] RulesPtr compile(config::Policy policy);

// How invalidations of the tracked classes are asked for (behaviour 5.2).
struct TrackingPlan {
  // Of BCAST: the shortest set that covers, none overlap, not even with kReservedKeys; sorted.
  std::vector<std::string> prefixes;
  std::vector<ClassId> optin;  // classes that are tracked key by key instead

  [[nodiscard]] bool empty() const { return prefixes.empty() && optin.empty(); }

  [[nodiscard]] bool operator==(const TrackingPlan&) const = default;
};

// `kept_out`: classes that are to be OPTIN whatever their prefixes are.
[[nodiscard]] TrackingPlan plan_tracking(const Rules& rules, const std::vector<ClassId>& kept_out);

}  // namespace pannier::policy
