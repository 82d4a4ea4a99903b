#pragma once

#include "pannier/metrics/counter.hpp"
#include "pannier/metrics/dns_state.hpp"
#include "pannier/metrics/failover_state.hpp"
#include "pannier/metrics/worker_metrics.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the scrape and the status page read: plain values, summed over the workers at one moment.
namespace pannier::metrics {

struct BuildInfo {
  std::string version;
  std::string revision;
  std::string compiler;
};

// One upstream node as the last probe saw it; its counters are in NodeTotals.
struct NodeState {
  std::string name;                        // as configured: host:port
  std::string zone;                        // empty: not known
  std::string role;                        // "primary", "replica" or "unknown"
  bool up = false;                         // the last probe was answered
  bool ready = false;                      // may serve reads
  std::optional<std::uint64_t> lag_bytes;  // behind the primary; empty: not known
  std::optional<double> rtt_seconds;       // smoothed; empty: never probed
  std::string last_error;                  // why it is not up or not ready
};

// What is true of the whole process.
struct Facts {
  std::uint64_t memory_budget_bytes = 0;
  std::uint64_t max_clients = 0;
  bool draining = false;
  std::string own_zone;        // empty: not known
  std::string server_version;  // empty: not known
};

// The memory budget at one moment.
struct MemoryState {
  std::uint64_t level = 0;  // 0 normal, 1 tight, 2 full
  std::uint64_t estimated_bytes = 0;
  std::vector<std::pair<std::string_view, std::uint64_t>> owners;  // bytes by who holds them
};

// Of this process, from /proc/self. What could not be read stays 0.
struct ProcessStats {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since 1970
  double uptime_seconds = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};

// A class of the policy, by class id.
struct ClassFacts {
  std::string name;
  bool cached = false;  // kept in memory, or observed as if it were; the others are not shown
  bool ruled = false;   // has rules on what is stored
  bool away = false;    // says what a read gets while upstream is away, or caps its misses
};

// What a class takes in the near cache.
struct ClassUse {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expirations = 0;
};

// The rungs of coherence, by the names that upstream::to_string gives them.
inline constexpr std::array<std::string_view, 5> kRungs{
    "none", "resp3", "redirect", "channel", "ttl"};

// How a node's changes are heard.
struct NodeCoherence {
  std::string rung = "none";  // one of kRungs
  std::string reason;         // why it is no better one
  std::uint64_t keys = 0;     // invalidated by pushes
  std::uint64_t flushes = 0;
  std::uint64_t losses = 0;
  std::optional<double> canary_age_seconds;  // empty: none was heard yet
  std::optional<double> canary_lag_seconds;  // empty: none of this sidecar's was heard yet
};

// The near cache at one moment; what it counts is in ClassTotals.
struct NearCacheState {
  std::uint64_t budget_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t entries = 0;
  double bypass_seconds = 0;         // left; 0: the near cache is used
  std::vector<ClassUse> classes;     // by class id
  std::vector<NodeCoherence> nodes;  // by node id; empty: no class is tracked
};

// What became of a look at the policy's file.
enum class ReloadResult : std::uint8_t {
  Changed,    // new rules are in force
  Unchanged,  // the file is what it was
  Failed,     // it has faults or cannot be read: the old rules stay
  kCount
};

// The policy in force, and how it came to be.
struct PolicyState {
  std::uint64_t generation = 0;  // 0: pannier.yaml names no policy
  std::string hash;              // of the file's bytes
  double loaded_at = 0;          // seconds since 1970
  std::array<std::uint64_t, static_cast<std::size_t>(ReloadResult::kCount)> reloads{};
  std::string last_error;  // of the last look at the file; empty: it was good
};

// Limits and denials at one moment.
struct RulesState {
  std::vector<std::string> limits;  // names, by RuleNames::place_of
  std::vector<std::string> denials;
  std::uint64_t entries = 0;    // subjects that are not back to their full burst
  std::uint64_t evictions = 0;  // subjects that lost their state because there was no room
};

struct HistogramTotals {
  std::array<std::uint64_t, Histogram::kBoundsUs.size() + 1> buckets{};  // not cumulative
  std::uint64_t count = 0;
  std::uint64_t sum_ns = 0;
};

struct CommandTotals {
  std::string_view name;  // "other" for what is not in the table
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::uint64_t duration_us = 0;
};

struct NodeTotals {
  std::uint64_t requests = 0;
  std::uint64_t connects = 0;
  std::uint64_t connects_delayed = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t late_replies = 0;
  std::uint64_t lanes_retired = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::int64_t lanes = 0;
  std::int64_t inflight = 0;
  double oldest_seconds = 0;  // age of the oldest request on a shared connection
  std::array<std::int64_t, static_cast<std::size_t>(PinnedState::kCount)> pinned{};
};

// ClassMetrics, summed.
struct ClassTotals {
  std::string name;
  std::uint64_t hits = 0;
  std::uint64_t negative_hits = 0;
  std::uint64_t stale_hits = 0;
  std::uint64_t error_hits = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(Miss::kCount)> misses{};
  std::uint64_t joins = 0;
  std::uint64_t fills = 0;
  std::uint64_t doomed = 0;
  std::uint64_t too_large = 0;
  std::uint64_t refreshes = 0;
  std::uint64_t lease_grants = 0;
  std::uint64_t lease_waits = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(LeaseEnd::kCount)> lease_ends{};
  std::uint64_t invalidations = 0;
  std::uint64_t shadow_hits = 0;
  std::uint64_t shadow_misses = 0;
  std::uint64_t shadow_stale = 0;
  std::uint64_t sampled = 0;
  std::uint64_t observed_stale = 0;
  ClassUse use;

