#include "pannier/metrics/snapshot.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

namespace pannier::metrics {
namespace {

std::string read_all(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Fields 3 to 24 of /proc/self/stat, see proc(5).
struct StatFields {
  std::array<std::uint64_t, 25> by_number{};

  [[nodiscard]] std::uint64_t operator[](std::size_t number) const { return by_number.at(number); }
};

StatFields read_stat() {
  StatFields out;
  const auto text = read_all("/proc/self/stat");
  // The second field is the program's name in brackets, and may hold anything, brackets too.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) {
    return out;
  }
  std::istringstream rest(text.substr(name_end + 1));
  std::string state;
  rest >> state;
  for (std::size_t number = 4; number < out.by_number.size(); ++number) {
    std::int64_t value = 0;
    rest >> value;
    out.by_number.at(number) = value < 0 ? 0 : static_cast<std::uint64_t>(value);
  }
  return out;
}

double seconds_since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double seconds_since_1970() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::uint64_t count_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
  if (!directory) {
    return 0;
  }
  std::uint64_t entries = 0;
  while (::readdir(directory.get()) != nullptr) {
    ++entries;
  }
  constexpr std::uint64_t kNotCounted = 3;  // ".", ".." and the directory itself
  return entries > kNotCounted ? entries - kNotCounted : 0;
}

}  // namespace

ProcessStats read_process_stats() {
  constexpr std::size_t kUserTime = 14;
  constexpr std::size_t kSystemTime = 15;
  constexpr std::size_t kStartTime = 22;
  constexpr std::size_t kVirtualBytes = 23;
  constexpr std::size_t kResidentPages = 24;
  const auto fields = read_stat();
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  ProcessStats out;
  out.cpu_seconds = static_cast<double>(fields[kUserTime] + fields[kSystemTime]) / ticks;
  out.uptime_seconds =
      std::max(0.0, seconds_since_boot() - static_cast<double>(fields[kStartTime]) / ticks);
  // Worked out once: a wall clock that is set later must not look like a restart.
  static const double start_time = seconds_since_1970() - out.uptime_seconds;
  out.start_time_seconds = start_time;
  out.virtual_bytes = fields[kVirtualBytes];
  out.resident_bytes = fields[kResidentPages] * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  out.open_fds = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.max_fds = limit.rlim_cur;
  }
  return out;
}

}  // namespace pannier::metrics
