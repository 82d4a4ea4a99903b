#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pannier::config {

struct CgroupLimits {
  std::optional<std::uint64_t> memory;  // bytes
  std::optional<double> cpus;
};

// What /proc/self/cgroup and /sys/fs/cgroup below `root` ("" for the machine's own) say: the
// tightest limit from our group upwards, version 2 first, version 1 where that says nothing.
[[nodiscard]] CgroupLimits read_cgroup_limits(const std::string& root);

}  // namespace pannier::config
