#include "pannier/metrics/snapshot.hpp"

#include "pannier/base/clock.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace pannier::metrics {
namespace {

constexpr std::string_view kOther = "other";

// In the order of the enumerations; the assertions below make an addition show here.
constexpr std::array<std::string_view, 10> kCloseReasons{"client",
                                                         "protocol",
                                                         "security",
                                                         "max_clients",
                                                         "upstream_lost",
                                                         "stalled",
                                                         "output_limit",
                                                         "killed",
                                                         "drain",
                                                         "memory"};
constexpr std::array<std::string_view, 7> kRefusals{
    "not_sent", "may_have_run", "denied", "pinned_wait", "auth", "throttled", "memory"};
constexpr std::array<std::string_view, static_cast<std::size_t>(RetryReason::kCount)> kRetries{
    "refused", "not_sent", "lost", "silent", "order"};
constexpr std::array<std::string_view, 2> kPinnedStates{"idle", "used"};
constexpr std::array<std::string_view, 6> kMisses{
    "absent", "unproven", "bypass", "strong", "write_busy", "uncachable"};
constexpr std::array<std::string_view, 2> kActing{"observe", "enforce"};
constexpr std::array<std::string_view, 5> kLeaseEnds{
    "filled", "timed_out", "pipelined", "passed", "no_wait"};
constexpr std::array<std::string_view, 3> kReloadResults{"changed", "unchanged", "failed"};

static_assert(kCloseReasons.size() == static_cast<std::size_t>(CloseReason::kCount));
static_assert(kReloadResults.size() == static_cast<std::size_t>(ReloadResult::kCount));
static_assert(kRefusals.size() == static_cast<std::size_t>(Refusal::kCount));
static_assert(kPinnedStates.size() == static_cast<std::size_t>(PinnedState::kCount));
static_assert(kActing.size() == static_cast<std::size_t>(Acting::kCount));
static_assert(kMisses.size() == static_cast<std::size_t>(Miss::kCount));
constexpr std::array<std::string_view, 9> kTtlActions{"default",
                                                      "raised",
                                                      "shortened",
                                                      "jittered",
                                                      "required",
                                                      "not_stored",
                                                      "not_read",
                                                      "script",
                                                      "renewed"};
constexpr std::array<std::string_view, 4> kAwayAnswers{"replica", "stale", "nil", "capped"};
static_assert(kAwayAnswers.size() == static_cast<std::size_t>(AwayAnswer::kCount));
static_assert(kTtlActions.size() == static_cast<std::size_t>(TtlAction::kCount));
static_assert(kLeaseEnds.size() == static_cast<std::size_t>(LeaseEnd::kCount));

template <typename Total, typename Source, std::size_t N>
void add_all(std::array<Total, N>& total, const std::array<Source, N>& source) {
  for (std::size_t i = 0; i < N; ++i) {
    total[i] += source[i].value();
  }
}

void add_histogram(HistogramTotals& total, const Histogram& source) {
  for (std::size_t i = 0; i < total.buckets.size(); ++i) {
    const auto n = source.bucket(i);
    total.buckets[i] += n;
    total.count += n;  // from the buckets, so that both always agree
  }
  total.sum_ns += source.sum_ns();
}

double age_of(std::int64_t began) {
  const std::chrono::duration<double> age =
      base::Clock::now().time_since_epoch() - base::Duration(began);
  return began == 0 ? 0 : std::max(0.0, age.count());
}

void add_node(NodeTotals& total, const NodeMetrics& source) {
  total.requests += source.requests.value();
  total.connects += source.connects.value();
  total.connects_delayed += source.connects_delayed.value();
  total.connect_failures += source.connect_failures.value();
  total.connections_lost += source.connections_lost.value();
  total.timeouts += source.timeouts.value();
  total.late_replies += source.late_replies.value();
  total.lanes_retired += source.lanes_retired.value();
  total.bytes_sent += source.bytes_sent.value();
  total.bytes_received += source.bytes_received.value();
  total.lanes += source.lanes.value();
  total.inflight += source.inflight.value();
  total.oldest_seconds = std::max(total.oldest_seconds, age_of(source.oldest.value()));
  add_all(total.pinned, source.pinned);
}

void add_worker(Totals& total, const WorkerMetrics& source) {
  total.sessions_accepted += source.sessions_accepted.value();
  total.sessions += source.sessions.value();
  total.sessions_blocked += source.sessions_blocked.value();
  total.sessions_waiting += source.sessions_waiting.value();
  add_all(total.sessions_closed, source.sessions_closed);
  total.bytes_received += source.bytes_received.value();
  total.bytes_sent += source.bytes_sent.value();
  total.output_bytes += source.output_bytes.value();
  add_all(total.refusals, source.refusals);
  add_histogram(total.local_duration, source.local_duration);
  add_histogram(total.upstream_duration, source.upstream_duration);
  add_all(total.retries, source.retries);
  total.retries_over_budget += source.retries_over_budget.value();
  total.retries_given_up += source.retries_given_up.value();
  total.reads_same_zone += source.reads_same_zone.value();
  total.reads_cross_zone += source.reads_cross_zone.value();
  total.reads_kept_on_primary += source.reads_kept_on_primary.value();
  total.turns += source.turns.value();
  total.auth_ignored += source.auth_ignored.value();
  add_histogram(total.invalidation_lag, source.invalidation_lag);
  add_histogram(total.observed_stale_age, source.observed_stale_age);
  total.limit_tokens_wasted += source.limit_tokens_wasted.value();
  total.invalidated_keys += source.invalidated_keys.value();
  for (std::size_t i = 0; i < total.nodes.size(); ++i) {
    add_node(total.nodes[i], source.nodes[i]);
  }
}

// The counters that are plain numbers, once for all that is done with each of them.
constexpr std::array<std::pair<std::uint64_t ClassTotals::*, Counter ClassMetrics::*>, 17>
    kClassCounters{{{&ClassTotals::hits, &ClassMetrics::hits},
                    {&ClassTotals::negative_hits, &ClassMetrics::negative_hits},
                    {&ClassTotals::stale_hits, &ClassMetrics::stale_hits},
                    {&ClassTotals::error_hits, &ClassMetrics::error_hits},
                    {&ClassTotals::joins, &ClassMetrics::joins},
                    {&ClassTotals::fills, &ClassMetrics::fills},
                    {&ClassTotals::doomed, &ClassMetrics::doomed},
                    {&ClassTotals::too_large, &ClassMetrics::too_large},
                    {&ClassTotals::refreshes, &ClassMetrics::refreshes},
                    {&ClassTotals::lease_grants, &ClassMetrics::lease_grants},
                    {&ClassTotals::lease_waits, &ClassMetrics::lease_waits},
                    {&ClassTotals::invalidations, &ClassMetrics::invalidations},
                    {&ClassTotals::shadow_hits, &ClassMetrics::shadow_hits},
                    {&ClassTotals::shadow_misses, &ClassMetrics::shadow_misses},
                    {&ClassTotals::shadow_stale, &ClassMetrics::shadow_stale},
                    {&ClassTotals::sampled, &ClassMetrics::sampled},
                    {&ClassTotals::observed_stale, &ClassMetrics::observed_stale}}};

void add_class(ClassTotals& total, const ClassMetrics& source) {
  for (const auto& [sum, counter] : kClassCounters) {
    total.*sum += (source.*counter).value();
  }
  add_all(total.misses, source.misses);
  add_all(total.lease_ends, source.lease_ends);
}

void add_command(CommandTotals& total, const CommandMetrics& source) {
  total.requests += source.requests.value();
  total.errors += source.errors.value();
  total.duration_us += source.duration_us.value();
}

std::vector<CommandTotals> sum_commands(std::span<const WorkerMetrics* const> workers,
                                        std::span<const std::string_view> names) {
  std::vector<CommandTotals> out;
  CommandTotals other{kOther};
  for (std::size_t row = 0; row < kMaxCommandRows; ++row) {
    // The last slot is for unknown commands even if the table were as long as the array.
    const bool named = row < names.size() && row + 1 < kMaxCommandRows;
    CommandTotals own{named ? names[row] : kOther};
    for (const auto* worker : workers) {
      add_command(named ? own : other, worker->commands[row]);
    }
    if (own.requests > 0) {
      out.push_back(own);
    }
  }
  if (other.requests > 0) {
    out.push_back(other);
  }
  return out;
}

}  // namespace

