#include "json.hpp"
#include "views.hpp"

namespace pannier::admin {
namespace {

void write_process(JsonWriter& json, const metrics::Snapshot& now, Readiness readiness) {
  json.field("version", now.build.version)
      .field("revision", now.build.revision)
      .field("state", to_string(readiness))
      .field("uptime_seconds", now.process.uptime_seconds)
      .field("cpu_seconds", now.process.cpu_seconds)
      .field("workers", static_cast<std::uint64_t>(now.workers))
      .field("turns", now.totals.turns);
  json.key("memory").begin_object();
  json.field("resident_bytes", now.process.resident_bytes)
      .field("budget_bytes", now.facts.memory_budget_bytes)
      .field("client_output_bytes", now.totals.output_bytes);
  json.end_object();
}

void write_policy(JsonWriter& json, const metrics::PolicyState& policy) {
  json.key("policy");
  if (policy.generation == 0) {
    json.null();
    return;
  }
  json.begin_object();
  json.field("generation", policy.generation)
      .field("hash", policy.hash)
      .field("age_seconds", age_of(policy));
  json.key("reloads").begin_object();
  for (std::size_t i = 0; i < policy.reloads.size(); ++i) {
    json.field(label_of(static_cast<metrics::ReloadResult>(i)), policy.reloads.at(i));
  }
  json.end_object().field("last_error", policy.last_error);
  json.end_object();
}

void write_sessions(JsonWriter& json, const metrics::Snapshot& now) {
  const auto& totals = now.totals;
  json.key("sessions").begin_object();
  json.field("open", totals.sessions)
      .field("limit", now.facts.max_clients)
      .field("accepted", totals.sessions_accepted)
      .field("blocked", totals.sessions_blocked)
      .field("waiting", totals.sessions_waiting)
      .field("received_bytes", totals.bytes_received)
      .field("sent_bytes", totals.bytes_sent);
  json.key("closed").begin_object();
  for (std::size_t i = 0; i < totals.sessions_closed.size(); ++i) {
    json.field(label_of(static_cast<metrics::CloseReason>(i)), totals.sessions_closed[i]);
  }
  json.end_object().end_object();
}

void write_requests(JsonWriter& json, const metrics::Totals& totals) {
  json.key("refusals").begin_object();
  for (std::size_t i = 0; i < totals.refusals.size(); ++i) {
    json.field(label_of(static_cast<metrics::Refusal>(i)), totals.refusals[i]);
  }
  json.end_object();
  json.key("reads").begin_object();
  json.field("same_zone", totals.reads_same_zone)
      .field("cross_zone", totals.reads_cross_zone)
      .field("kept_on_primary", totals.reads_kept_on_primary);
  json.end_object();
  json.key("commands").begin_object();
  for (const auto& command : totals.commands) {
    json.key(command.name).begin_object();
    json.field("requests", command.requests)
        .field("errors", command.errors)
        .field("duration_us", command.duration_us);
    json.end_object();
  }
  json.end_object();
}

void write_node(JsonWriter& json, const metrics::NodeTotals& node) {
  using metrics::PinnedState;
  json.field("requests", node.requests)
      .field("inflight", node.inflight)
      .field("lanes", node.lanes)
      .field("pinned_used", node.pinned[static_cast<std::size_t>(PinnedState::Used)])
      .field("pinned_idle", node.pinned[static_cast<std::size_t>(PinnedState::Idle)])
      .field("connects", node.connects)
      .field("connect_failures", node.connect_failures)
      .field("connections_lost", node.connections_lost)
      .field("timeouts", node.timeouts)
      .field("late_replies", node.late_replies)
      .field("lanes_retired", node.lanes_retired)
      .field("sent_bytes", node.bytes_sent)
      .field("received_bytes", node.bytes_received);
}

template <typename Value>
void field_or_null(JsonWriter& json, std::string_view name, const std::optional<Value>& value) {
  json.key(name);
  if (value) {
    json.value(*value);
  } else {
    json.null();
  }
}

void write_coherence(JsonWriter& json, const metrics::NodeCoherence& node) {
  json.begin_object();
  json.field("rung", node.rung)
      .field("reason", node.reason)
      .field("invalidated_keys", node.keys)
      .field("flushes", node.flushes)
      .field("losses", node.losses);
  field_or_null(json, "canary_age_seconds", node.canary_age_seconds);
  field_or_null(json, "canary_lag_seconds", node.canary_lag_seconds);
  json.end_object();
}

template <typename Enumeration, std::size_t N>
void write_counts(JsonWriter& json,
                  std::string_view name,
                  const std::array<std::uint64_t, N>& counts) {
  json.key(name).begin_object();
  for (std::size_t i = 0; i < N; ++i) {
    json.field(label_of(static_cast<Enumeration>(i)), counts.at(i));
  }
  json.end_object();
}

void write_class(JsonWriter& json, const metrics::ClassTotals& totals) {
  json.begin_object();
  field_or_null(json, "hit_ratio", totals.hit_ratio());
  json.field("hits", totals.hits)
      .field("negative_hits", totals.negative_hits)
      .field("stale_hits", totals.stale_hits)
      .field("error_hits", totals.error_hits);
  write_counts<metrics::Miss>(json, "misses", totals.misses);
  json.field("joins", totals.joins)
      .field("fills", totals.fills)
      .field("doomed", totals.doomed)
      .field("too_large", totals.too_large)
      .field("refreshes", totals.refreshes)
      .field("invalidations", totals.invalidations)
      .field("bytes", totals.use.bytes)
      .field("entries", totals.use.entries)
      .field("evictions", totals.use.evictions)
      .field("expirations", totals.use.expirations)
      .field("lease_grants", totals.lease_grants)
      .field("lease_waits", totals.lease_waits);
  write_counts<metrics::LeaseEnd>(json, "lease_ends", totals.lease_ends);
  json.field("shadow_hits", totals.shadow_hits)
      .field("shadow_misses", totals.shadow_misses)
      .field("shadow_stale", totals.shadow_stale)
      .field("sampled", totals.sampled)
      .field("observed_stale", totals.observed_stale);
  json.end_object();
}

void write_near_cache(JsonWriter& json, const metrics::Snapshot& now) {
  json.key("near_cache").begin_object();
  json.field("budget_bytes", now.near_cache.budget_bytes)
      .field("used_bytes", now.near_cache.used_bytes)
      .field("entries", now.near_cache.entries)
      .field("bypass_seconds", now.near_cache.bypass_seconds)
      .field("invalidated_keys", now.totals.invalidated_keys);
  json.key("classes").begin_object();
  for (const auto& each : now.totals.classes) {
    json.key(each.name);
    write_class(json, each);
  }
  json.end_object().end_object();
}

// What `on_error` and `miss.concurrent` of the classes did.
void write_away(JsonWriter& json, const std::vector<metrics::AwayTotals>& classes) {
  json.key("away").begin_object();
  for (const auto& each : classes) {
    json.key(each.name).begin_object();
    write_counts<metrics::AwayAnswer>(json, "answers", each.answers);
    write_counts<metrics::AwayAnswer>(json, "observed", each.observed);
    json.field("miss_waits", each.miss_waits).field("miss_over_cap", each.miss_over_cap);
    json.end_object();
  }
  json.end_object();
}

}  // namespace

std::string topology_json(const metrics::Snapshot& snapshot) {
  JsonWriter json;
  json.begin_object();
  json.field("generation", snapshot.topology_generation)
      .field("own_zone", snapshot.facts.own_zone)
      .field("server_version", snapshot.facts.server_version);
  json.key("nodes").begin_array();
  for (std::size_t i = 0; i < snapshot.nodes.size(); ++i) {
    const auto& node = snapshot.nodes[i];
    json.begin_object();
    json.field("name", node.name)
        .field("role", node.role)
        .field("zone", node.zone)
        .field("up", node.up)
        .field("ready", node.ready);
    field_or_null(json, "lag_bytes", node.lag_bytes);
    field_or_null(json, "rtt_seconds", node.rtt_seconds);
    json.field("last_error", node.last_error).key("coherence");
    if (i < snapshot.near_cache.nodes.size()) {
      write_coherence(json, snapshot.near_cache.nodes[i]);
    } else {
      json.null();
    }
    json.end_object();
  }
  json.end_array().end_object();
  return json.take();
}

std::string stats_json(const metrics::Snapshot& snapshot, Readiness readiness) {
  JsonWriter json;
  json.begin_object();
  write_process(json, snapshot, readiness);
  write_policy(json, snapshot.policy);
  write_sessions(json, snapshot);
  write_requests(json, snapshot.totals);
  write_near_cache(json, snapshot);
  write_away(json, snapshot.totals.away);
  json.key("nodes").begin_object();
  for (std::size_t i = 0; i < snapshot.nodes.size(); ++i) {
    json.key(snapshot.nodes[i].name).begin_object();
    write_node(json, snapshot.totals.nodes[i]);
    json.end_object();
  }
  json.end_object().end_object();
  return json.take();
}

std::string faults_json(const std::vector<metrics::FaultState>& faults) {
  JsonWriter json;
  json.begin_array();
  for (const auto& fault : faults) {
    json.begin_object();
    json.field("id", fault.id)
        .field("rule", fault.rule)
        .field("hits", fault.hits)
        .field("seconds_left", fault.seconds_left);
    json.end_object();
  }
  json.end_array();
  return json.take();
}

std::string hot_keys_json(const std::vector<HotKeyView>& keys) {
  JsonWriter json;
  json.begin_array();
  for (const auto& key : keys) {
    json.begin_object();
    json.field("key", key.name)
        .field("per_second", key.per_second)
        .field("count", key.count)
        .field("error", key.error)
        .field("bytes", key.bytes);
    json.end_object();
  }
  json.end_array();
  return json.take();
}

}  // namespace pannier::admin
