#pragma once

#include "pannier/base/memory_budget.hpp"
#include "pannier/cache/hot_keys.hpp"
#include "pannier/cache/leases.hpp"
#include "pannier/cache/miss_cap.hpp"
#include "pannier/cache/near_cache.hpp"
#include "pannier/command/learned.hpp"
#include "pannier/config/config.hpp"
#include "pannier/policy/rules.hpp"
#include "pannier/proxy/failover_status.hpp"
#include "pannier/proxy/faults.hpp"
#include "pannier/proxy/flights.hpp"
#include "pannier/proxy/policy_status.hpp"
#include "pannier/proxy/rule_stage.hpp"
#include "pannier/proxy/session_table.hpp"
#include "pannier/proxy/sliding_lives.hpp"
#include "pannier/proxy/slowlog.hpp"
#include "pannier/proxy/tracking_states.hpp"
#include "pannier/proxy/ttl_state.hpp"
#include "pannier/resp/request_batch.hpp"
#include "pannier/route/recent_writes.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/connect_budget.hpp"
#include "pannier/upstream/lane_set.hpp"
#include "pannier/upstream/pinned_pool.hpp"
#include "pannier/upstream/retry_budget.hpp"
#include "pannier/upstream/runtime.hpp"
#include "pannier/upstream/tracking.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pannier::proxy {

struct Context;

// How a node's changes are heard just now; written by worker 0, read by all. `rung` is stored last.
struct NodeTracking {
  std::atomic<upstream::Rung> rung{upstream::Rung::None};
  std::atomic<std::int64_t> redirect{0};  // CLIENT ID that OPTIN lanes point to
  std::atomic<std::uint64_t> address{0};  // SocketAddress::hash of the server that is heard
};

// What all workers share; thread-safe. Owned by the application, outlives the workers.
struct Shared {
  explicit Shared(const config::Config& configuration)
      : config(configuration),
        recent_writes(configuration.upstream.read_your_writes),
        near_cache(configuration.near_cache),
        memory(configuration.memory,
               configuration.workers,
               base::system_memory_reader(configuration.cgroup_memory)),
        connect_budget(configuration) {}

  const config::Config& config;
  route::RecentWrites recent_writes;
  cache::NearCache near_cache;
  base::MemoryBudget memory;  // of all that Pannier holds
  upstream::ConnectBudget connect_budget;
  // Of classes that only observe; digests, no values. Set before the workers start, never after:
  // what a write began in it must be ended in it.
  std::unique_ptr<cache::NearCache> shadow;
  cache::Leases leases;
  cache::MissCap miss_cap;
  FaultTable faults;
  RuleState rule_state;
  SlidingLives sliding_lives;
  std::array<NodeTracking, cache::kMaxNodes> tracking;
  TrackingStates tracking_states;
  std::array<std::atomic<bool>, cache::kMaxClasses> optin{};  // classes that are tracked per key
  std::atomic<std::int64_t> bypass_until{0};  // ticks of the clock; 0: the near cache is used
  // What workers begin with; set before they are made, never after.
  policy::RulesPtr rules = policy::compile({});
  PolicyStatus policy_status;
  FailoverStatus failover_status;
  std::atomic<std::uint64_t> next_session_id{1};
  std::atomic<std::uint32_t> sessions{0};  // of all workers, for maxclients
  std::atomic<std::uint32_t> monitors{0};  // sessions in MONITOR
  std::atomic<bool> draining{false};
  // Some read may come from a replica or from memory: writes must be remembered. Never unset: what
  // was begun must be ended.
  std::atomic<bool> remember_writes{false};
  std::vector<const metrics::WorkerMetrics*> metrics;  // of all workers, before they start
  std::string version;
  std::int64_t started_unix = 0;  // seconds
  // Asks the prober to look again at once.
  std::function<void()> refresh_topology;
  // Tells the breakers what went wrong, `count` times; null: nobody asks. Any thread.
  std::function<void(route::NodeId node, route::Failure failure, std::uint32_t count)> report;
  // Runs `action` on a worker's thread, within a turn.
  std::function<void(std::uint32_t worker, std::function<void(Context&)> action)> post;
};

