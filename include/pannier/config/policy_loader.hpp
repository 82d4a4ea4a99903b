#pragma once

#include "pannier/config/loader.hpp"
#include "pannier/config/policy.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

// A command or category that a limit or a denial names, and where.
struct NamedCommand {
  int line = 0;      // 1-based
  int column = 0;    // 1-based
  std::string path;  // "deny[1].commands[0]"
  std::string name;  // as in DenyRule::commands
};

struct LoadPolicyResult {
  std::optional<Policy> policy;  // empty when `errors` is not
  std::vector<Issue> errors;     // all of them, in file order
  std::vector<Issue> warnings;
  std::string text;                    // of the file, as it was read; empty without one
  std::vector<NamedCommand> commands;  // all of them, also when there are errors
};

// Parses and checks the whole text, except for what commands there are, which is not known here:
// policy::check_commands, to be called with what comes out, judges that. Presets and defaults are
// in place in what comes out. Depends on nothing but the text. Never throws; never returns a
// half-made policy.
[[nodiscard]] LoadPolicyResult load_policy(std::string_view yaml);
[[nodiscard]] LoadPolicyResult load_policy_file(const std::string& path);

// Whether a file is meant as a policy rather than as a pannier.yaml: it lists classes,
// limits or denials, or says read_only.
[[nodiscard]] bool is_policy_file(const std::string& path);

}  // namespace pannier::config
