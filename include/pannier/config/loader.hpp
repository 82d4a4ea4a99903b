#pragma once

#include "pannier/config/config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

struct Issue {
  int line = 0;         // 1-based; 0 when the fault has no place (file not found)
  int column = 0;       // 1-based
  std::string path;     // "upstream.nodes[1].address"
  std::string message;  // what is wrong and what to write instead

  // "pannier.yaml:12:5: upstream.nodes[1].address: ..."
  [[nodiscard]] std::string to_string(std::string_view file) const;
};

struct LoadResult {
  std::optional<Config> config;  // empty when `errors` is not
  std::vector<Issue> errors;     // all of them, in file order
  std::vector<Issue> warnings;
  std::string policy;  // as in Config, but also when there are errors; empty: none, or unreadable
};

// What the loader asks of the machine; tests give their own.
struct Environment {
  // Value of an environment variable, or empty.
  std::optional<std::string> (*variable)(const std::string& name) = nullptr;
  // Bytes of the cgroup's memory limit and its CPU quota in cores, when there are any.
  std::optional<std::uint64_t> cgroup_memory;
  std::optional<double> cgroup_cpus;
  std::uint32_t processors = 1;  // of the machine: what `workers: auto` takes without a quota
};

[[nodiscard]] Environment real_environment();

// Parses and checks the whole text. Never throws; never returns a half-made configuration.
[[nodiscard]] LoadResult load(std::string_view yaml,
                              const std::string& directory,  // that relative file names start at
                              const Environment& environment);
[[nodiscard]] LoadResult load_file(const std::string& path, const Environment& environment);

}  // namespace pannier::config
