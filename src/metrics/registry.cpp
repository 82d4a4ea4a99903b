#include "pannier/metrics/registry.hpp"

#include "families.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <sstream>

namespace pannier::metrics {
namespace {

prometheus::MetricType type_of(FamilyType type) {
  switch (type) {
    case FamilyType::Counter:
      return prometheus::MetricType::Counter;
    case FamilyType::Gauge:
      return prometheus::MetricType::Gauge;
    case FamilyType::Histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram cumulative(const HistogramTotals& totals) {
  prometheus::ClientMetric::Histogram out;
  out.sample_count = totals.count;
  out.sample_sum = static_cast<double>(totals.sum_ns) / 1e9;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < totals.buckets.size(); ++i) {
    below += totals.buckets[i];
    const bool last = i == Histogram::kBoundsUs.size();
    const double bound = last ? std::numeric_limits<double>::infinity()
                              : static_cast<double>(Histogram::kBoundsUs.at(i)) / 1e6;
    out.bucket.push_back({below, bound});
  }
  return out;
}

prometheus::ClientMetric metric_of(const Sample& sample, FamilyType type) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) {
    out.label.push_back({std::string(name), value});
  }
  switch (type) {
    case FamilyType::Counter:
      out.counter.value = sample.value;
      break;
    case FamilyType::Gauge:
      out.gauge.value = sample.value;
      break;
    case FamilyType::Histogram:
      out.histogram = cumulative(sample.histogram);
      break;
  }
  return out;
}

}  // namespace

struct Registry::Impl final : prometheus::Collectable {
  explicit Impl(BuildInfo info) : build(std::move(info)) {}

  [[nodiscard]] Snapshot snapshot() const {
    Snapshot out;
    out.process = read_process_stats();
    out.near_cache = ask_near_cache();
    out.rules = ask_rules();
    out.faults = ask_faults();
    out.memory = ask_memory();
    const std::lock_guard lock(mutex);
    out.build = build;
    out.facts = facts;
    out.topology_generation = topology_generation;
    out.nodes = nodes;
    out.policy = policy;
    out.dns = dns;
    out.failover = failover;
    out.workers = workers.size();
    out.totals = sum(workers, command_names, nodes.size());
    out.totals.classes = sum_classes(workers, classes, out.near_cache.classes);
    out.totals.ttl = sum_ttl(workers, classes);
    out.totals.away = sum_away(workers, classes);
    out.totals.limits = sum_limits(workers, out.rules.limits);
    out.totals.denials = sum_denials(workers, out.rules.denials);
    return out;
  }

  // Not under the lock: the source takes those of the near cache.
  [[nodiscard]] NearCacheState ask_near_cache() const {
    std::function<NearCacheState(std::size_t)> ask;
    std::size_t count = 0;
    {
      const std::lock_guard lock(mutex);
      ask = near_cache;
      count = classes.size();
    }
    return ask ? ask(count) : NearCacheState{};
  }

  // Not under the lock either.
  [[nodiscard]] RulesState ask_rules() const {
    std::function<RulesState()> ask;
    {
      const std::lock_guard lock(mutex);
      ask = rules;
    }
    return ask ? ask() : RulesState{};
  }

  [[nodiscard]] std::vector<FaultState> ask_faults() const {
    std::function<std::vector<FaultState>()> ask;
    {
      const std::lock_guard lock(mutex);
      ask = faults;
    }
    return ask ? ask() : std::vector<FaultState>{};
  }

  [[nodiscard]] MemoryState ask_memory() const {
    std::function<MemoryState()> ask;
    {
      const std::lock_guard lock(mutex);
      ask = memory;
    }
    return ask ? ask() : MemoryState{};
  }

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    const auto now = snapshot();
    std::vector<prometheus::MetricFamily> out;
    for (const auto& family : families()) {
      Samples samples;
      family.collect(now, samples);
      if (samples.all().empty()) {
        continue;  // no nodes yet, or no command: a family without lines would be noise
      }
      prometheus::MetricFamily shown{
          std::string(family.name), std::string(family.help), type_of(family.type), {}};
      for (const auto& sample : samples.all()) {
        shown.metric.push_back(metric_of(sample, family.type));
      }
      out.push_back(std::move(shown));
    }
    return out;
  }

  mutable std::mutex mutex;
  BuildInfo build;
  Facts facts;
  std::uint64_t topology_generation = 0;
  std::vector<NodeState> nodes;
  std::vector<std::string_view> command_names;
  std::vector<const WorkerMetrics*> workers;
  std::vector<ClassFacts> classes;
  PolicyState policy;
  DnsState dns;
  FailoverState failover;
  std::function<NearCacheState(std::size_t)> near_cache;
  std::function<RulesState()> rules;
  std::function<std::vector<FaultState>()> faults;
  std::function<MemoryState()> memory;
};

Registry::Registry(BuildInfo build) : impl_(std::make_unique<Impl>(std::move(build))) {}

Registry::~Registry() = default;

void Registry::add_worker(const WorkerMetrics* worker) {
  const std::lock_guard lock(impl_->mutex);
  impl_->workers.push_back(worker);
}

void Registry::set_nodes(std::vector<NodeState> nodes, std::uint64_t topology_generation) {
  nodes.resize(std::min(nodes.size(), kMaxNodes));
  const std::lock_guard lock(impl_->mutex);
  impl_->nodes = std::move(nodes);
  impl_->topology_generation = topology_generation;
}

void Registry::set_command_names(std::vector<std::string_view> names) {
  const std::lock_guard lock(impl_->mutex);
  impl_->command_names = std::move(names);
}

void Registry::set_facts(Facts facts) {
  const std::lock_guard lock(impl_->mutex);
  impl_->facts = std::move(facts);
}

void Registry::set_draining(bool draining) {
  const std::lock_guard lock(impl_->mutex);
  impl_->facts.draining = draining;
}

void Registry::set_classes(std::vector<ClassFacts> classes) {
  classes.resize(std::min(classes.size(), kMaxClasses));
  const std::lock_guard lock(impl_->mutex);
  impl_->classes = std::move(classes);
}

void Registry::set_policy(PolicyState policy) {
  const std::lock_guard lock(impl_->mutex);
  impl_->policy = std::move(policy);
}

void Registry::set_dns(DnsState dns) {
  const std::lock_guard lock(impl_->mutex);
  impl_->dns = std::move(dns);
}

void Registry::set_failover(FailoverState failover) {
  const std::lock_guard lock(impl_->mutex);
  impl_->failover = std::move(failover);
}

void Registry::set_near_cache_source(std::function<NearCacheState(std::size_t)> source) {
  const std::lock_guard lock(impl_->mutex);
  impl_->near_cache = std::move(source);
}

void Registry::set_faults_source(std::function<std::vector<FaultState>()> source) {
  const std::lock_guard lock(impl_->mutex);
  impl_->faults = std::move(source);
}

void Registry::set_rules_source(std::function<RulesState()> source) {
  const std::lock_guard lock(impl_->mutex);
  impl_->rules = std::move(source);
}

void Registry::set_memory_source(std::function<MemoryState()> source) {
  const std::lock_guard lock(impl_->mutex);
  impl_->memory = std::move(source);
}

Snapshot Registry::snapshot() const {
  return impl_->snapshot();
}

std::string Registry::serialize() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->Collect());
  return out.str();
}

}  // namespace pannier::metrics
