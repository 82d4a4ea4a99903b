#pragma once

#include "pannier/metrics/snapshot.hpp"
#include "pannier/metrics/worker_metrics.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::metrics {

// Everything that Pannier exports: knows the workers' counters and what the control thread says of
// the nodes and the process. One per process, owned by the application. Thread-safe; nothing here
// is called by a worker.
class Registry {
 public:
  explicit Registry(BuildInfo build);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // `worker` outlives the registry.
  void add_worker(const WorkerMetrics* worker);
  // By node id. Nodes beyond kMaxNodes are not counted and not shown.
  void set_nodes(std::vector<NodeState> nodes, std::uint64_t topology_generation);
  // By command row id; the names outlive the registry (they live in the command table).
  void set_command_names(std::vector<std::string_view> names);
  void set_facts(Facts facts);
  void set_draining(bool draining);
  // By class id; may be set again when the policy changes. Classes beyond kMaxClasses are not
  // counted and not shown.
  void set_classes(std::vector<ClassFacts> classes);
  void set_policy(PolicyState policy);
  void set_dns(DnsState dns);
  void set_failover(FailoverState failover);
  // Asked at each snapshot, on the thread that takes it; `classes`: how many classes there are.
  void set_near_cache_source(std::function<NearCacheState(std::size_t classes)> source);

  // The same, of rehearsals of failure.
  void set_faults_source(std::function<std::vector<FaultState>()> source);
  // The same, of limits and denials.
  void set_rules_source(std::function<RulesState()> source);

  // The same, of memory.
  void set_memory_source(std::function<MemoryState()> source);

  [[nodiscard]] Snapshot snapshot() const;
  // The text that Prometheus reads, format 0.0.4.
  [[nodiscard]] std::string serialize() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::metrics
