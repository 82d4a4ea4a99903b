#pragma once

#include "pannier/config/glob.hpp"
#include "pannier/config/policy.hpp"
#include "pannier/policy/key_matcher.hpp"
#include "pannier/policy/request_rules.hpp"

#include <cstddef>
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

// Which load of the policy's file the rules are.
struct Origin {
  std::uint64_t generation = 0;  // counts the loads that changed something; 0: there is no file
  std::string hash;              // of the file's bytes: the same on every sidecar that has it

  [[nodiscard]] bool operator==(const Origin&) const = default;
};

// The policy, compiled: an immutable snapshot that each worker holds. What the modes forbid is
// gone: a class's `cache` is empty or its mode is Observe or Enforce; where a class is not
// enforced, its reads and leases are not there, and its on_error only counts. Its `mode` is the
// effective one.
struct Rules {
  config::Policy policy;  // its classes by id, retired ones among them
  Origin origin;
  KeyMatcher matcher;
  RequestRules requests;    // limits and denials
  bool any_cache = false;   // some class is cached or observed
  bool any_shadow = false;  // some class only observes its cache
  bool any_lease = false;
  bool any_mget = false;   // some class answers MGET from memory
  bool any_reads = false;  // some class or the defaults say where reads go, also in failure
  bool any_stale = false;  // some class is read from replicas while the primary is away
  bool any_ttl = false;    // some class has rules on what is stored, or denies scripts
  bool any_never = false;  // some class is `store: never`
  bool any_sliding = false;

  [[nodiscard]] const config::PolicyClass& at(ClassId id) const { return policy.classes[id]; }
};

// `store: never` acts only where the class itself says `mode: enforce` (behaviour 4.6); else it
// counts.
[[nodiscard]] inline bool refuses_stores(const config::PolicyClass& rules) {
  return rules.store == config::Store::Never && rules.mode_given &&
         rules.mode == config::RuleMode::Enforce;
}

// While the primary is away its replicas serve its reads (behaviour 3.2).
[[nodiscard]] inline bool serves_stale(const config::PolicyClass& rules) {
  return rules.on_error == config::OnError::Stale && rules.mode == config::RuleMode::Enforce;
}

using RulesPtr = std::shared_ptr<const Rules>;

// Keys that Pannier itself stores have no class, whatever the globs say.
inline constexpr std::string_view kReservedKeys = "pannier:";

// A class keeps the id of the class of its name in `previous`, so that counters and what is kept of
// it stay its own. A class that is gone leaves a retired place behind, for the class of its name to
// come back to; beyond kMaxClasses ids a new class gets the lowest retired place, and the counters
// there go on from where they are. REQUIRES: at most kMaxClasses classes, as the loader sees to.
[[nodiscard]] RulesPtr compile(config::Policy policy,
                               const Rules* previous = nullptr,
                               Origin origin = {});

// A place whose class is gone: it has a name, and neither keys nor rules.
[[nodiscard]] inline bool is_retired(const config::PolicyClass& each) {
  return each.keys.empty();
}

// The classes of which nothing that was kept under the old rules may be served under the new ones:
// their keys, cache, reads or store differ, or keys may have come to them from another class, under
// which nobody looked after what was kept before. By id, sorted.
[[nodiscard]] std::vector<ClassId> classes_to_drop(const Rules& before, const Rules& after);

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
