#include "families.hpp"

#include <cstddef>
#include <iterator>
#include <vector>

namespace pannier::metrics {
namespace {

using enum FamilyType;

constexpr double kMicrosecond = 1e-6;

// The shapes that rows have in common: one number, one number per node or per command.

template <auto Member>
void total(const Snapshot& s, Samples& out) {
  out.add(s.totals.*Member);
}

template <auto Member>
void process(const Snapshot& s, Samples& out) {
  out.add(s.process.*Member);
}

template <auto Member>
void fact(const Snapshot& s, Samples& out) {
  out.add(s.facts.*Member);
}

template <auto Member>
void per_node(const Snapshot& s, Samples& out) {
  for (std::size_t i = 0; i < s.nodes.size(); ++i) {
    out.add(s.totals.nodes[i].*Member, {{"node", s.nodes[i].name}});
  }
}

template <auto Member>
void per_command(const Snapshot& s, Samples& out) {
  for (const auto& command : s.totals.commands) {
    out.add(command.*Member, {{"cmd", std::string(command.name)}});
  }
}

template <typename Enumeration, auto Member>
void per_reason(const Snapshot& s, Samples& out) {
  const auto& counts = s.totals.*Member;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.add(counts[i], {{"reason", std::string(label_of(static_cast<Enumeration>(i)))}});
  }
}

void build_info(const Snapshot& s, Samples& out) {
  out.add(1,
          {{"version", s.build.version},
           {"revision", s.build.revision},
           {"compiler", s.build.compiler}});
}

void command_seconds(const Snapshot& s, Samples& out) {
  for (const auto& command : s.totals.commands) {
    out.add(static_cast<double>(command.duration_us) * kMicrosecond,
            {{"cmd", std::string(command.name)}});
  }
}

void request_seconds(const Snapshot& s, Samples& out) {
  out.add_histogram(s.totals.local_duration, {{"path", "local"}});
  out.add_histogram(s.totals.upstream_duration, {{"path", "upstream"}});
}

void pinned(const Snapshot& s, Samples& out) {
  for (std::size_t i = 0; i < s.nodes.size(); ++i) {
    const auto& states = s.totals.nodes[i].pinned;
    for (std::size_t state = 0; state < states.size(); ++state) {
      out.add(states[state],
              {{"node", s.nodes[i].name},
               {"state", std::string(label_of(static_cast<PinnedState>(state)))}});
    }
  }
}

// Role and zone are here only: a failover must not break the series of all other families.
void node_up(const Snapshot& s, Samples& out) {
  for (const auto& node : s.nodes) {
    out.add(node.up, {{"node", node.name}, {"role", node.role}, {"zone", node.zone}});
  }
}

void node_ready(const Snapshot& s, Samples& out) {
  for (const auto& node : s.nodes) {
    out.add(node.ready, {{"node", node.name}});
  }
}

template <auto Member>
void if_known(const Snapshot& s, Samples& out) {
  for (const auto& node : s.nodes) {
    const auto& value = node.*Member;
    if (value) {
      out.add(*value, {{"node", node.name}});
    }
  }
}

void workers(const Snapshot& s, Samples& out) {
  out.add(s.workers);
}

void generation(const Snapshot& s, Samples& out) {
  out.add(s.topology_generation);
}

void memory_level(const Snapshot& s, Samples& out) {
  out.add(s.memory.level);
}

void memory_estimate(const Snapshot& s, Samples& out) {
  out.add(s.memory.estimated_bytes);
}

void memory_held(const Snapshot& s, Samples& out) {
  for (const auto& [owner, bytes] : s.memory.owners) {
    out.add(bytes, {{"owner", std::string(owner)}});
  }
}

constexpr Family kFamilies[] = {
    {"pannier_build_info", Gauge, "Always 1; what was built is in the labels.", build_info},

    {"process_cpu_seconds_total",
     Counter,
     "User and system CPU time spent.",
     process<&ProcessStats::cpu_seconds>},
    {"process_resident_memory_bytes",
     Gauge,
     "Memory of the process that is in RAM.",
     process<&ProcessStats::resident_bytes>},
    {"process_virtual_memory_bytes",
     Gauge,
     "Address space of the process.",
     process<&ProcessStats::virtual_bytes>},
    {"process_open_fds", Gauge, "Open file descriptors.", process<&ProcessStats::open_fds>},
    {"process_max_fds",
     Gauge,
     "Most file descriptors that may be open.",
     process<&ProcessStats::max_fds>},
    {"process_start_time_seconds",
     Gauge,
     "When the process started, in seconds since 1970.",
     process<&ProcessStats::start_time_seconds>},

    {"pannier_workers", Gauge, "Worker threads.", workers},
    {"pannier_turns_total", Counter, "Turns of the workers' event loops.", total<&Totals::turns>},
    {"pannier_draining", Gauge, "1 while Pannier is stopping.", fact<&Facts::draining>},
    {"pannier_memory_budget_bytes",
     Gauge,
     "What Pannier allows itself for everything.",
     fact<&Facts::memory_budget_bytes>},
    {"pannier_memory_level",
     Gauge,
     "0 normal; 1 tight: caches and windows are smaller; 2 full: clients are refused and closed.",
     memory_level},
    {"pannier_memory_estimated_bytes",
     Gauge,
     "Resident memory at the last reading and what was held since.",
     memory_estimate},
    {"pannier_memory_held_bytes", Gauge, "Memory by who holds it.", memory_held},
    {"pannier_max_clients", Gauge, "Most client connections at a time.", fact<&Facts::max_clients>},
    {"pannier_topology_generation",
     Gauge,
     "Grows with each change of roles, readiness or addresses upstream.",
     generation},

    {"pannier_client_connections", Gauge, "Open client connections.", total<&Totals::sessions>},
    {"pannier_client_connections_total",
     Counter,
     "Client connections accepted.",
     total<&Totals::sessions_accepted>},
    {"pannier_client_connections_closed_total",
     Counter,
     "Client connections closed, by what ended them.",
     per_reason<CloseReason, &Totals::sessions_closed>},
    {"pannier_client_received_bytes_total",
     Counter,
     "Bytes read from clients.",
     total<&Totals::bytes_received>},
    {"pannier_client_sent_bytes_total",
     Counter,
     "Bytes written to clients.",
     total<&Totals::bytes_sent>},
    {"pannier_client_blocked",
     Gauge,
     "Clients inside a blocking command.",
     total<&Totals::sessions_blocked>},
    {"pannier_client_waiting",
     Gauge,
     "Clients that wait for an exclusive upstream connection or for an earlier request.",
     total<&Totals::sessions_waiting>},
    {"pannier_client_output_bytes",
     Gauge,
     "Replies held until their clients read them.",
     total<&Totals::output_bytes>},
    {"pannier_client_auth_ignored_total",
     Counter,
     "AUTH and HELLO AUTH accepted without looking at the secret.",
     total<&Totals::auth_ignored>},

    {"pannier_commands_total",
     Counter,
     "Requests by command; those that the table does not know are \"other\".",
     per_command<&CommandTotals::requests>},
    {"pannier_commands_failed_total",
     Counter,
     "Requests answered with an error, by upstream or by Pannier.",
     per_command<&CommandTotals::errors>},
    {"pannier_commands_duration_seconds_total",
     Counter,
     "Time from parsed to answered, summed by command.",
     command_seconds},
    {"pannier_request_duration_seconds",
     Histogram,
     "Time from parsed to answered: by Pannier itself (local) or through upstream.",
     request_seconds},
    {"pannier_refusals_total",
     Counter,
     "Requests that Pannier itself answered with an error.",
     per_reason<Refusal, &Totals::refusals>},

    {"pannier_retries_total",
     Counter,
     "Requests that were handled once more, by what had become of them.",
     per_reason<RetryReason, &Totals::retries>},
    {"pannier_retries_over_budget_total",
     Counter,
     "Requests that failed because their node's budget of further tries was used up.",
     total<&Totals::retries_over_budget>},
    {"pannier_retries_given_up_total",
     Counter,
     "Requests that were to be tried again and could not be before their deadline.",
     total<&Totals::retries_given_up>},

    {"pannier_reads_same_zone_total",
     Counter,
     "Reads sent to a node in Pannier's own zone.",
     total<&Totals::reads_same_zone>},
    {"pannier_reads_cross_zone_total",
     Counter,
     "Reads sent to a node in another zone.",
     total<&Totals::reads_cross_zone>},
    {"pannier_reads_kept_on_primary_total",
     Counter,
     "Reads that a replica could have served but for a recent write to their key.",
     total<&Totals::reads_kept_on_primary>},

    {"pannier_upstream_up",
     Gauge,
     "1 when the node answered the last probe; with the role that it reported.",
     node_up},
    {"pannier_upstream_ready", Gauge, "1 when the node may serve reads.", node_ready},
    {"pannier_upstream_lag_bytes",
     Gauge,
     "Replication bytes behind the primary at the last probe.",
     if_known<&NodeState::lag_bytes>},
    {"pannier_upstream_probe_rtt_seconds",
     Gauge,
     "Smoothed round trip of the probe.",
     if_known<&NodeState::rtt_seconds>},
    {"pannier_upstream_requests_total",
     Counter,
     "Requests sent to the node.",
     per_node<&NodeTotals::requests>},
    {"pannier_upstream_connects_total",
     Counter,
     "Connections opened to the node.",
     per_node<&NodeTotals::connects>},
    {"pannier_upstream_connects_delayed_total",
     Counter,
     "Connections to the node that had to wait because too many were wanted at once.",
     per_node<&NodeTotals::connects_delayed>},
    {"pannier_upstream_connect_failures_total",
     Counter,
     "Connections to the node that could not be opened.",
     per_node<&NodeTotals::connect_failures>},
    {"pannier_upstream_connections_lost_total",
     Counter,
     "Open connections that broke.",
     per_node<&NodeTotals::connections_lost>},
    {"pannier_upstream_timeouts_total",
     Counter,
     "Requests without a reply by their deadline.",
     per_node<&NodeTotals::timeouts>},
    {"pannier_upstream_oldest_request_seconds",
     Gauge,
     "Age of the oldest request on a shared connection that has no reply yet.",
     per_node<&NodeTotals::oldest_seconds>},
    {"pannier_upstream_late_replies_total",
     Counter,
     "Replies that came after the deadline, and were dropped.",
     per_node<&NodeTotals::late_replies>},
    {"pannier_upstream_lanes_retired_total",
     Counter,
     "Shared connections taken out of use because a client did not drain a large reply.",
     per_node<&NodeTotals::lanes_retired>},
    {"pannier_upstream_sent_bytes_total",
     Counter,
     "Bytes written to the node.",
     per_node<&NodeTotals::bytes_sent>},
    {"pannier_upstream_received_bytes_total",
     Counter,
     "Bytes read from the node.",
     per_node<&NodeTotals::bytes_received>},
    {"pannier_upstream_lanes",
     Gauge,
     "Open shared connections to the node.",
     per_node<&NodeTotals::lanes>},
    {"pannier_upstream_inflight",
     Gauge,
     "Requests sent to the node and not answered yet.",
     per_node<&NodeTotals::inflight>},
    {"pannier_upstream_pinned",
     Gauge,
     "Exclusive connections to the node, in use by a client or idle in the pool.",
     pinned},
};

}  // namespace

std::span<const Family> families() {
  static const std::vector<Family> kAll = [] {
    std::vector<Family> all(std::begin(kFamilies), std::end(kFamilies));
    for (const auto more : {near_cache_families(),
                            policy_families(),
                            limit_families(),
                            dns_families(),
                            away_families(),
                            failover_families()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return kAll;
}

}  // namespace pannier::metrics
