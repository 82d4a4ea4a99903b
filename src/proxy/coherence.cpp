#include "coherence.hpp"

#include "pannier/base/log.hpp"

#include "cached_reads.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

using cache::NodeIndex;

constexpr auto kPushWindow = std::chrono::minutes(1);
constexpr auto kShowEvery = std::chrono::seconds(1);
constexpr std::uint64_t kPushesPerFill = 5;  // behaviour 5.2
constexpr std::uint64_t kFewPushes = 1000;   // per window: not worth a change

template <typename Action>
void each_cache(Context& context, const Action& action) {
  action(context.shared.near_cache);
  if (context.shared.shadow) {
    action(*context.shared.shadow);
  }
}

}  // namespace

Coherence::Coherence(Context& context) : context_(context), tracking_(context.runtime, *this) {}

Coherence::~Coherence() {
  tracking_.close_all();
}

void Coherence::set_rules() {
  const policy::RulesPtr before = std::exchange(rules_, context_.rules);
  std::erase_if(kept_out_, [&](policy::ClassId id) {
    return rules_->at(id).name != before->at(id).name || !rules_->at(id).cache;
  });
  plan();
  const std::size_t classes = rules_->policy.classes.size();
  pushes_.resize(classes);
  fills_.resize(classes);
  for (std::size_t id = 0; id < classes; ++id) {
    pushes_[id] = context_.runtime.metrics.classes[id].invalidations.value();
    fills_[id] = fills_of(id);
  }
  context_.runtime.timers.cancel(push_timer_);
  if (rules_->any_cache) {
    watch_pushes();
  }
}

// Of all workers; pushes are heard on this one alone.
std::uint64_t Coherence::fills_of(std::size_t id) const {
  std::uint64_t sum = 0;
  for (const metrics::WorkerMetrics* worker : context_.shared.metrics) {
    sum += worker->classes[id].fills.value();
  }
  return sum;
}

void Coherence::plan() {
  policy::TrackingPlan plan = policy::plan_tracking(*rules_, kept_out_);
  // Each flag once: a class that stays OPTIN must not seem to be another for a moment.
  for (std::size_t id = 0; id < context_.shared.optin.size(); ++id) {
    const bool optin =
        std::binary_search(plan.optin.begin(), plan.optin.end(), static_cast<policy::ClassId>(id));
    context_.shared.optin[id].store(optin, std::memory_order_relaxed);
  }
  tracks_ = !plan.empty();
  tracking_.set_plan(std::move(plan));
  show_states_again();
}

void Coherence::show_states() {
  std::vector<upstream::TrackingState> states;
  if (tracks_ && topology_) {
    for (const route::Node& node : topology_->nodes) {
      states.push_back(tracking_.state(node.id));
    }
  }
  context_.shared.tracking_states.set(std::move(states));
}

void Coherence::show_states_again() {
  show_states();
  context_.runtime.timers.cancel(show_timer_);
  if (tracks_) {
    show_timer_ = context_.runtime.timers.add(context_.runtime.now + kShowEvery,
                                              [this] { show_states_again(); });
  }
}

void Coherence::set_topology(const route::TopologyPtr& topology) {
  for (const route::Node& node : topology->nodes) {
    const bool known = topology_ && node.id < topology_->nodes.size();
    if (!known) {
      continue;
    }
    const route::Node& before = topology_->nodes[node.id];
    const bool other_server =
        !before.run_id.empty() && !node.run_id.empty() && before.run_id != node.run_id;
    const bool other_role = before.role != node.role && node.role != route::Role::Unknown &&
                            before.role != route::Role::Unknown;
    if (other_server || other_role || !(before.address == node.address)) {
      each_cache(context_, [&](cache::NearCache& cache) {
        cache.flush_node(static_cast<NodeIndex>(node.id));
      });
    }
  }
  topology_ = topology;
  tracking_.set_topology(topology);
  show_states();
}

