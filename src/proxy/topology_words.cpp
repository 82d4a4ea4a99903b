#include "pannier/metrics/snapshot.hpp"
#include "pannier/proxy/near_cache_state.hpp"

#include "explain.hpp"
#include "introspection.hpp"
#include "near_cache_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

// PANNIER TOPOLOGY: one look at what is wrong, at 3 a.m.
namespace pannier::proxy {
namespace {

template <typename Read>
std::int64_t sum(const Context& context, const Read& read) {
  const auto& workers = context.shared.metrics;
  return std::accumulate(workers.begin(),
                         workers.end(),
                         std::int64_t{0},
                         [&](std::int64_t so_far, const metrics::WorkerMetrics* worker) {
                           return so_far + static_cast<std::int64_t>(read(*worker).value());
                         });
}

// Milliseconds that the node's oldest request has been waiting, over all workers.
std::int64_t oldest_ms(const Context& context, route::NodeId node) {
  base::Duration oldest{};
  for (const metrics::WorkerMetrics* worker : context.shared.metrics) {
    const base::Duration began(worker->nodes.at(node).oldest.value());
    if (began.count() != 0) {
      oldest = std::max(oldest, context.runtime.now.time_since_epoch() - began);
    }
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(oldest).count();
}

std::string_view breaker_word(route::BreakerState state) {
  return metrics::kBreakerStates.at(static_cast<std::size_t>(state));
}

std::string node_line(const Context& context, const route::Node& node) {
  const auto of_node = [&](auto member) {
    return sum(
        context, [&](const metrics::WorkerMetrics& worker) -> const auto& {
          return worker.nodes.at(node.id).*member;
        });
  };
  const auto pinned = [&](metrics::PinnedState state) {
    return sum(
        context, [&](const metrics::WorkerMetrics& worker) -> const auto& {
          return worker.nodes.at(node.id).pinned.at(static_cast<std::size_t>(state));
        });
  };
  using metrics::NodeMetrics;
  std::string out = fmt::format(
      "node: {} role={} zone={} reachable={} ready={} breaker={} offset={} lag_bytes={} rtt_us={} "
      "lanes={} inflight={} oldest_ms={} pinned_used={} pinned_idle={} timeouts={} late={} lost={} "
      "connect_failures={}",
      node.name,
      route::to_string(node.role),
      node.zone.empty() ? "unknown" : node.zone,
      node.reachable ? "yes" : "no",
      node.ready ? "yes" : "no",
      breaker_word(node.breaker),
      node.offset,
      node.lag_bytes,
      node.rtt_us,
      of_node(&NodeMetrics::lanes),
      of_node(&NodeMetrics::inflight),
      oldest_ms(context, node.id),
      pinned(metrics::PinnedState::Used),
      pinned(metrics::PinnedState::Idle),
      of_node(&NodeMetrics::timeouts),
      of_node(&NodeMetrics::late_replies),
      of_node(&NodeMetrics::connections_lost),
      of_node(&NodeMetrics::connect_failures));
  return out + (node.last_error.empty() ? "" : " error=" + node.last_error) + "\n";
}

// "name: reason=count ..." of those that are not 0.
template <typename Reason, typename Counters>
std::string reasons_line(const Context& context, std::string_view name, Counters counters) {
  std::string out(name);
  for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::kCount); ++i) {
    const auto count = sum(
        context, [&](const metrics::WorkerMetrics& worker) -> const auto& {
          return (worker.*counters)[i];
        });
    if (count != 0) {
      out += fmt::format(" {}={}", label_of(static_cast<Reason>(i)), count);
    }
  }
  return out + "\n";
}

std::string failover_line(const metrics::FailoverState& state) {
  return fmt::format("failovers: {} outages_of_primary: {} last_took_ms: {:.0f}\n",
                     state.failovers,
                     state.outages,
                     state.last_seconds * 1000);
}

}  // namespace

std::string memory_lines(const base::MemoryBudget& memory) {
  std::string out = fmt::format(
      "memory_level: {}\nmemory_budget: {}\nmemory_estimated: {}\nmemory_resident: {}\n",
      base::to_string(memory.level()),
      memory.budget(),
      memory.estimate(),
      memory.resident());
  for (std::size_t i = 0; i < base::kMemoryOwners; ++i) {
    const auto owner = static_cast<base::MemoryOwner>(i);
    out += fmt::format("memory_{}: {}\n", base::to_string(owner), memory.held_by(owner));
  }
  return out;
}

std::string describe_topology(const Context& context) {
  const route::Topology& topology = *context.topology;
  std::string out = fmt::format("generation: {}\nown_zone: {}\nserver_version: {}\n",
                                topology.generation,
                                topology.own_zone.empty() ? "unknown" : topology.own_zone,
                                topology.server_version);
  for (const route::Node& node : topology.nodes) {
    out += node_line(context, node);
  }
  const auto states = context.shared.tracking_states.get();
  for (std::size_t i = 0; i < std::min(states.size(), topology.nodes.size()); ++i) {
    out += coherence_line(topology.nodes[i].name, coherence_of(states[i], context.runtime.now));
  }
  using metrics::WorkerMetrics;
  out += failover_line(context.shared.failover_status.get());
  out += reasons_line<metrics::RetryReason>(context, "retries:", &WorkerMetrics::retries);
  out += fmt::format(
      "retries_over_budget: {} retries_given_up: {}\n",
      sum(
          context, [](const WorkerMetrics& w) -> const auto& { return w.retries_over_budget; }),
      sum(
          context, [](const WorkerMetrics& w) -> const auto& { return w.retries_given_up; }));
  out += reasons_line<metrics::Refusal>(context, "refused:", &WorkerMetrics::refusals);
  out += reasons_line<metrics::CloseReason>(
      context, "clients_closed:", &WorkerMetrics::sessions_closed);
  return out + memory_lines(context.shared.memory);
}

}  // namespace pannier::proxy
