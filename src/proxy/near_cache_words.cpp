#include "near_cache_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace pannier::proxy {
namespace {

using metrics::ClassTotals;

std::string ratio_text(const ClassTotals& totals) {
  return fmt::format("{:.4f}", totals.hit_ratio().value_or(0));
}

// "1234", or "unknown".
std::string text_of(const std::optional<double>& seconds, double unit) {
  return seconds ? fmt::format("{:.0f}", *seconds / unit) : "unknown";
}

std::string class_line(const ClassTotals& each) {
  const std::array<std::pair<std::string_view, std::uint64_t>, 22> figures{{
      {"hits", each.hits},
      {"negative_hits", each.negative_hits},
      {"stale_hits", each.stale_hits},
      {"error_hits", each.error_hits},
      {"misses", each.all_misses()},
      {"joins", each.joins},
      {"fills", each.fills},
      {"doomed", each.doomed},
      {"too_large", each.too_large},
      {"refreshes", each.refreshes},
      {"invalidations", each.invalidations},
      {"lease_grants", each.lease_grants},
      {"lease_waits", each.lease_waits},
      {"shadow_hits", each.shadow_hits},
      {"shadow_misses", each.shadow_misses},
      {"shadow_stale", each.shadow_stale},
      {"sampled", each.sampled},
      {"observed_stale", each.observed_stale},
      {"bytes", each.use.bytes},
      {"entries", each.use.entries},
      {"evictions", each.use.evictions},
      {"expirations", each.use.expirations},
  }};
  std::string out = fmt::format("class: {} hit_ratio={}", each.name, ratio_text(each));
  for (const auto& [name, value] : figures) {
    out += fmt::format(" {}={}", name, value);
  }
  return out + "\n";
}

}  // namespace

void add_near_cache_fields(InfoFields& fields,
                           const metrics::NearCacheState& state,
                           std::span<const ClassTotals> classes,
                           std::span<const std::string> node_names) {
  ClassTotals all;
  for (const ClassTotals& each : classes) {
    all += each;
  }
  const auto add = [&fields](std::string_view name, auto value) {
    fields.emplace_back(name, fmt::format("{}", value));
  };
  add("near_cache_bytes", state.used_bytes);
  add("near_cache_budget", state.budget_bytes);
  add("near_cache_entries", state.entries);
  add("near_cache_hits", all.hits);
  add("near_cache_negative_hits", all.negative_hits);
  add("near_cache_stale_hits", all.stale_hits);
  add("near_cache_error_hits", all.error_hits);
  add("near_cache_misses", all.all_misses());
  add("near_cache_hit_ratio", ratio_text(all));
  add("near_cache_joins", all.joins);
  add("near_cache_bypass_seconds", fmt::format("{:.0f}", state.bypass_seconds));
  for (std::size_t i = 0; i < std::min(state.nodes.size(), node_names.size()); ++i) {
    fields.emplace_back(fmt::format("tracking_{}", i),
                        fmt::format("node={},rung={},reason={}",
                                    node_names[i],
                                    state.nodes[i].rung,
                                    state.nodes[i].reason));
  }
}

std::string near_cache_lines(const metrics::NearCacheState& state,
                             std::span<const ClassTotals> classes) {
  std::string out =
      fmt::format("near_cache: workers=all bytes={} budget={} entries={} bypass_seconds={:.0f}\n",
                  state.used_bytes,
                  state.budget_bytes,
                  state.entries,
                  state.bypass_seconds);
  for (const ClassTotals& each : classes) {
    out += class_line(each);
  }
  return out;
}

std::string away_lines(std::span<const metrics::AwayTotals> classes) {
  std::string out;
  for (const metrics::AwayTotals& each : classes) {
    out += fmt::format("away: {}", each.name);
    for (const auto& [prefix, counts] :
         {std::pair("", each.answers), std::pair("would_be_", each.observed)}) {
      for (std::size_t i = 0; i < counts.size(); ++i) {
        out += fmt::format(
            " {}{}={}", prefix, label_of(static_cast<metrics::AwayAnswer>(i)), counts.at(i));
      }
    }
    out += fmt::format(" miss_waits={} miss_over_cap={}\n", each.miss_waits, each.miss_over_cap);
  }
  return out;
}

std::string coherence_line(std::string_view node, const metrics::NodeCoherence& coherence) {
  constexpr double kMillisecond = 1e-3;
  constexpr double kMicrosecond = 1e-6;
  return fmt::format(
      "coherence: {} rung={} invalidated_keys={} flushes={} losses={} canary_age_ms={} "
      "canary_lag_us={}{}{}\n",
      node,
      coherence.rung,
      coherence.keys,
      coherence.flushes,
      coherence.losses,
      text_of(coherence.canary_age_seconds, kMillisecond),
      text_of(coherence.canary_lag_seconds, kMicrosecond),
      coherence.reason.empty() ? "" : " reason=",
      coherence.reason);
}

}  // namespace pannier::proxy
