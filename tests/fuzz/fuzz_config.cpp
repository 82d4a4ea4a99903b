#include "pannier/config/describe.hpp"
#include "pannier/config/loader.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

// Any text is either a whole configuration or errors, each with a message; it never throws.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pannier::config::Environment environment{};
  environment.variable = [](const std::string& name) {
    return name.size() == 1 ? std::optional<std::string>("127.0.0.1:7001") : std::nullopt;
  };
  environment.cgroup_memory = std::uint64_t{1} << 28;
  const auto result = pannier::config::load(
      std::string_view(reinterpret_cast<const char*>(data), size), "/nonexistent", environment);
  if (result.config.has_value() == !result.errors.empty()) {
    std::abort();
  }
  for (const auto& issue : result.errors) {
    // "cannot be read" is what the loader says of an exception.
    if (issue.message.empty() || issue.message.starts_with("cannot be read") ||
        issue.to_string("f").find('\n') != std::string::npos) {
      std::abort();
    }
  }
  if (result.config && describe(*result.config).empty()) {
    std::abort();
  }
  return 0;
}
