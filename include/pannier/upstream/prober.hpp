#pragma once

#include "pannier/config/config.hpp"
#include "pannier/metrics/dns_state.hpp"
#include "pannier/metrics/failover_state.hpp"
#include "pannier/route/recent_writes.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace pannier::upstream {

// Learns the topology: looks up each configured node, and one more for each address of the reader
// endpoint, keeps one control connection to it, asks ROLE and INFO every `probe`, and publishes a
// snapshot when something changed. Holds the
// nodes' breakers. Lives on the control thread; `publish` is called there. A node that does not
// answer within `probe` is not reachable.
class Prober {
 public:
  using Publish = std::function<void(route::TopologyPtr)>;
  using OnLookup = std::function<void(const metrics::DnsState&)>;
  using OnFailover = std::function<void(const metrics::FailoverState&)>;
  using Replies = std::function<std::uint64_t(route::NodeId)>;

  Prober(boost::asio::io_context& io,
         const config::Config& config,
         route::RecentWrites& recent_writes,
         Publish publish);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  void start();
  void stop();
  // Asks all nodes again at once: a worker saw -READONLY, or lost a connection. Thread-safe; calls
  // within a short time are joined.
  void refresh();
  // Tells the breakers what a worker saw go wrong. Thread-safe and cheap: reports are joined.
  void report(route::NodeId node, route::Failure failure, std::uint32_t count);
  // Called when a breaker changed or an outage of the primary has ended, on the control thread. To
  // be set before `start`.
  void set_on_failover(OnFailover on_failover);
  // How many replies a node gave so far, over all workers; asked on the control thread. To be set
  // before `start`; without it replies are not held against failures.
  void set_replies(Replies replies);
  // Called after each answer to a look-up, on the control thread. To be set before `start`.
  void set_on_lookup(OnLookup on_lookup);
  // Control thread only.
  void set_own_zone(std::string zone);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::upstream
