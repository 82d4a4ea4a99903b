#pragma once

#include "pannier/config/loader.hpp"
#include "pannier/config/policy.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

struct LoadPolicyResult {
  std::optional<Policy> policy;  // empty when `errors` is not
  std::vector<Issue> errors;     // all of them, in file order
  std::vector<Issue> warnings;
};

// Parses and checks the whole text; presets and defaults are in place in what comes out. Depends on
// nothing but the text. Never throws; never returns a half-made policy.
[[nodiscard]] LoadPolicyResult load_policy(std::string_view yaml);
[[nodiscard]] LoadPolicyResult load_policy_file(const std::string& path);

// Whether a file is meant as a policy rather than as a pannier.yaml: it lists classes.
[[nodiscard]] bool is_policy_file(const std::string& path);

}  // namespace pannier::config
