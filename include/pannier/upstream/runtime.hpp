#pragma once

#include "pannier/base/byte_queue.hpp"
#include "pannier/base/clock.hpp"
#include "pannier/base/timer_queue.hpp"
#include "pannier/config/config.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/net/poller.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/connect_budget.hpp"
#include "pannier/upstream/deadlines.hpp"
#include "pannier/upstream/slot.hpp"
#include "pannier/upstream/worker_memory.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace pannier::upstream {

class Connection;

// What everything on one worker shares: memory, time, the poller. Owned by the worker, used on its
// thread only, outlives sessions and connections.
struct Runtime {
  // Bytes of the one read buffer. Each piece of a large reply is one send, which wakes the client:
  // halves of 1 MiB cost a fifth less than quarters, whole ones no less.
  static constexpr std::size_t kScratch = 512 * 1024;

  Runtime(net::TurnHooks& hooks, const config::Config& configuration)
      : config(configuration),
        poller(hooks),
        deadlines(slots,
                  {configuration.upstream.timeouts.read,
                   configuration.upstream.timeouts.write,
                   configuration.upstream.timeouts.slow,
                   configuration.upstream.timeouts.attempt}),
        scratch(std::make_unique_for_overwrite<char[]>(kScratch)) {}

  const config::Config& config;
  net::Poller poller;
  base::TimePoint now = base::Clock::now();  // of the running turn
  base::BlockPool blocks;
  SlotSlab slots;
  WorkerMemory memory{blocks, slots};
  Deadlines deadlines;
  base::TimerQueue timers;
  metrics::WorkerMetrics metrics;
  std::unique_ptr<char[]> scratch;  // what is read lies here until the turn's next read
  std::vector<Connection*> unflushed;
  // Tells the breakers that a node failed; null: nobody asks.
  std::function<void(route::NodeId, route::Failure)> report;
  // Lets so many of those try again who were refused an exclusive connection; true: others wait on.
  std::function<bool(std::size_t)> wake_pinned;
  ConnectBudget* connect_budget = nullptr;  // of the process; null: no bound
};

}  // namespace pannier::upstream
