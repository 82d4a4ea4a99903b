#include "families.hpp"

#include <cstddef>

namespace pannier::metrics {
namespace {

using enum FamilyType;

bool has_policy(const Snapshot& s) {
  return s.policy.generation != 0;
}

void generation(const Snapshot& s, Samples& out) {
  out.add(s.policy.generation);
}

void info(const Snapshot& s, Samples& out) {
  if (has_policy(s)) {
    out.add(1, {{"hash", s.policy.hash}});
  }
}

void loaded(const Snapshot& s, Samples& out) {
  if (has_policy(s)) {
    out.add(s.policy.loaded_at);
  }
}

void age(const Snapshot& s, Samples& out) {
  if (has_policy(s)) {
    out.add(age_of(s.policy));
  }
}

void reloads(const Snapshot& s, Samples& out) {
  for (std::size_t i = 0; has_policy(s) && i < s.policy.reloads.size(); ++i) {
    out.add(s.policy.reloads[i], {{"result", std::string(label_of(static_cast<ReloadResult>(i)))}});
  }
}

void last_successful(const Snapshot& s, Samples& out) {
  if (has_policy(s)) {
    out.add(s.policy.last_error.empty());
  }
}

constexpr Family kFamilies[] = {
    {"pannier_policy_generation",
     Gauge,
     "Which policy is in force: 1 at the start, one more with each change; 0: there is none.",
     generation},
    {"pannier_policy_info", Gauge, "1, with the hash of the policy's file.", info},
    {"pannier_policy_loaded_timestamp_seconds",
     Gauge,
     "When the policy in force was loaded, since 1970.",
     loaded},
    {"pannier_policy_age_seconds", Gauge, "Time since the policy in force was loaded.", age},
    {"pannier_policy_reloads_total",
     Counter,
     "Looks at the policy's file since the start: new rules, the same file, or faults.",
     reloads},
    {"pannier_policy_last_reload_successful",
     Gauge,
     "0 while the policy's file has faults or cannot be read, and an older policy is in force.",
     last_successful},
};

}  // namespace

std::span<const Family> policy_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
