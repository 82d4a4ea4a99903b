#include "costs.hpp"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace pannier::bench {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> threads_of(int pid) {
  std::vector<fs::path> threads;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    threads.push_back(entry.path());
  }
  return threads;
}

// The process and all that descend from it.
std::vector<int> family_of(int pid) {
  std::vector<int> family{pid};
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const fs::path& thread : threads_of(family[i])) {
      std::ifstream children(thread / "children");
      for (int child = 0; children >> child;) {
        family.push_back(child);
      }
    }
  }
  return family;
}

// A kernel without schedstat has only ticks.
std::uint64_t ticks_ns(const fs::path& thread) {
  std::ifstream file(thread / "stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) {
    fields >> skipped;
  }
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  fields >> user >> system;
  return (user + system) * (1'000'000'000ULL / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

std::uint64_t cpu_ns(int pid) {
  std::uint64_t sum = 0;
  for (const int member : family_of(pid)) {
    for (const fs::path& thread : threads_of(member)) {
      std::ifstream file(thread / "schedstat");
      std::uint64_t ran = 0;
      sum += file >> ran ? ran : ticks_ns(thread);
    }
  }
  return sum;
}

std::uint64_t status_kib(int pid, const std::string& field) {
  std::uint64_t sum = 0;
  for (const int member : family_of(pid)) {
    std::ifstream file("/proc/" + std::to_string(member) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(field)) {
        sum += std::stoull(line.substr(field.size()));
      }
    }
  }
  return sum;
}

std::optional<std::uint64_t> system_call_tracepoint() {
  for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::ifstream file(std::string(root) + "/events/raw_syscalls/sys_enter/id");
    if (std::uint64_t id = 0; file >> id) {
      return id;
    }
  }
  return std::nullopt;
}

int open_counter(int thread, perf_event_attr attributes) {
  attributes.size = sizeof attributes;
  attributes.disabled = 1;
  attributes.inherit = 1;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, 0));
}

}  // namespace

Costs::Costs(std::vector<int> pids, bool events) : events_(events), costs_(pids.size()) {
  for (std::size_t i = 0; i < pids.size(); ++i) {
    costs_[i].pid = pids[i];
  }
}

Costs::~Costs() {
  for (const Counter& counter : counters_) {
    ::close(counter.fd);
  }
}

void Costs::begin() {
  for (std::size_t i = 0; i < costs_.size(); ++i) {
    if (events_) {
      open_counters(i, Event::SystemCalls);
      open_counters(i, Event::UserInstructions);
    }
    costs_[i].cpu_ns = cpu_ns(costs_[i].pid);
  }
  for (const Counter& counter : counters_) {
    ::ioctl(counter.fd, PERF_EVENT_IOC_ENABLE, 0);
  }
}

void Costs::open_counters(std::size_t process, Event event) {
  perf_event_attr attributes{};
  if (event == Event::SystemCalls) {
    const auto tracepoint = system_call_tracepoint();
    if (!tracepoint) {
      return;
    }
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.config = *tracepoint;
  } else {
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
  }
  for (const int member : family_of(costs_[process].pid)) {
    for (const fs::path& thread : threads_of(member)) {
      const int fd = open_counter(std::stoi(thread.filename().string()), attributes);
      if (fd >= 0) {
        counters_.push_back({fd, process, event});
      }
    }
  }
}

void Costs::end() {
  for (const Counter& counter : counters_) {
    ::ioctl(counter.fd, PERF_EVENT_IOC_DISABLE, 0);
  }
  for (Cost& cost : costs_) {
    cost.cpu_ns = cpu_ns(cost.pid) - cost.cpu_ns;
    cost.rss_kib = status_kib(cost.pid, "VmRSS:");
    cost.peak_kib = status_kib(cost.pid, "VmHWM:");
  }
  for (const Counter& counter : counters_) {
    std::uint64_t count = 0;
    if (::read(counter.fd, &count, sizeof count) == sizeof count) {
      Cost& cost = costs_[counter.process];
      auto& sum = counter.event == Event::SystemCalls ? cost.system_calls : cost.user_instructions;
      sum = sum.value_or(0) + count;
    }
  }
}

}  // namespace pannier::bench