  // Reads that were answered from memory while upstream was there: `error_hits` are misses first.
  [[nodiscard]] std::uint64_t all_hits() const { return hits + negative_hits + stale_hits; }

  [[nodiscard]] std::uint64_t all_misses() const;
  // Empty while nothing was asked for.
  [[nodiscard]] std::optional<double> hit_ratio() const;
  // All counters and `use`; the name stays.
  ClassTotals& operator+=(const ClassTotals& other);
};

using TotalByActing = std::array<std::uint64_t, static_cast<std::size_t>(Acting::kCount)>;

// LimitMetrics, summed.
struct LimitTotals {
  std::string name;
  TotalByActing admitted{};
  TotalByActing refused{};
  std::uint64_t asks = 0;
  std::uint64_t leased = 0;
  std::uint64_t waits = 0;
  std::uint64_t errors = 0;
};

// DenialMetrics, summed.
struct DenialTotals {
  std::string name;
  TotalByActing denied{};
};

// What a class's rules on storing did, summed.
struct TtlTotals {
  std::string name;
  std::array<std::uint64_t, static_cast<std::size_t>(TtlAction::kCount)> applied{};
  std::array<std::uint64_t, static_cast<std::size_t>(TtlAction::kCount)> observed{};
  std::uint64_t unapplied = 0;
};

// What reads of a class got while upstream was away, summed.
struct AwayTotals {
  std::string name;
  std::array<std::uint64_t, static_cast<std::size_t>(AwayAnswer::kCount)> answers{};
  std::array<std::uint64_t, static_cast<std::size_t>(AwayAnswer::kCount)> observed{};
  std::uint64_t miss_waits = 0;
  std::uint64_t miss_over_cap = 0;
};

// A rehearsal that is on.
struct FaultState {
  std::uint64_t id = 0;
  std::string rule;  // in words
  std::uint64_t hits = 0;
  double seconds_left = 0;
};

// WorkerMetrics, summed.
struct Totals {
  std::uint64_t sessions_accepted = 0;
  std::int64_t sessions = 0;
  std::int64_t sessions_blocked = 0;
  std::int64_t sessions_waiting = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(CloseReason::kCount)> sessions_closed{};
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::int64_t output_bytes = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(Refusal::kCount)> refusals{};
  std::vector<CommandTotals> commands;  // in the table's order, only those with a request
  std::vector<NodeTotals> nodes;        // by node id, as many as were asked for
  HistogramTotals local_duration;
  HistogramTotals upstream_duration;
  std::array<std::uint64_t, static_cast<std::size_t>(RetryReason::kCount)> retries{};
  std::uint64_t retries_over_budget = 0;
  std::uint64_t retries_given_up = 0;
  std::uint64_t reads_same_zone = 0;
  std::uint64_t reads_cross_zone = 0;
  std::uint64_t reads_kept_on_primary = 0;
  std::uint64_t turns = 0;
  std::uint64_t auth_ignored = 0;
  std::vector<TtlTotals> ttl;    // the ruled classes, in the policy's order
  std::vector<AwayTotals> away;  // those that say something of it
  std::vector<LimitTotals> limits;
  std::vector<DenialTotals> denials;
  std::uint64_t limit_tokens_wasted = 0;
  std::vector<ClassTotals> classes;  // the cached ones, in the policy's order
  HistogramTotals invalidation_lag;
  HistogramTotals observed_stale_age;
  std::uint64_t invalidated_keys = 0;
};

struct Snapshot {
  BuildInfo build;
  Facts facts;
  ProcessStats process;
  std::uint64_t topology_generation = 0;
  std::vector<NodeState> nodes;  // nodes[i] goes with totals.nodes[i]
  std::size_t workers = 0;
  NearCacheState near_cache;
  MemoryState memory;
  RulesState rules;
  PolicyState policy;
  DnsState dns;
  std::vector<FaultState> faults;
  FailoverState failover;
  Totals totals;
};

// Sums what the workers count. `names[i]` names row i of WorkerMetrics::commands; rows without a
// name are summed as "other". `node_count` is at most kMaxNodes.
[[nodiscard]] Totals sum(std::span<const WorkerMetrics* const> workers,
                         std::span<const std::string_view> names,
                         std::size_t node_count);

// The same of the cached classes. Both spans are by class id; what is missing in `uses` is 0.
[[nodiscard]] std::vector<ClassTotals> sum_classes(std::span<const WorkerMetrics* const> workers,
                                                   std::span<const ClassFacts> classes,
                                                   std::span<const ClassUse> uses);

// Of the classes that are ruled.
[[nodiscard]] std::vector<TtlTotals> sum_ttl(std::span<const WorkerMetrics* const> workers,
                                             std::span<const ClassFacts> classes);

// Of the classes that say what a read gets while upstream is away.
[[nodiscard]] std::vector<AwayTotals> sum_away(std::span<const WorkerMetrics* const> workers,
                                               std::span<const ClassFacts> classes);

// The same of limits and denials; `names` by place.
[[nodiscard]] std::vector<LimitTotals> sum_limits(std::span<const WorkerMetrics* const> workers,
                                                  std::span<const std::string> names);
[[nodiscard]] std::vector<DenialTotals> sum_denials(std::span<const WorkerMetrics* const> workers,
                                                    std::span<const std::string> names);

[[nodiscard]] ProcessStats read_process_stats();

// The label values: "max_clients", "not_sent", "idle".
[[nodiscard]] std::string_view label_of(CloseReason reason);
[[nodiscard]] std::string_view label_of(Refusal refusal);
[[nodiscard]] std::string_view label_of(RetryReason reason);
[[nodiscard]] std::string_view label_of(PinnedState state);
[[nodiscard]] std::string_view label_of(Acting acting);
[[nodiscard]] std::string_view label_of(Miss reason);
[[nodiscard]] std::string_view label_of(LeaseEnd outcome);
[[nodiscard]] std::string_view label_of(TtlAction action);
[[nodiscard]] std::string_view label_of(AwayAnswer answer);
[[nodiscard]] std::string_view label_of(ReloadResult result);

// Seconds since the policy was loaded.
[[nodiscard]] double age_of(const PolicyState& policy);

}  // namespace pannier::metrics
