#pragma once

#include "pannier/metrics/counter.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace pannier::metrics {

// Why Pannier answered a request itself with an error, or closed a session.
enum class Refusal : std::uint8_t {
  NotSent,     // -UPSTREAM ... (not sent)
  MayHaveRun,  // -UPSTREAM ... (may have run)
  Denied,      // -NOPERM
  PinnedWait,  // no exclusive connection within pinned.wait
  Auth,        // -NOAUTH, -WRONGPASS
  Throttled,   // -THROTTLED
  Memory,      // -UPSTREAM: the budget is used up
  kCount
};

enum class CloseReason : std::uint8_t {
  Client,    // end of file or reset by the client, QUIT
  Protocol,  // a protocol error of the client
  Security,  // inline POST or Host:
  MaxClients,
  UpstreamLost,  // a connection that held this session's state was lost
  Stalled,       // no progress within `slow`
  OutputLimit,
  Killed,  // CLIENT KILL
  Drain,
  Memory,  // the budget is used up: it held the most, or came then
  kCount
};

enum class PinnedState : std::uint8_t {
  Idle,
  Used,
  kCount
};

// Why a request was tried again (proxy/retry.hpp).
enum class RetryReason : std::uint8_t {
  Refused,  // the node refused it before it ran: LOADING, READONLY and the like
  NotSent,  // its connection failed before any byte of it left
  Lost,     // a read whose connection was lost
  Silent,   // a read without a reply within timeouts.attempt
  Order,    // a read behind a write that is tried again: it must see it
  kCount
};

// Why a read of a cached class was not answered from memory.
enum class Miss : std::uint8_t {
  Absent,      // not kept, expired or invalidated
  Unproven,    // coherence with its node was lost
  Bypass,      // PANNIER BYPASS
  Strong,      // a listener that is strong
  WriteBusy,   // a write to the key was in flight
  Uncachable,  // a command that is never cached, or with several keys
  kCount
};

// What became of a read that waited for a lease.
enum class LeaseEnd : std::uint8_t {
  Filled,     // the value came
  TimedOut,   // nil after `wait`
  Pipelined,  // nil, because its session sent another request
  Passed,     // nil, because it became the holder
  NoWait,     // nil at once: the key or its class stays unfilled
  kCount
};

// What a class's rules on storing did to a request (behaviour §4), or would have done.
enum class TtlAction : std::uint8_t {
  Default,    // a store without a TTL was given one
  Raised,     // to the minimum
  Shortened,  // to the maximum, or bound by it
  Jittered,   // only that
  Required,   // refused: it says no TTL
  NotStored,  // refused: `store: never`
  NotRead,    // answered as if there were no such key: `store: never`
  Script,     // refused: `scripts: deny`
  Renewed,    // sliding
  kCount
};

// What a read got while upstream was away, or would have got.
enum class AwayAnswer : std::uint8_t {
  Replica,  // a replica's answer, where the class reads from the primary
  Stale,    // a kept one past its time
  Nil,      // "no such key", which nobody knows
  Capped,   // an error: as many are at their database already as `miss.concurrent` allows
  kCount
};

// What is counted per class of keys.
struct ClassMetrics {
  Counter hits;           // fresh, with a value
  Counter negative_hits;  // fresh, "no such key"
  Counter stale_hits;     // past its TTL, while it is refreshed
  Counter error_hits;     // past its TTL or unproven, while upstream is away
  std::array<Counter, static_cast<std::size_t>(Miss::kCount)> misses;
  Counter joins;      // answered by another read's reply
  Counter fills;      // replies that were kept
  Counter doomed;     // not kept: invalidated, written to or flushed meanwhile
  Counter too_large;  // not kept: over max_value
  Counter refreshes;  // reads of Pannier's own, ahead of expiry or while stale
  Counter lease_grants;
  Counter lease_waits;
  std::array<Counter, static_cast<std::size_t>(LeaseEnd::kCount)> lease_ends;
  Counter invalidations;  // pushes for keys of the class; worker 0 only
  Counter shadow_hits;    // mode: observe
  Counter shadow_misses;
  Counter shadow_stale;    // a would-be hit that differed from what upstream said
  Counter sampled;         // hits that were compared with the primary
  Counter observed_stale;  // and differed
  std::array<Counter, static_cast<std::size_t>(TtlAction::kCount)> ttl_applied;
  std::array<Counter, static_cast<std::size_t>(TtlAction::kCount)> ttl_observed;
  Counter ttl_unapplied;  // Pannier's own PEXPIREs that failed or were lost
  std::array<Counter, static_cast<std::size_t>(AwayAnswer::kCount)> away_answers;
  std::array<Counter, static_cast<std::size_t>(AwayAnswer::kCount)> away_observed;
  Counter miss_waits;     // nils that waited for room under `miss.concurrent`
  Counter miss_over_cap;  // and were given without any
};

