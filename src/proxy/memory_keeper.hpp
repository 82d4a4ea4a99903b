#pragma once

#include "pannier/base/memory_budget.hpp"
#include "pannier/proxy/context.hpp"

#include <cstddef>

namespace pannier::proxy {

// Keeps one worker within the process's budget: reports what it holds, and does what the level of
// memory asks for. Owned by the worker, on its thread.
//
// What holds memory, and where each of these stops:
//   input of a session that waits, or half a request   64 KiB and one read; larger ones stream
//   output of a session                                Session::most_output, output_limits
//   replies that wait for earlier ones                 counted with its output
//   requests in flight of a session                    Session::max_pending
//   lane: requests without an answer                   Connection::kFull, before the handshake too
//   large request: bytes that are not sent             Connection::is_over_high_water
//   part of a reply or push that is seen whole         Pipeline::kMostKept, kMostCollected
//   reply that a flight collects                       its class's max_value
//   reads that wait for a lease                        one request each, Session::max_pending
//   lines of MONITOR                                   output_limits.pubsub
//   near cache                                         its budget, which shrinks
// Above all of them is the budget: at Tight windows are small, at Full nothing new begins for those
// who hold something, and who holds the most is closed until there is room; when that is not enough
// for 5 s, also those who hold half a request each.
class MemoryKeeper {
 public:
  explicit MemoryKeeper(Context& context) : context_(&context) {}

  // When everything of the turn was written.
  void end_turn();
  // Gives idle memory back to the system where it is worth it; called now and then.
  void give_back(bool many_left);

 private:
  [[nodiscard]] base::MemoryHeld count();
  void report();
  void note_level(base::MemoryLevel now);
  void give_back_soon();
  void look_again_soon();
  void see_to_cache();
  void resize_cache();
  void trim();
  void relieve();
  void close_largest(std::size_t excess);
  void log_closed(const Session& session);
  void wake_others();

  Context* context_;
  std::size_t upstream_blocks_ = 0;  // of the queues to nodes, when it was counted last
  std::size_t most_held_ = 0;        // since memory was given back last
  base::MemoryLevel level_ = base::MemoryLevel::Normal;
  base::MemoryLevel logged_ = base::MemoryLevel::Normal;
  bool has_read_ = false;  // this turn
  bool gives_back_ = false;
  bool looks_again_ = false;
  base::TimePoint next_report_{};
  std::size_t reported_held_ = 0;
  base::TimePoint next_trim_{};
  base::Duration trim_pause_{};
  base::TimePoint next_resize_{};
  base::TimePoint next_log_{};
  base::TimePoint next_closed_log_{};
  base::TimePoint full_since_{};
};

// True, and it was answered: memory is used up, and the session has something under way already.
// One that asks, reads the answer and asks again is served.
[[nodiscard]] bool refused_for_memory(Context& context,
                                      Session& session,
                                      const command::CommandSpec& row);

}  // namespace pannier::proxy