Totals sum(std::span<const WorkerMetrics* const> workers,
           std::span<const std::string_view> names,
           std::size_t node_count) {
  Totals out;
  out.nodes.resize(std::min(node_count, kMaxNodes));
  for (const auto* worker : workers) {
    add_worker(out, *worker);
  }
  out.commands = sum_commands(workers, names);
  return out;
}

std::vector<ClassTotals> sum_classes(std::span<const WorkerMetrics* const> workers,
                                     std::span<const ClassFacts> classes,
                                     std::span<const ClassUse> uses) {
  std::vector<ClassTotals> out;
  for (std::size_t id = 0; id < std::min(classes.size(), kMaxClasses); ++id) {
    if (!classes[id].cached) {
      continue;
    }
    ClassTotals& total = out.emplace_back();
    total.name = classes[id].name;
    for (const auto* worker : workers) {
      add_class(total, worker->classes[id]);
    }
    if (id < uses.size()) {
      total.use = uses[id];
    }
  }
  return out;
}

std::vector<TtlTotals> sum_ttl(std::span<const WorkerMetrics* const> workers,
                               std::span<const ClassFacts> classes) {
  std::vector<TtlTotals> out;
  for (std::size_t id = 0; id < std::min(classes.size(), kMaxClasses); ++id) {
    if (!classes[id].ruled) {
      continue;
    }
    TtlTotals& total = out.emplace_back();
    total.name = classes[id].name;
    for (const auto* worker : workers) {
      const ClassMetrics& source = worker->classes[id];
      add_all(total.applied, source.ttl_applied);
      add_all(total.observed, source.ttl_observed);
      total.unapplied += source.ttl_unapplied.value();
    }
  }
  return out;
}

