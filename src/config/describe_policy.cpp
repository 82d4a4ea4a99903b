#include "pannier/base/bytes.hpp"
#include "pannier/config/describe.hpp"

#include "scalars.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace pannier::config {
namespace {

constexpr std::size_t kShownGlobs = 4;

std::string shown(Milliseconds duration) {
  return duration_text(duration.count() * 1000);
}

const char* name_of(RuleMode mode) {
  switch (mode) {
    case RuleMode::Off:
      return "off";
    case RuleMode::Observe:
      return "observe";
    case RuleMode::Enforce:
      return "enforce";
  }
  return "unknown";
}

std::string shown(const CacheRules& cache) {
  auto out = fmt::format(
      "cache {} {}", shown(cache.ttl), cache.coherence == Coherence::Tracking ? "tracking" : "ttl");
  if (cache.negative.count() > 0) {
    out += ", negative " + shown(cache.negative);
  }
  out += ", values to " + base::human_bytes(cache.max_value);
  if (cache.refresh_ahead > 0) {
    out += fmt::format(", refreshed after {}%", cache.refresh_ahead);
  }
  if (cache.stale_while_revalidate.count() > 0) {
    out += ", stale while refreshed " + shown(cache.stale_while_revalidate);
  }
  if (cache.stale_if_error.count() > 0) {
    out += ", stale if error " + shown(cache.stale_if_error);
  }
  if (cache.mget) {
    out += ", MGET too";
  }
  if (cache.sample > 0) {
    out += fmt::format(", {}% of hits compared", cache.sample);
  }
  return out + (cache.mode == RuleMode::Enforce ? "" : fmt::format(" ({})", name_of(cache.mode)));
}

std::string shown(const PolicyClass& each) {
  std::string out = "class " + each.name + ":";
  const auto count = std::min(each.keys.size(), kShownGlobs);
  for (std::size_t i = 0; i < count; ++i) {
    out += " " + base::printable(each.keys[i]);
  }
  if (each.keys.size() > count) {
    out += fmt::format(" and {} more", each.keys.size() - count);
  }
  if (each.mode != RuleMode::Enforce) {
    out += std::string("; mode ") + name_of(each.mode);
  }
  if (each.reads) {
    out += std::string("; reads ") + to_string(*each.reads);
  }
  out += "; " + (each.cache ? shown(*each.cache) : "not cached");
  if (each.miss) {
    out += fmt::format(
        "; misses wait {} for a lease of {}", shown(each.miss->wait), shown(each.miss->lease));
  }
  if (each.on_error != OnError::Fail) {
    out += each.on_error == OnError::Stale ? "; on error stale" : "; on error miss";
  }
  return out;
}

}  // namespace

std::vector<std::string> describe(const Policy& policy) {
  std::vector<std::string> out;
  out.push_back(fmt::format("policy has {} {}, mode {}",
                            policy.classes.size(),
                            policy.classes.size() == 1 ? "class" : "classes",
                            name_of(policy.mode)) +
                (policy.reads ? std::string(", reads ") + to_string(*policy.reads) : ""));
  for (const auto& each : policy.classes) {
    out.push_back(shown(each));
  }
  const bool any_cache =
      std::any_of(policy.classes.begin(), policy.classes.end(), [](const PolicyClass& each) {
        return each.cache.has_value();
      });
  if (any_cache) {
    out.emplace_back(
        "ACL upstream for the near cache: +client|tracking +info +ping +get +set +touch "
        "~pannier:canary; without RESP3 also +subscribe &__redis__:invalidate; for pub/sub instead "
        "of tracking +subscribe +publish &pannier:*");
  }
  return out;
}

}  // namespace pannier::config
