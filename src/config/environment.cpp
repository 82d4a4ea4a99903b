#include "environment.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/config/loader.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace pannier::config {
namespace {

// Version 1 says "no limit" with a number near 2^63.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;

template <typename T>
void keep_smaller(std::optional<T>& out, T value) {
  out = out ? std::min(*out, value) : value;
}

// The words of a file's first line; "max" and what cannot be read are no numbers.
std::vector<std::optional<std::int64_t>> numbers_in(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::vector<std::optional<std::int64_t>> out;
  if (std::getline(file, line)) {
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      out.push_back(base::parse_int(word));
    }
  }
  return out;
}

std::optional<std::int64_t> number_in(const std::string& path) {
  const auto numbers = numbers_in(path);
  return numbers.empty() ? std::nullopt : numbers.front();
}

void add_memory(std::optional<std::int64_t> bytes, CgroupLimits& out) {
  if (bytes && *bytes > 0 && *bytes < kNoLimit) {
    keep_smaller(out.memory, static_cast<std::uint64_t>(*bytes));
  }
}

void add_cpus(std::optional<std::int64_t> quota,
              std::optional<std::int64_t> period,
              CgroupLimits& out) {
  if (quota && period && *quota > 0 && *period > 0) {
    keep_smaller(out.cpus, static_cast<double>(*quota) / static_cast<double>(*period));
  }
}

void read_v2(const std::string& folder, CgroupLimits& out) {
  add_memory(number_in(folder + "/memory.max"), out);
  const auto cpu = numbers_in(folder + "/cpu.max");
  if (cpu.size() == 2) {
    add_cpus(cpu[0], cpu[1], out);
  }
}

void read_v1_memory(const std::string& folder, CgroupLimits& out) {
  add_memory(number_in(folder + "/memory.limit_in_bytes"), out);
}

void read_v1_cpu(const std::string& folder, CgroupLimits& out) {
  add_cpus(number_in(folder + "/cpu.cfs_quota_us"), number_in(folder + "/cpu.cfs_period_us"), out);
}

// `group` and all above it: a limit of a parent holds for us too, and in a container the path of
// the host may not exist, but the mount's top is our own group.
void read_upwards(const std::string& mount,
                  std::string group,
                  void (*read)(const std::string&, CgroupLimits&),
                  CgroupLimits& out) {
  while (group.size() > 1) {
    read(mount + group, out);
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  read(mount, out);
}

std::optional<std::string> variable(const std::string& name) {
  // Read before any thread starts; nothing here ever writes the environment.
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

CgroupLimits read_cgroup_limits(const std::string& root) {
  CgroupLimits v2;
  CgroupLimits v1;
  const auto mount = root + "/sys/fs/cgroup";
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/path" or "4:cpu,cpuacct:/path"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const auto group = line.substr(second + 1);
    if (controllers == ",,") {
      read_upwards(mount, group, read_v2, v2);
    } else if (controllers.find(",memory,") != std::string::npos) {
      read_upwards(mount + "/memory", group, read_v1_memory, v1);
    } else if (controllers.find(",cpu,") != std::string::npos) {
      read_upwards(mount + "/cpu", group, read_v1_cpu, v1);
    }
  }
  return CgroupLimits{v2.memory ? v2.memory : v1.memory, v2.cpus ? v2.cpus : v1.cpus};
}

Environment real_environment() {
  const auto limits = read_cgroup_limits("");
  Environment environment{variable, limits.memory, limits.cpus, 1};
  environment.processors = std::max(1U, std::thread::hardware_concurrency());
  return environment;
}

}  // namespace pannier::config
