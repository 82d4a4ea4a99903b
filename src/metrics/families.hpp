#pragma once

#include "pannier/metrics/snapshot.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::metrics {

enum class FamilyType : std::uint8_t {
  Counter,
  Gauge,
  Histogram
};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

// One line of a family, or for a histogram its set of lines.
struct Sample {
  Labels labels;
  double value = 0;           // of a counter or gauge
  HistogramTotals histogram;  // of a histogram
};

// Where a family puts its samples.
class Samples {
 public:
  template <typename Number>
  void add(Number value, Labels labels = {}) {
    all_.push_back(Sample{std::move(labels), static_cast<double>(value), {}});
  }

  void add_histogram(const HistogramTotals& histogram, Labels labels) {
    all_.push_back(Sample{std::move(labels), 0, histogram});
  }

  [[nodiscard]] const std::vector<Sample>& all() const { return all_; }

 private:
  std::vector<Sample> all_;
};

// One row per metric family. Label values come from closed sets: reasons, command rows, configured
// nodes; never from keys, clients or raw requests.
struct Family {
  std::string_view name;
  FamilyType type;
  std::string_view help;
  void (*collect)(const Snapshot& snapshot, Samples& out);
};

[[nodiscard]] std::span<const Family> families();
// Those of the near cache, its classes and its coherence; `families` has them too.
[[nodiscard]] std::span<const Family> near_cache_families();
// Those of rate limits, denials and TTL rules.
[[nodiscard]] std::span<const Family> limit_families();
// Those of reads while upstream is away, and of rehearsals of that.
[[nodiscard]] std::span<const Family> away_families();
// Those of name look-ups.
[[nodiscard]] std::span<const Family> dns_families();
// Those of breakers and of the primary's outages.
[[nodiscard]] std::span<const Family> failover_families();
// Those of the policy's file.
[[nodiscard]] std::span<const Family> policy_families();

}  // namespace pannier::metrics
