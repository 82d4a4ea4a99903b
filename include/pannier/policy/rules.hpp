#pragma once

#include "pannier/config/glob.hpp"
#include "pannier/config/policy.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::policy {

using ClassId = std::uint16_t;  // place in Rules::classes
inline constexpr ClassId kNoClass = 0xFFFF;

// Which class a key belongs to: all globs of the policy in one compiled structure whose cost does
// not grow with the number of classes. Immutable, no allocation while it matches.
//
// Behaviour 8.1: the longest literal prefix wins, then more literal characters.
class KeyMatcher {
 public:
  KeyMatcher();
  ~KeyMatcher();
  KeyMatcher(const KeyMatcher&) = delete;
  KeyMatcher& operator=(const KeyMatcher&) = delete;
  KeyMatcher(KeyMatcher&&) noexcept;
  KeyMatcher& operator=(KeyMatcher&&) noexcept;

  // Adds a glob; `glob` is well formed (see glob_fault). Equally specific globs that can match one
  // key are an error that the loader finds; of such the first one counts. `kNoClass` takes keys out
  // of less specific classes.
  void add(std::string_view glob, ClassId id);
  // To be called once, after the last `add`.
  void compile();

  [[nodiscard]] ClassId match(std::string_view key) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

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
