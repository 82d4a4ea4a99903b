#pragma once

#include "pannier/base/clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::metrics {

// What came of asking for a name.
enum class DnsResult : std::uint8_t {
  Found,
  NotFound,  // the name, or an address of it, does not exist
  Failed,    // the servers refuse, fail or cannot be reached
  TimedOut,
  kCount
};

// A name of the configuration that has to be looked up.
struct DnsName {
  std::string name;                        // as configured: host:port
  std::optional<base::TimePoint> good_at;  // the last good answer; empty: none yet
};

struct DnsState {
  std::array<std::uint64_t, static_cast<std::size_t>(DnsResult::kCount)> lookups{};
  std::vector<DnsName> names;
};

// The label values: "found", "not_found", "failed", "timed_out".
[[nodiscard]] std::string_view label_of(DnsResult result);

}  // namespace pannier::metrics
