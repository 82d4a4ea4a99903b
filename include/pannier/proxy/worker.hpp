#pragma once

#include "pannier/config/config.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/policy/rules.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace pannier::proxy {

struct Shared;
struct Context;

// A socket that was accepted and belongs to no worker yet.
struct NewClient {
  int descriptor = -1;
  const config::Listener* listener = nullptr;
};

// One event loop with its sessions, lanes and pinned connections. A session never leaves it. All
// functions but `run` may be called from any thread.
class Worker {
 public:
  Worker(Shared& shared, std::uint32_t index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Serves until `stop`. An exception that leaves it is a bug: the caller ends the process.
  void run();
  void stop();

  // Runs `action` on the worker's thread within a turn.
  void post(std::function<void(Context&)> action);
  void set_topology(route::TopologyPtr topology);
  // From the beginning of a turn on, requests are handled by these rules; then calls `done` on the
  // worker's thread. What is under way ends with the rules that it began with.
  void set_rules(policy::RulesPtr rules, std::function<void()> done);
  // On worker 0 only, when every worker has the rules: from now on changes upstream are asked for
  // as they say, and the near cache keeps what it was closed for. `closed`: see
  // NearCache::close_class. Then calls `done` on the worker's thread.
  void follow_rules(std::vector<policy::ClassId> closed, std::function<void()> done);
  void add_client(const NewClient& client);
  // Listens on this worker's loop and hands each socket to `accept`. Takes the descriptor.
  void listen(int descriptor, std::function<void(int)> accept);
  // Closes the listening sockets.
  void stop_listening();
  // Closes sessions at their next reply boundary; calls `done` on the worker's thread when none is
  // left.
  void drain(std::function<void()> done);

  // A client was turned away before it had a session. On this worker's thread.
  void count_refused(metrics::CloseReason reason);

  [[nodiscard]] const metrics::WorkerMetrics& metrics() const;
  // A hint for whoever hands out sockets.
  [[nodiscard]] std::int64_t session_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::proxy