// The key of a request of the running batch, looked at ahead of its turn.
struct HashedKey {
  const char* key = nullptr;  // where it lies; null: none
  policy::ClassId key_class = policy::kNoClass;
  std::uint64_t hash = 0;  // only where the class is cached
};

// What one worker has. Owned by the Worker, used on its thread only.
struct Context {
  Context(net::TurnHooks& hooks,
          upstream::ConnectionEvents& events_of_upstream,
          Shared& everything,
          std::uint32_t worker_index)
      : shared(everything),
        worker(worker_index),
        events(events_of_upstream),
        runtime(hooks, everything.config),
        lanes(runtime, events_of_upstream),
        pinned(runtime, events_of_upstream),
        rules(everything.rules),
        rule_stage(worker_index),
        retry_budgets(metrics::kMaxNodes,
                      upstream::RetryBudget(everything.config.upstream.retries)),
        slowlog(everything.config.slowlog.max_entries),
        hot_keys(kHotKeys),
        random(worker_index + 1) {}

  static constexpr std::size_t kHotKeys = 128;

  Shared& shared;
  const std::uint32_t worker;
  upstream::ConnectionEvents& events;
  upstream::Runtime runtime;
  upstream::LaneSet lanes;
  upstream::PinnedPool pinned;
  SessionTable sessions;
  route::TopologyPtr topology = std::make_shared<const route::Topology>();
  policy::RulesPtr rules;
  RuleStage rule_stage;
  Flights flights;
  LeaseWaits waits;
  std::vector<upstream::RetryBudget> retry_budgets;  // by node
  const Retry* again = nullptr;                      // what is being handled once more; null: not
  route::NodeId avoided = route::kNoNode;            // not for the running request, if possible
  std::uint32_t ready_nodes = 0;                     // of `topology`, and spare ones
  std::unordered_map<upstream::SlotIndex, MgetFill> mgets;
  command::LearnedCommands learned;
  TtlState ttl;
  mutable MatchedKey matched;  // of the running request
  Slowlog slowlog;
  cache::HotKeys hot_keys;
  std::uint64_t hot_bytes = 0;  // of the reply from memory that was given last
  std::uint64_t random;         // of jitter and samples
  FaultSetPtr faults;           // null: no rehearsal is on
  std::uint32_t requests_to_sample = 0;
  resp::Limits limits;
  resp::RequestBatch batch;
  std::array<HashedKey, resp::RequestBatch::kCapacity> hashed_keys{};  // of `batch`
  std::size_t batch_index = 0;                                         // of the running request
  std::vector<std::string_view> keys;                                  // scratch of one request
  std::string text;                                                    // scratch of one request
  std::string frame;  // an inline request as an array
  // Key hashes of a write in flight that has several keys (RecentWrites).
  std::unordered_map<upstream::SlotIndex, std::vector<std::uint64_t>> written_keys;
  std::unordered_map<upstream::SlotIndex, std::string> learning;  // names asked for
  std::vector<upstream::SessionRef> awake;
  std::vector<upstream::SessionRef> unflushed;
  std::deque<upstream::SessionRef> pinned_waiters;
  std::unordered_map<const upstream::Connection*, upstream::SessionRef> pinned_owners;
  std::unordered_set<const upstream::Connection*> scripted;  // were given the script of limits
  std::vector<std::uint32_t> known_databases{0};
  base::TimePoint paused_until{};  // CLIENT PAUSE
  bool pause_writes_only = false;
  base::TimePoint next_protocol_log{};  // a flood of bad clients must not flood the log
  base::TimePoint next_memory_log{};    // the same of clients that do not read
};

}  // namespace pannier::proxy
