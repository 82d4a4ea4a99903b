#pragma once

#include "pannier/command/command.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Requests that took long, as SLOWLOG shows them: Redis's format, with where the time went as three
// extra arguments at the end. Pure.
namespace pannier::proxy {

struct SlowEntry {
  std::uint64_t id = 0;  // given by Slowlog::add
  std::int64_t unix_seconds = 0;
  std::chrono::microseconds total{};
  std::chrono::microseconds queue{};     // before its bytes left
  std::chrono::microseconds upstream{};  // from then to its reply
  std::vector<std::string> arguments;    // of slow_arguments
  std::string client_address;
  std::string client_name;
  std::string node;  // empty: answered by Pannier
};

// The last slow requests of one worker; the oldest leave first. Used on its worker's thread only.
class Slowlog {
 public:
  explicit Slowlog(std::size_t max_entries) : max_entries_(max_entries) {}

  // Gives it an id that no entry of any worker has or had.
  void add(SlowEntry entry);

  [[nodiscard]] std::vector<SlowEntry> entries() const {
    return {entries_.begin(), entries_.end()};
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // Ids go on, as in Redis.
  void reset() { entries_.clear(); }

 private:
  std::size_t max_entries_;
  std::deque<SlowEntry> entries_;  // newest first
};

// What may be remembered of a request: its name, subcommand and keys (cut at 64 bytes), of other
// arguments only the length; at most 32 arguments.
[[nodiscard]] std::vector<std::string> slow_arguments(const command::CommandSpec& row,
                                                      std::span<const std::string_view> arguments);

// All workers' entries, newest first.
[[nodiscard]] std::vector<SlowEntry> merge_slow_entries(
    std::vector<std::vector<SlowEntry>>&& parts);

// The reply to SLOWLOG GET; a negative count means all.
void append_slowlog(std::string& out, std::span<const SlowEntry> newest_first, std::int64_t count);

}  // namespace pannier::proxy
