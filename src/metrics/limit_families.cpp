#include "families.hpp"

#include <cstddef>

namespace pannier::metrics {
namespace {

using enum FamilyType;

template <auto Member>
void per_limit(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.limits) {
    out.add(each.*Member, {{"limit", each.name}});
  }
}

void add_acting(Samples& out,
                std::string_view label,
                const std::string& name,
                const TotalByActing& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.add(counts[i], {{label, name}, {"mode", std::string(label_of(static_cast<Acting>(i)))}});
  }
}

template <auto Member>
void per_limit_and_mode(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.limits) {
    add_acting(out, "limit", each.name, each.*Member);
  }
}

template <auto Member>
void per_ttl_action(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.ttl) {
    const auto& counts = each.*Member;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      out.add(counts[i],
              {{"class", each.name}, {"action", std::string(label_of(static_cast<TtlAction>(i)))}});
    }
  }
}

void ttl_unapplied(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.ttl) {
    out.add(each.unapplied, {{"class", each.name}});
  }
}

void denied(const Snapshot& s, Samples& out) {
  for (const auto& each : s.totals.denials) {
    add_acting(out, "rule", each.name, each.denied);
  }
}

template <auto Member>
void whole(const Snapshot& s, Samples& out) {
  if (!s.totals.limits.empty()) {
    out.add(s.rules.*Member);
  }
}

void wasted(const Snapshot& s, Samples& out) {
  if (!s.totals.limits.empty()) {
    out.add(s.totals.limit_tokens_wasted);
  }
}

constexpr Family kFamilies[] = {
    {"pannier_ttl_applied_total",
     Counter,
     "What the class's rules on storing did to requests.",
     per_ttl_action<&TtlTotals::applied>},
    {"pannier_ttl_observed_total",
     Counter,
     "What they would have done, in mode observe.",
     per_ttl_action<&TtlTotals::observed>},
    {"pannier_ttl_unapplied_total",
     Counter,
     "Commands of Pannier's own behind stores that failed or were lost: the key has no TTL yet.",
     ttl_unapplied},
    {"pannier_limit_admitted_total",
     Counter,
     "Requests that the rate limit let pass; mode observe: would have.",
     per_limit_and_mode<&LimitTotals::admitted>},
    {"pannier_limit_refused_total",
     Counter,
     "Requests that the rate limit refused; mode observe: would have.",
     per_limit_and_mode<&LimitTotals::refused>},
    {"pannier_limit_asks_total",
     Counter,
     "Times that the primary was asked for tokens of a limit with scope fleet.",
     per_limit<&LimitTotals::asks>},
    {"pannier_limit_leased_tokens_total",
     Counter,
     "Tokens of a limit with scope fleet that the primary lent to this sidecar.",
     per_limit<&LimitTotals::leased>},
    {"pannier_limit_waits_total",
     Counter,
     "Requests that waited for the primary's answer, as no lent token was there.",
     per_limit<&LimitTotals::waits>},
    {"pannier_limit_errors_total",
     Counter,
     "Times that the primary gave no answer, so that on_upstream_error counted.",
     per_limit<&LimitTotals::errors>},
    {"pannier_limit_wasted_tokens_total",
     Counter,
     "Lent tokens of all limits that nobody used in time.",
     wasted},
    {"pannier_limit_entries",
     Gauge,
     "Subjects of rate limits that are not back to their full burst.",
     whole<&RulesState::entries>},
    {"pannier_limit_evictions_total",
     Counter,
     "Subjects of rate limits that began anew because there was no room.",
     whole<&RulesState::evictions>},
    {"pannier_denied_total",
     Counter,
     "Requests that a denial refused; mode observe: would have.",
     denied},
};

}  // namespace

std::span<const Family> limit_families() {
  return kFamilies;
}

}  // namespace pannier::metrics
