#pragma once

#include "pannier/metrics/snapshot.hpp"

#include "info_section.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

// The near cache and its coherence in words, for INFO, PANNIER STATS and PANNIER TOPOLOGY. Pure.
namespace pannier::proxy {

// `node_names` by node id.
void add_near_cache_fields(InfoFields& fields,
                           const metrics::NearCacheState& state,
                           std::span<const metrics::ClassTotals> classes,
                           std::span<const std::string> node_names);

// Lines of STATS: the whole, then one per class.
[[nodiscard]] std::string near_cache_lines(const metrics::NearCacheState& state,
                                           std::span<const metrics::ClassTotals> classes);

// A line of STATS per class: what its reads got while upstream was away, and its misses over the
// cap.
[[nodiscard]] std::string away_lines(std::span<const metrics::AwayTotals> classes);

// A line of TOPOLOGY. The reason comes last: it may hold spaces.
[[nodiscard]] std::string coherence_line(std::string_view node,
                                         const metrics::NodeCoherence& coherence);

}  // namespace pannier::proxy
