#include "families.hpp"

#include <cstddef>

namespace pannier::metrics {
namespace {

using enum FamilyType;

void add_answers(Samples& out,
                 const AwayTotals& each,
                 Acting acting,
                 const decltype(AwayTotals::answers)& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.add(counts[i],
            {{"class", each.name},
             {"answer", std::string(label_of(static_cast<AwayAnswer>(i)))},
             {"mode", std::string(label_of(acting))}});
  }
}

void answers(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.away) {
    add_answers(out, each, Acting::Enforce, each.answers);
    add_answers(out, each, Acting::Observe, each.observed);
  }
}

template <auto Member>
void per_class(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.away) {
    out.add(each.*Member, {{"class", each.name}});
  }
}

// Not there without one: nobody is to look for rehearsals where there are none.
void rehearsals(const Snapshot& s, Samples& out) {
  if (!s.faults.empty()) {
    out.add(s.faults.size());
  }
}

constexpr Family kFamilies[] = {
    {"pannier_away_answers_total",
     Counter,
     "Reads that on_error answered while upstream was away, or with mode observe would have "
     "answered. nil: \"no such key\" without knowing; capped: refused, because so many clients "
     "were at their database already.",
     answers},
    {"pannier_miss_cap_waits_total",
     Counter,
     "Misses that waited because miss.concurrent clients were at their database already.",
     per_class<&AwayTotals::miss_waits>},
    {"pannier_miss_over_cap_total",
     Counter,
     "Misses that were told to the client all the same, after miss.wait.",
     per_class<&AwayTotals::miss_over_cap>},
    {"pannier_faults_active",
     Gauge,
     "Rehearsals that are on: requests fail on purpose. Missing when there are none.",
     rehearsals},
};

}  // namespace

std::span<const Family> away_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
