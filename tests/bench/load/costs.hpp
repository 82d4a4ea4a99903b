#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pannier::bench {

/// What processes that are not ours spend between begin() and end(), each with all its threads and
/// children, as /proc and perf_event_open tell.
class Costs {
 public:
  struct Cost {
    int pid = 0;
    std::uint64_t cpu_ns = 0;
    std::uint64_t rss_kib = 0;                  // at the end
    std::uint64_t peak_kib = 0;                 // since the process began
    std::optional<std::uint64_t> system_calls;  // none where they cannot be counted
    std::optional<std::uint64_t> user_instructions;
  };

  /// `events`: also system calls and user instructions, which makes system calls of the whole
  /// machine slower. Threads that begin later are counted, processes that begin later are not.
  Costs(std::vector<int> pids, bool events);
  ~Costs();
  Costs(const Costs&) = delete;
  Costs& operator=(const Costs&) = delete;

  void begin();
  void end();

  const std::vector<Cost>& costs() const { return costs_; }

 private:
  enum class Event {
    SystemCalls,
    UserInstructions,
  };

  struct Counter {
    int fd = -1;
    std::size_t process = 0;
    Event event = Event::SystemCalls;
  };

  void open_counters(std::size_t process, Event event);

  bool events_;
  std::vector<Cost> costs_;
  std::vector<Counter> counters_;
};

}  // namespace pannier::bench
