#include "breaker_wiring.hpp"

#include <cstdint>

namespace pannier::app {

void wire_breakers(upstream::Prober& prober, proxy::Shared& shared, metrics::Registry& registry) {
  shared.report = [&prober](route::NodeId node, route::Failure failure, std::uint32_t count) {
    prober.report(node, failure, count);
  };
  prober.set_replies([&shared](route::NodeId node) {
    std::uint64_t replies = 0;
    for (const metrics::WorkerMetrics* worker : shared.metrics) {
      replies += worker->nodes.at(node).replies.value();
    }
    return replies;
  });
  prober.set_on_failover([&shared, &registry](const metrics::FailoverState& state) {
    shared.failover_status.set(state);
    registry.set_failover(state);
  });
}

}  // namespace pannier::app
