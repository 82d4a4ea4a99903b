#include "policy_file.hpp"

#include "pannier/cache/near_cache.hpp"
#include "pannier/config/policy_loader.hpp"
#include "pannier/policy/command_checks.hpp"

#include <fmt/format.h>

#include <utility>

namespace pannier::app {
namespace {

std::vector<std::string> lines_of(const std::vector<config::Issue>& issues,
                                  const std::string& path) {
  std::vector<std::string> out;
  out.reserve(issues.size());
  for (const config::Issue& issue : issues) {
    out.push_back(issue.to_string(path));
  }
  return out;
}

}  // namespace

std::string hash_of(std::string_view text) {
  return fmt::format("{:016x}", cache::NearCache::hash(text));
}

PolicyLook look_at_policy(const std::string& path, const policy::Rules& current) {
  config::LoadPolicyResult loaded = config::load_policy_file(path);
  policy::check_commands(loaded);
  PolicyLook out;
  out.faults = lines_of(loaded.errors, path);
  out.warnings = lines_of(loaded.warnings, path);
  if (!loaded.policy) {
    return out;
  }
  policy::Origin origin{current.origin.generation + 1, hash_of(loaded.text)};
  if (origin.hash != current.origin.hash) {
    out.rules = policy::compile(std::move(*loaded.policy), &current, std::move(origin));
    out.dropped = policy::classes_to_drop(current, *out.rules);
  }
  return out;
}

std::string first_of(const std::vector<std::string>& faults) {
  if (faults.size() < 2) {
    return faults.empty() ? "" : faults.front();
  }
  return fmt::format("{} and {} more", faults.front(), faults.size() - 1);
}

}  // namespace pannier::app
