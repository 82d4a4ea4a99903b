#pragma once

#include "pannier/metrics/snapshot.hpp"
#include "pannier/policy/rules.hpp"

#include "info_section.hpp"

#include <string>

// The policy in force and its reloads in words, for INFO, PANNIER STATS and PANNIER EXPLAIN. Pure
// but for the clock that ages are counted from.
namespace pannier::proxy {

void add_policy_fields(InfoFields& fields, const metrics::PolicyState& state);

// Lines of STATS: generation, hash, age and reloads; then the last error, if it stands.
[[nodiscard]] std::string policy_lines(const metrics::PolicyState& state);

// A line of EXPLAIN: which policy the answer is by.
[[nodiscard]] std::string policy_line(const policy::Origin& origin);

}  // namespace pannier::proxy
