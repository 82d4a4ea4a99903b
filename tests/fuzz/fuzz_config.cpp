#include "pannier/config/describe.hpp"
#include "pannier/config/glob.hpp"
#include "pannier/config/loader.hpp"
#include "pannier/config/policy_loader.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

void require(bool held) {
  if (!held) {
    std::abort();
  }
}

void require_told(const std::vector<pannier::config::Issue>& errors) {
  for (const auto& issue : errors) {
    // "cannot be read" is what the loader says of an exception.
    require(!issue.message.empty() && !issue.message.starts_with("cannot be read") &&
            issue.to_string("f").find('\n') == std::string::npos);
  }
}

// Globs that were accepted match what they are told to have in common.
void try_globs(const pannier::config::Policy& policy) {
  const std::string* before = nullptr;
  for (const auto& each : policy.classes) {
    for (const auto& glob : each.keys) {
      const auto key = pannier::config::common_key(glob, before != nullptr ? *before : glob);
      require(!key || pannier::config::glob_matches(glob, *key));
      before = &glob;
    }
  }
}

}  // namespace

// Any text is either a whole file or errors, each with a message; nothing throws.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pannier::config::Environment environment{};
  environment.variable = [](const std::string& name) {
    return name.size() == 1 ? std::optional<std::string>("127.0.0.1:7001") : std::nullopt;
  };
  environment.cgroup_memory = std::uint64_t{1} << 28;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto result = pannier::config::load(text, "/nonexistent", environment);
  require(result.config.has_value() == result.errors.empty());
  require_told(result.errors);
  require(!result.config || !describe(*result.config).empty());

  const auto policy = pannier::config::load_policy(text);
  require(policy.policy.has_value() == policy.errors.empty());
  require_told(policy.errors);
  if (policy.policy) {
    require(!describe(*policy.policy).empty());
    try_globs(*policy.policy);
  }
  return 0;
}
