#pragma once

#include "pannier/base/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::cache {

// The most used keys of one worker: space-saving top-K (Metwally et al., ICDT'05). It keeps K
// counters whatever the number of keys; a key with more than 1/K of all notes is surely among them,
// and a count is too high by at most `error`. Fed with a sample of the requests. Counts halve every
// minute, so that yesterday's keys leave. Used on its worker's thread.
class HotKeys {
 public:
  struct Entry {
    std::string key;
    std::uint64_t count = 0;  // weighted, as noted
    std::uint64_t error = 0;
    std::uint64_t bytes = 0;  // of replies, weighted too, since the key is among the counted
    double per_second = 0;    // over the time that counts cover
  };

  // REQUIRES: capacity > 0
  explicit HotKeys(std::size_t capacity);

  // `weight`: how many requests this sample stands for. Longer keys than kMaxKey are cut. A key
  // that is among the counted costs one lookup and a few steps of the heap, another one a second
  // lookup.
  void note(std::string_view key, std::uint64_t bytes, std::uint32_t weight, base::TimePoint now);

  // The most used first.
  [[nodiscard]] std::vector<Entry> top(std::size_t most, base::TimePoint now) const;

  static constexpr std::size_t kMaxKey = 256;

 private:
  static constexpr base::Duration kHalfLife = std::chrono::minutes(1);

  struct Counter {
    std::uint64_t count = 0;
    std::uint64_t error = 0;
    std::uint64_t bytes = 0;
    std::size_t place = 0;  // in heap_
  };

  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's name
    std::size_t operator()(std::string_view key) const;
  };

  using Counters = std::unordered_map<std::string, Counter, Hash, std::equal_to<>>;
  using Counted = Counters::value_type;

  [[nodiscard]] Counted& counted(std::string_view key);
  // Its count grew.
  void sink(Counted& counted);
  void put(Counted& counted, std::size_t place);
  [[nodiscard]] std::uint32_t halvings(base::TimePoint now) const;
  [[nodiscard]] double covered_after(std::uint32_t halvings) const;
  void decay(base::TimePoint now);

  std::size_t capacity_;
  Counters counters_;
  std::vector<Counted*> heap_;  // the least count first
  base::TimePoint period_start_{};
  double covered_seconds_ = 0;  // before the period, weighted as the counts are
};

}  // namespace pannier::cache
