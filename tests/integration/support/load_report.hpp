#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pannier::test {

// What the strict load asks for, as far as more or less is promised of it.
enum class Asked : std::uint8_t {
  Read,        // of keys that nobody writes, in sessions that only read
  ReadBehind,  // the same in sessions that write too: it may wait behind a write
  Fresh,       // of keys that are being written
  Write,
  Local,  // what Pannier answers itself
  Count
};

enum class Answer : std::uint8_t {
  Ok,
  Nil,         // of a key that is there: a failed read
  NotSent,     // -UPSTREAM ... (not sent)
  MayHaveRun,  // -UPSTREAM ... (may have run)
  OtherError,
  ConnectionLost,
  Count
};

struct LoadRecord {
  using TimePoint = std::chrono::steady_clock::time_point;

  TimePoint sent;
  TimePoint answered;
  Asked asked = Asked::Read;
  Answer answer = Answer::Ok;
};

// All requests that were answered within one phase of a test.
class LoadReport {
 public:
  using TimePoint = LoadRecord::TimePoint;
  using Milliseconds = std::chrono::duration<double, std::milli>;

  explicit LoadReport(TimePoint start = {}) : start_(start) {}

  void add(const LoadRecord& record);
  void add_error(const std::string& text);

  [[nodiscard]] std::size_t requests(Asked asked) const;
  [[nodiscard]] std::size_t count(Asked asked, Answer answer) const;
  // All that were not answered as they should be.
  [[nodiscard]] std::size_t failures(Asked asked) const;
  // In ms; 0 without requests.
  [[nodiscard]] double percentile(Asked asked, double part) const;
  // From `from` to the first success that came later, of a request that was sent later too if
  // `sent_later`.
  [[nodiscard]] std::optional<Milliseconds> first_success(Asked asked,
                                                          TimePoint from,
                                                          bool sent_later = false) const;
  // From the phase's beginning to the last failure; 0 without one.
  [[nodiscard]] Milliseconds last_failure(Asked asked) const;
  // The longest time without a success, between two of them.
  [[nodiscard]] Milliseconds longest_gap(Asked asked) const;
  // Whether requests that were sent from then on were answered, and none has failed since.
  [[nodiscard]] bool is_calm_since(TimePoint from) const;

  // One line for each kind of request that there was, and the first errors.
  [[nodiscard]] std::string text(const std::string& phase) const;

 private:
  TimePoint start_;
  std::vector<LoadRecord> records_;
  std::vector<std::string> errors_;  // a few
};

}  // namespace pannier::test
