#include "html.hpp"

#include <fmt/core.h>

#include <array>

namespace pannier::admin {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  auto out = std::to_string(number);
  for (auto place = static_cast<std::ptrdiff_t>(out.size()) - 3; place > 0; place -= 3) {
    out.insert(static_cast<std::size_t>(place), 1, ',');
  }
  return out;
}

std::string human_seconds(double seconds) {
  struct Unit {
    std::uint64_t seconds;
    const char* name;
  };

  constexpr std::array<Unit, 4> kUnits{{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  auto rest = static_cast<std::uint64_t>(seconds < 0 ? 0 : seconds);
  for (std::size_t i = 0; i + 1 < kUnits.size(); ++i) {
    if (rest >= kUnits.at(i).seconds) {
      const auto& smaller = kUnits.at(i + 1);
      return fmt::format("{} {} {} {}",
                         rest / kUnits.at(i).seconds,
                         kUnits.at(i).name,
                         rest % kUnits.at(i).seconds / smaller.seconds,
                         smaller.name);
    }
  }
  return fmt::format("{} s", rest);
}

std::string human_microseconds(double microseconds) {
  if (microseconds < 1000) {
    return fmt::format("{:.3g} µs", microseconds);
  }
  if (microseconds < 1e6) {
    return fmt::format("{:.3g} ms", microseconds / 1e3);
  }
  return fmt::format("{:.3g} s", microseconds / 1e6);
}

std::string quantile_text(const metrics::HistogramTotals& histogram, double share) {
  if (histogram.count == 0) {
    return "–";
  }
  const double wanted = share * static_cast<double>(histogram.count);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < metrics::Histogram::kBoundsUs.size(); ++i) {
    below += histogram.buckets[i];
    if (static_cast<double>(below) >= wanted) {
      return "≤ " + human_microseconds(metrics::Histogram::kBoundsUs.at(i));
    }
  }
  return "> " + human_microseconds(metrics::Histogram::kBoundsUs.back());
}

}  // namespace pannier::admin
