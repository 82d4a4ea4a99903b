#pragma once

#include "pannier/metrics/counter.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace pannier::metrics {

// Why Pannier answered a request itself with an error, or closed a session.
enum class Refusal : std::uint8_t {
  NotSent,     // -UPSTREAM ... (not sent)
  MayHaveRun,  // -UPSTREAM ... (may have run)
  Denied,      // -NOPERM
  PinnedWait,  // no exclusive connection within pinned.wait
  Auth,        // -NOAUTH, -WRONGPASS
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
  kCount
};

enum class PinnedState : std::uint8_t {
  Idle,
  Used,
  kCount
};

inline constexpr std::size_t kMaxCommandRows = 640;
inline constexpr std::size_t kMaxNodes = 64;

struct CommandMetrics {
  Counter requests;
  Counter errors;       // error replies, upstream's and Pannier's own
  Counter duration_us;  // sum, from parsed to answered
};

struct NodeMetrics {
  Counter requests;
  Counter connects;
  Counter connect_failures;
  Counter connections_lost;
  Counter timeouts;
  Counter late_replies;  // read and dropped
  Counter lanes_retired;
  Counter bytes_sent;
  Counter bytes_received;
  Gauge lanes;  // open shared connections
  Gauge inflight;
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
  Counter reads_same_zone;
  Counter reads_cross_zone;
  Counter reads_kept_on_primary;  // read-your-writes
  Counter turns;
  Counter auth_ignored;
};

}  // namespace pannier::metrics
