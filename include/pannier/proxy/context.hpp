#pragma once

#include "pannier/command/learned.hpp"
#include "pannier/config/config.hpp"
#include "pannier/proxy/session_table.hpp"
#include "pannier/proxy/slowlog.hpp"
#include "pannier/resp/request_batch.hpp"
#include "pannier/route/recent_writes.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/lane_set.hpp"
#include "pannier/upstream/pinned_pool.hpp"
#include "pannier/upstream/runtime.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::proxy {

struct Context;

// What all workers share; thread-safe. Owned by the application, outlives the workers.
struct Shared {
  explicit Shared(const config::Config& configuration)
      : config(configuration),
        recent_writes(configuration.upstream.read_your_writes) {}

  const config::Config& config;
  route::RecentWrites recent_writes;
  std::atomic<std::uint64_t> next_session_id{1};
  std::atomic<std::uint32_t> sessions{0};  // of all workers, for maxclients
  std::atomic<std::uint32_t> monitors{0};  // sessions in MONITOR
  std::atomic<bool> draining{false};
  bool replica_reads = false;  // some listener reads from replicas: writes must be remembered
  std::string version;
  std::int64_t started_unix = 0;  // seconds
  // Asks the prober to look again at once.
  std::function<void()> refresh_topology;
  // Runs `action` on a worker's thread, within a turn.
  std::function<void(std::uint32_t worker, std::function<void(Context&)> action)> post;
};

// What one worker has. Owned by the Worker, used on its thread only.
struct Context {
  Context(boost::asio::io_context& io,
          net::TurnHooks& hooks,
          upstream::ConnectionEvents& events_of_upstream,
          Shared& everything,
          std::uint32_t worker_index)
      : shared(everything),
        worker(worker_index),
        events(events_of_upstream),
        runtime(io, hooks, everything.config),
        lanes(runtime, events_of_upstream),
        pinned(runtime, events_of_upstream),
        slowlog(everything.config.slowlog.max_entries) {}

  Shared& shared;
  const std::uint32_t worker;
  upstream::ConnectionEvents& events;
  upstream::Runtime runtime;
  upstream::LaneSet lanes;
  upstream::PinnedPool pinned;
  SessionTable sessions;
  route::TopologyPtr topology = std::make_shared<const route::Topology>();
  command::LearnedCommands learned;
  Slowlog slowlog;
  resp::Limits limits;
  resp::RequestBatch batch;
  std::vector<std::string_view> keys;  // scratch of one request
  std::string text;                    // scratch of one request
  std::string frame;                   // an inline request as an array
  // Key hashes of a write in flight that has several keys (RecentWrites).
  std::unordered_map<upstream::SlotIndex, std::vector<std::uint64_t>> written_keys;
  std::unordered_map<upstream::SlotIndex, std::string> learning;  // names asked for
  std::vector<upstream::SessionRef> awake;
  std::vector<upstream::SessionRef> unflushed;
  std::deque<upstream::SessionRef> pinned_waiters;
  std::unordered_map<const upstream::Connection*, upstream::SessionRef> pinned_owners;
  std::vector<std::uint32_t> known_databases{0};
  base::TimePoint paused_until{};  // CLIENT PAUSE
  bool pause_writes_only = false;
  base::TimePoint next_protocol_log{};  // a flood of bad clients must not flood the log
};

}  // namespace pannier::proxy
