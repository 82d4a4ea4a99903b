#include "pannier/policy/rules.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pannier::policy {
namespace {

// Shorter ones would bring pushes for keys of everybody; more of them cost the server a look at
// each for every write.
constexpr std::size_t kShortestPrefix = 3;
constexpr std::size_t kMostPrefixes = 16;

struct Tracked {
  ClassId id = kNoClass;
  std::vector<std::string> prefixes;
};

// A server that is given prefixes of which one begins another refuses them, or worse (coherence.md
// §1.1, fact 14), so these have none: sorted, what begins alike are neighbours.
std::vector<std::string> shortest_cover(std::vector<std::string> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  std::vector<std::string> out;
  for (auto& prefix : prefixes) {
    if (out.empty() || !prefix.starts_with(out.back())) {
      out.push_back(std::move(prefix));
    }
  }
  return out;
}

bool is_tracked(const config::PolicyClass& rules) {
  return rules.cache && rules.cache->coherence == config::Coherence::Tracking;
}

// The tracker adds a prefix of Pannier's own keys.
bool suits_broadcast(const std::string& prefix) {
  return prefix.size() >= kShortestPrefix && !prefix.starts_with(kReservedKeys) &&
         !kReservedKeys.starts_with(prefix);
}

}  // namespace

TrackingPlan plan_tracking(const Rules& rules, const std::vector<ClassId>& kept_out) {
  TrackingPlan plan;
  std::vector<Tracked> tracked;
  for (std::size_t i = 0; i < rules.policy.classes.size(); ++i) {
    const auto& each = rules.policy.classes[i];
    if (!is_tracked(each)) {
      continue;
    }
    Tracked candidate{static_cast<ClassId>(i), {}};
    for (const auto& glob : each.keys) {
      candidate.prefixes.push_back(literal_prefix(glob));
    }
    candidate.prefixes = shortest_cover(std::move(candidate.prefixes));
    const bool is_out = std::find(kept_out.begin(), kept_out.end(), candidate.id) != kept_out.end();
    if (!is_out &&
        std::all_of(candidate.prefixes.begin(), candidate.prefixes.end(), suits_broadcast)) {
      tracked.push_back(std::move(candidate));
    } else {
      plan.optin.push_back(candidate.id);
    }
  }
  // Classes with few prefixes first: most classes find room, whatever the file's order.
  std::sort(tracked.begin(), tracked.end(), [&](const Tracked& a, const Tracked& b) {
    const auto& names = rules.policy.classes;
    return std::forward_as_tuple(a.prefixes.size(), names[a.id].name) <
           std::forward_as_tuple(b.prefixes.size(), names[b.id].name);
  });
  for (const auto& each : tracked) {
    auto all = plan.prefixes;
    all.insert(all.end(), each.prefixes.begin(), each.prefixes.end());
    all = shortest_cover(std::move(all));
    if (all.size() <= kMostPrefixes) {
      plan.prefixes = std::move(all);
    } else {
      plan.optin.push_back(each.id);
    }
  }
  std::sort(plan.optin.begin(), plan.optin.end());
  return plan;
}

}  // namespace pannier::policy
