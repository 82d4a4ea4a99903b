#include "pannier/base/clock.hpp"

#include "families.hpp"

#include <chrono>
#include <cstddef>

namespace pannier::metrics {
namespace {

using enum FamilyType;

void lookups(const Snapshot& s, Samples& out) {
  for (std::size_t i = 0; !s.dns.names.empty() && i < s.dns.lookups.size(); ++i) {
    out.add(s.dns.lookups[i], {{"result", std::string(label_of(static_cast<DnsResult>(i)))}});
  }
}

void age(const Snapshot& s, Samples& out) {
  const auto now = base::Clock::now();
  for (const DnsName& name : s.dns.names) {
    if (name.good_at) {
      out.add(std::chrono::duration<double>(now - *name.good_at).count(), {{"name", name.name}});
    }
  }
}

constexpr Family kFamilies[] = {
    {"pannier_dns_lookups_total",
     Counter,
     "Questions for the names of upstream, by what came of them.",
     lookups},
    {"pannier_dns_age_seconds",
     Gauge,
     "Time since the last good answer for a name; it stays in use when later questions fail.",
     age},
};

}  // namespace

std::string_view label_of(DnsResult result) {
  switch (result) {
    case DnsResult::Found:
      return "found";
    case DnsResult::NotFound:
      return "not_found";
    case DnsResult::Failed:
      return "failed";
    case DnsResult::TimedOut:
      return "timed_out";
    case DnsResult::kCount:
      break;
  }
  return "unknown";
}

std::span<const Family> dns_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