std::vector<AwayTotals> sum_away(std::span<const WorkerMetrics* const> workers,
                                 std::span<const ClassFacts> classes) {
  std::vector<AwayTotals> out;
  for (std::size_t id = 0; id < std::min(classes.size(), kMaxClasses); ++id) {
    if (!classes[id].away) {
      continue;
    }
    AwayTotals& total = out.emplace_back();
    total.name = classes[id].name;
    for (const auto* worker : workers) {
      const ClassMetrics& source = worker->classes[id];
      add_all(total.answers, source.away_answers);
      add_all(total.observed, source.away_observed);
      total.miss_waits += source.miss_waits.value();
      total.miss_over_cap += source.miss_over_cap.value();
    }
  }
  return out;
}

std::vector<LimitTotals> sum_limits(std::span<const WorkerMetrics* const> workers,
                                    std::span<const std::string> names) {
  std::vector<LimitTotals> out;
  for (std::size_t place = 0; place < std::min(names.size(), kMaxRules); ++place) {
    LimitTotals& total = out.emplace_back();
    total.name = names[place];
    for (const auto* worker : workers) {
      const LimitMetrics& source = worker->limits[place];
      add_all(total.admitted, source.admitted);
      add_all(total.refused, source.refused);
      total.asks += source.asks.value();
      total.leased += source.leased.value();
      total.waits += source.waits.value();
      total.errors += source.errors.value();
    }
  }
  return out;
}

std::vector<DenialTotals> sum_denials(std::span<const WorkerMetrics* const> workers,
                                      std::span<const std::string> names) {
  std::vector<DenialTotals> out;
  for (std::size_t place = 0; place < std::min(names.size(), kMaxRules); ++place) {
    DenialTotals& total = out.emplace_back();
    total.name = names[place];
    for (const auto* worker : workers) {
      add_all(total.denied, worker->denials[place].denied);
    }
  }
  return out;
}

std::uint64_t ClassTotals::all_misses() const {
  return std::accumulate(misses.begin(), misses.end(), std::uint64_t{0});
}

std::optional<double> ClassTotals::hit_ratio() const {
  const std::uint64_t asked = all_hits() + all_misses();
  return asked == 0 ? std::nullopt
                    : std::optional(static_cast<double>(all_hits()) / static_cast<double>(asked));
}

ClassTotals& ClassTotals::operator+=(const ClassTotals& other) {
  for (const auto& [sum, counter] : kClassCounters) {
    this->*sum += other.*sum;
  }
  for (std::size_t i = 0; i < misses.size(); ++i) {
    misses[i] += other.misses[i];
  }
  for (std::size_t i = 0; i < lease_ends.size(); ++i) {
    lease_ends[i] += other.lease_ends[i];
  }
  use.bytes += other.use.bytes;
  use.entries += other.use.entries;
  use.evictions += other.use.evictions;
  use.expirations += other.use.expirations;
  return *this;
}

std::string_view label_of(CloseReason reason) {
  return kCloseReasons.at(static_cast<std::size_t>(reason));
}

std::string_view label_of(Refusal refusal) {
  return kRefusals.at(static_cast<std::size_t>(refusal));
}

std::string_view label_of(RetryReason reason) {
  return kRetries.at(static_cast<std::size_t>(reason));
}

std::string_view label_of(PinnedState state) {
  return kPinnedStates.at(static_cast<std::size_t>(state));
}

std::string_view label_of(Acting acting) {
  return kActing.at(static_cast<std::size_t>(acting));
}

std::string_view label_of(Miss reason) {
  return kMisses.at(static_cast<std::size_t>(reason));
}

std::string_view label_of(TtlAction action) {
  return kTtlActions.at(static_cast<std::size_t>(action));
}

std::string_view label_of(AwayAnswer answer) {
  return kAwayAnswers.at(static_cast<std::size_t>(answer));
}

std::string_view label_of(LeaseEnd outcome) {
  return kLeaseEnds.at(static_cast<std::size_t>(outcome));
}

std::string_view label_of(ReloadResult result) {
  return kReloadResults.at(static_cast<std::size_t>(result));
}

double age_of(const PolicyState& policy) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return std::max(0.0, now.count() - policy.loaded_at);
}

}  // namespace pannier::metrics