// A replica may still hold the old value: the refill waits until it has applied the change.
void Coherence::note_changed(std::uint64_t hash, std::vector<cache::Party>& woken) {
  each_cache(context_, [hash](cache::NearCache& cache) { cache.invalidate(hash); });
  context_.shared.recent_writes.begin(hash);
  context_.shared.recent_writes.end(hash, context_.runtime.now);
  if (context_.shared.leases.any()) {
    context_.shared.leases.on_changed(hash, context_.runtime.now, woken);
  }
}

void Coherence::on_invalidated(route::NodeId node, std::span<const std::string_view> keys) {
  static_cast<void>(node);
  std::vector<cache::Party> woken;
  for (const std::string_view key : keys) {
    note_changed(cache::NearCache::hash(key), woken);
    const policy::ClassId id = context_.rules->matcher.match(key);
    if (id != policy::kNoClass) {
      context_.runtime.metrics.classes[id].invalidations.add();
    }
  }
  context_.runtime.metrics.invalidated_keys.add(keys.size());
  wake_parties(context_, woken);
}

void Coherence::on_flushed(route::NodeId node) {
  static_cast<void>(node);
  each_cache(context_, [](cache::NearCache& cache) { cache.flush_all(); });
  context_.shared.recent_writes.begin_all();
  context_.shared.recent_writes.end_all(context_.runtime.now);
  std::vector<cache::Party> woken;
  context_.shared.leases.on_all_changed(context_.runtime.now, woken);
  wake_parties(context_, woken);
}

void Coherence::on_coherent(route::NodeId node, const upstream::TrackingState& state) {
  each_cache(context_,
             [node](cache::NearCache& cache) { cache.regain(static_cast<NodeIndex>(node)); });
  NodeTracking& shared = context_.shared.tracking.at(node);
  shared.redirect.store(state.redirect_id, std::memory_order_relaxed);
  shared.address.store(state.address.hash(), std::memory_order_relaxed);
  shared.rung.store(state.rung, std::memory_order_release);
  show_states();
}

void Coherence::on_lost(route::NodeId node, const std::string& reason) {
  static_cast<void>(reason);  // the tracker has logged it
  NodeTracking& shared = context_.shared.tracking.at(node);
  shared.rung.store(upstream::Rung::None, std::memory_order_release);
  shared.redirect.store(0, std::memory_order_relaxed);
  each_cache(context_,
             [node](cache::NearCache& cache) { cache.lose(static_cast<NodeIndex>(node)); });
  show_states();
}

void Coherence::on_proven(route::NodeId node, base::TimePoint at, base::Duration lag) {
  each_cache(context_,
             [&](cache::NearCache& cache) { cache.prove(static_cast<NodeIndex>(node), at); });
  if (lag.count() > 0) {
    context_.runtime.metrics.invalidation_lag.observe(lag);
  }
  show_states();
}

void Coherence::watch_pushes() {
  push_timer_ = context_.runtime.timers.add(context_.runtime.now + kPushWindow, [this] {
    leave_broadcast();
    watch_pushes();
  });
}

// A class whose writes all sidecars are told of, though few of its keys are read here, is tracked
// key by key instead.
void Coherence::leave_broadcast() {
  bool changed = false;
  const auto classes = static_cast<policy::ClassId>(pushes_.size());
  for (policy::ClassId id = 0; id < classes; ++id) {
    const std::uint64_t pushes =
        context_.runtime.metrics.classes[id].invalidations.value() - pushes_[id];
    const std::uint64_t fills = fills_of(id) - fills_[id];
    pushes_[id] += pushes;
    fills_[id] += fills;
    const bool out = std::find(kept_out_.begin(), kept_out_.end(), id) != kept_out_.end();
    if (!out && !context_.shared.optin[id].load() && pushes > kFewPushes &&
        pushes > kPushesPerFill * fills) {
      base::log_info("coherence",
                     "class {}: {} pushes and {} fills within a minute; from now on it is "
                     "tracked key by key (OPTIN) instead of by prefix",
                     rules_->at(id).name,
                     pushes,
                     fills);
      kept_out_.push_back(id);
      changed = true;
    }
  }
  if (changed) {
    plan();
  }
}

}  // namespace pannier::proxy
