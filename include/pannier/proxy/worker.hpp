#pragma once

#include "pannier/config/config.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <functional>
#include <memory>

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
  void add_client(const NewClient& client);
  // Listens on this worker's loop and hands each socket to `accept`. Takes the descriptor.
  void listen(int descriptor, std::function<void(int)> accept);
  // Closes the listening sockets.
  void stop_listening();
  // Closes sessions at their next reply boundary; calls `done` on the worker's thread when none is
  // left.
  void drain(std::function<void()> done);

  [[nodiscard]] const metrics::WorkerMetrics& metrics() const;
  // A hint for whoever hands out sockets.
  [[nodiscard]] std::int64_t session_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::proxy
