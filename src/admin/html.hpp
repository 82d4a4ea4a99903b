#pragma once

#include "pannier/metrics/snapshot.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// Words and numbers for people. Pure.
namespace pannier::admin {

// Safe as HTML text and inside a quoted attribute.
[[nodiscard]] std::string escaped(std::string_view text);
// 1234567 -> "1,234,567"
[[nodiscard]] std::string grouped(std::uint64_t number);
// 93784 s -> "1 d 2 h"; the two largest units
[[nodiscard]] std::string human_seconds(double seconds);
// 1500 -> "1.5 ms"
[[nodiscard]] std::string human_microseconds(double microseconds);
// The bound under which `share` of the observations lie: "≤ 250 µs"; "–" when there are none.
[[nodiscard]] std::string quantile_text(const metrics::HistogramTotals& histogram, double share);

}  // namespace pannier::admin