// Whether a rule acts or only counts.
enum class Acting : std::uint8_t {
  Observe,
  Enforce,
  kCount
};

using CountByActing = std::array<Counter, static_cast<std::size_t>(Acting::kCount)>;

// What is counted per rate limit.
struct LimitMetrics {
  CountByActing admitted;
  CountByActing refused;
  Counter asks;    // of the primary; fleet limits only, as all that follows
  Counter leased;  // tokens that it lent
  Counter waits;   // requests that had to wait for that
  Counter errors;  // it did not answer
};

// What is counted per denial.
struct DenialMetrics {
  CountByActing denied;
};

inline constexpr std::size_t kMaxCommandRows = 640;
inline constexpr std::size_t kMaxClasses = 1024;
inline constexpr std::size_t kMaxNodes = 64;
inline constexpr std::size_t kMaxRules = 1280;  // limits that were ever there, and as many denials

struct CommandMetrics {
  Counter requests;
  Counter errors;       // error replies, upstream's and Pannier's own
  Counter duration_us;  // sum, from parsed to answered
};

struct NodeMetrics {
  Counter requests;
  Counter replies;  // in time, errors too
  Counter connects;
  Counter connects_delayed;  // held back by the connect budget
  Counter connect_failures;
  Counter connections_lost;
  Counter timeouts;
  Counter late_replies;  // read and dropped
  Counter lanes_retired;
  Counter bytes_sent;
  Counter bytes_received;
  Gauge lanes;  // open shared connections
  Gauge inflight;
  Gauge
      oldest;  // when the oldest request on a shared connection began; ticks of the clock, 0: none
  std::array<Gauge, static_cast<std::size_t>(PinnedState::kCount)> pinned;
};

// What one worker counts. Written by that worker only, read by the scrape.
struct WorkerMetrics {
  Counter sessions_accepted;
  Gauge sessions;
  Gauge sessions_blocked;
  Gauge sessions_waiting;
  std::array<Counter, static_cast<std::size_t>(CloseReason::kCount)> sessions_closed;
  Counter bytes_received;
  Counter bytes_sent;
  Gauge output_bytes;  // replies that wait for clients
  std::array<Counter, static_cast<std::size_t>(Refusal::kCount)> refusals;
  std::array<CommandMetrics, kMaxCommandRows> commands;  // by command::index_of; last: unknown
  std::array<NodeMetrics, kMaxNodes> nodes;              // by node id
  Histogram local_duration;                              // answered by Pannier itself
  Histogram upstream_duration;  // from parsed to answered, through upstream
  std::array<Counter, static_cast<std::size_t>(RetryReason::kCount)> retries;
  Counter retries_over_budget;  // answered with their error: too many tries on the node
  Counter retries_given_up;     // their deadline passed, or a later write overtook them
  Counter reads_same_zone;
  Counter reads_cross_zone;
  Counter reads_kept_on_primary;  // read-your-writes
  Counter turns;
  Counter auth_ignored;
  std::unique_ptr<ClassMetrics[]> classes =
      std::make_unique<ClassMetrics[]>(kMaxClasses);  // by class id
  std::unique_ptr<LimitMetrics[]> limits =
      std::make_unique<LimitMetrics[]>(kMaxRules);  // by RuleNames::place_of
  std::unique_ptr<DenialMetrics[]> denials = std::make_unique<DenialMetrics[]>(kMaxRules);
  Counter limit_tokens_wasted;   // lent by the primary and dropped
  Histogram invalidation_lag;    // canary sent to canary processed; worker 0
  Histogram observed_stale_age;  // of replies that the sampler found stale
  Counter invalidated_keys;      // by pushes; worker 0
};

}  // namespace pannier::metrics
