#include "keys.hpp"

#include "assign.hpp"

#include <array>

namespace pannier::config {
namespace {

using D = Draft&;
using R = const Reading&;

constexpr std::int64_t kMaxSize = std::int64_t{1024} * 1024 * kMiB;

void add_node(D draft, R reading) {
  draft.config.upstream.nodes.emplace_back();
  draft.node_paths.push_back(reading.path);
}

void set_kind(D draft, R reading) {
  if (reading.number > static_cast<std::int64_t>(UpstreamKind::Replicated)) {
    draft.faults->error(reading.place,
                        reading.path,
                        "not available in this version: write single or replicated, and list the "
                        "nodes under `nodes:`");
    return;
  }
  assign(draft.config.upstream.kind, reading);
  draft.kind_given = true;
}

// Wherever it stands in the file, the primary comes first.
void set_primary(D draft, R reading) {
  auto& nodes = draft.config.upstream.nodes;
  nodes.insert(nodes.begin(), Node{reading.endpoint, ""});
  draft.node_paths.insert(draft.node_paths.begin(), reading.path);
}

void set_workers(D draft, R reading) {
  assign(draft.workers, reading);
  assign(draft.config.workers, reading);
}

void set_memory(D draft, R reading) {
  assign(draft.memory, reading);
  assign(draft.config.memory, reading);
}

void set_near_cache(D draft, R reading) {
  assign(draft.near_cache, reading);
  assign(draft.config.near_cache, reading);
}

void set_zone(D draft, R reading) {
  draft.config.zone = reading.is_auto ? "auto" : reading.text;
}

Credentials& credentials(D draft) {
  auto& auth = draft.config.upstream.auth;
  return auth ? *auth : auth.emplace();
}

// A row reads better as one or two lines than as eight.
// clang-format off
constexpr std::array kKeys{
    Key{"", Type::Section, "", "the whole file"},

    Key{"version", Type::Count, "1", "of this format", [](D, R) {}, 1, 1},

    Key{"listen", Type::List, "", "where clients connect", [](D, R) {}, 1, 64},
    Key{"listen[]", Type::Section, "", "a listener; a plain string is its address",
        [](D d, R) { d.config.listen.emplace_back(); }, 0, 0, "address"},
    Key{"listen[].address", Type::Address, "127.0.0.1:6379", "host:port on loopback, or unix:/path",
        [](D d, R r) { assign(d.config.listen.back().address, r); }, 0, 0, "", true},
    Key{"listen[].strong", Type::Flag, "false", "primary only: no replicas, nothing from memory",
        [](D d, R r) { assign(d.config.listen.back().strong, r); }},
    Key{"listen[].mode", Type::Mode, "", "of a Unix socket's file, in octal",
        [](D d, R r) { assign(d.config.listen.back().mode.emplace(), r); }},
    Key{"listen[].reads", Type::Choice, "", "where this listener's reads go",
        [](D d, R r) { assign(d.config.listen.back().reads.emplace(), r); }, 0, 0, kReadsWords},
    Key{"listen[].auth", Type::Choice, "accept", "what AUTH answers without `users:`",
        [](D d, R r) { assign(d.config.listen.back().auth, r); }, 0, 0, "accept|reject"},
    Key{"listen[].tls", Type::Refused, "", "listen on loopback or on a Unix socket"},

    Key{"probe", Type::Switchable, "", "/healthz, /readyz and /metrics; or off",
        [](D d, R r) { assign(d.config.probe.enabled, r); }, 0, 0, "address"},
    Key{"probe.address", Type::Address, "127.0.0.1:9180", "0.0.0.0 where an orchestrator asks",
        [](D d, R r) { assign(d.config.probe.address, r); }},

    Key{"admin", Type::Switchable, "", "status, hot keys, actions; or off",
        [](D d, R r) { assign(d.config.admin.enabled, r); }, 0, 0, "address"},
    Key{"admin.address", Type::Address, "127.0.0.1:9181", "anywhere but loopback needs token_file",
        [](D d, R r) { assign(d.config.admin.address, r); }},
    Key{"admin.token_file", Type::SecretFile, "", "what callers must send as a bearer token",
        [](D d, R r) { assign(d.config.admin.token, r); }},
    Key{"admin.show_keys", Type::Flag, "false", "key names as they are, not hashed",
        [](D d, R r) { assign(d.config.admin.show_keys, r); }},

    Key{"workers", Type::Count, "1", "threads; auto: the cgroup's CPU quota, 1 to 2",
        set_workers, 1, 64, "auto"},
    Key{"memory", Type::Size, "auto", "for everything; auto: 256MiB or half of the cgroup's limit",
        set_memory, 16 * kMiB, kMaxSize, "auto"},
    Key{"near_cache", Type::Size, "auto", "at most half of memory; auto: half",
        set_near_cache, 0, kMaxSize, "auto"},
    Key{"zone", Type::Text, "auto", "where this instance runs: auto, imds or a name",
        set_zone, 0, 64, "auto"},
    Key{"zone_file", Type::Path, "", "a file with the zone's name, as the downward API makes one",
        [](D d, R r) { assign(d.config.zone_file, r); }, 0, 4095},
    Key{"imds_address", Type::Address, "169.254.169.254:80", "of EC2's metadata; for tests",
        [](D d, R r) { d.config.imds_address = r.endpoint.to_string(); }},
    Key{"reads", Type::Choice, "primary", "where reads go unless a listener says otherwise",
        [](D d, R r) { assign(d.config.reads, r); }, 0, 0, kReadsWords},
    Key{"maxclients", Type::Count, "10000", "client connections at once",
        [](D d, R r) { assign(d.config.maxclients, r); }, 1, 1'000'000},
    Key{"output_limits", Type::Section, "", "what may wait for a client that does not read",
        [](D, R) {}},
    Key{"output_limits.normal", Type::Section, "", "clients that ask; they are read less first",
        [](D, R) {}},
    Key{"output_limits.normal.hard", Type::Size, "0B", "closed at once; 0B: no such limit",
        [](D d, R r) { assign(d.config.output_limits.normal.hard, r); }, 0, kMaxSize},
    Key{"output_limits.normal.soft", Type::Size, "0B", "closed when over it for so long",
        [](D d, R r) { assign(d.config.output_limits.normal.soft, r); }, 0, kMaxSize},
    Key{"output_limits.normal.for", Type::Duration, "0s", "how long it may be over soft",
        [](D d, R r) { assign(d.config.output_limits.normal.soft_for, r); }, 0, 24 * kHour},
    Key{"output_limits.pubsub", Type::Section, "", "clients that are told: subscribers, MONITOR",
        [](D, R) {}},
    Key{"output_limits.pubsub.hard", Type::Size, "32MiB", "closed at once; 0B: no such limit",
        [](D d, R r) { assign(d.config.output_limits.pubsub.hard, r); }, 0, kMaxSize},
    Key{"output_limits.pubsub.soft", Type::Size, "8MiB", "closed when over it for so long",
        [](D d, R r) { assign(d.config.output_limits.pubsub.soft, r); }, 0, kMaxSize},
    Key{"output_limits.pubsub.for", Type::Duration, "60s", "how long it may be over soft",
        [](D d, R r) { assign(d.config.output_limits.pubsub.soft_for, r); }, 0, 24 * kHour},

    Key{"upstream", Type::Section, "", "the Redis behind Pannier; a plain string is its only node",
        [](D, R) {}, 0, 0, "nodes[]", true},
    Key{"upstream.kind", Type::Choice, "", "single with one node, replicated with several",
        set_kind, 0, 0, "single|replicated|cluster|serverless"},
    Key{"upstream.nodes", Type::List, "", "all nodes, primary and replicas in any order",
        [](D, R) {}, 1, 64},
    Key{"upstream.nodes[]", Type::Section, "", "a node; a plain string is its address",
        add_node, 0, 0, "address"},
    Key{"upstream.nodes[].address", Type::Address, "", "host:port or unix:/path",
        [](D d, R r) { assign(d.config.upstream.nodes.back().address, r); }, 0, 0, "", true},
    Key{"upstream.nodes[].zone", Type::Text, "", "its availability zone, where it is known",
        [](D d, R r) { assign(d.config.upstream.nodes.back().zone, r); }, 0, 64},
    Key{"upstream.primary", Type::Address, "", "a node that is listed first", set_primary},
    Key{"upstream.reader", Type::Address, "", "a name whose addresses are replicas: a node for each",
        [](D d, R r) { assign(d.config.upstream.reader.emplace(), r); }},
    Key{"upstream.endpoint", Type::Refused, "", "list the nodes under `nodes:`"},
    Key{"upstream.tls", Type::Refused, "", "connections to the nodes are plain TCP"},
    Key{"upstream.iam", Type::Refused, "", "use `auth:` with password_file"},
    Key{"upstream.auth", Type::Section, "", "how Pannier logs in", [](D d, R) { credentials(d); }},
    Key{"upstream.auth.user", Type::Text, "", "absent: the default user",
        [](D d, R r) { assign(credentials(d).user, r); }, 0, 512},
    Key{"upstream.auth.password", Type::Secret, "", "only as ${VARIABLE}",
        [](D d, R r) { assign(credentials(d).password, r); }, 0, 65536},
    Key{"upstream.auth.password_file", Type::SecretFile, "", "a file that holds the password",
        [](D d, R r) { assign(credentials(d).password, r); }},
    Key{"upstream.lanes", Type::Section, "", "shared connections, per worker and node",
        [](D, R) {}},
    Key{"upstream.lanes.min", Type::Count, "1", "opened at once",
        [](D d, R r) { assign(d.config.upstream.lanes.min, r); }, 1, 64},
    Key{"upstream.lanes.max", Type::Count, "2", "at most",
        [](D d, R r) { assign(d.config.upstream.lanes.max, r); }, 1, 64},
    Key{"upstream.pinned", Type::Section, "", "exclusive connections, per process", [](D, R) {}},
    Key{"upstream.pinned.min", Type::Count, "1", "kept open to the primary",
        [](D d, R r) { assign(d.config.upstream.pinned.min, r); }, 0, 100'000},
    Key{"upstream.pinned.max", Type::Count, "512", "at most",
        [](D d, R r) { assign(d.config.upstream.pinned.max, r); }, 1, 100'000},
    Key{"upstream.pinned.wait", Type::Duration, "1s", "for a free one, then an error",
        [](D d, R r) { assign(d.config.upstream.pinned.wait, r); }, 1 * kMs, kHour},
    Key{"upstream.pinned.reserved_for_multi", Type::Count, "32", "that subscribers cannot take",
        [](D d, R r) { assign(d.config.upstream.pinned.reserved_for_multi, r); }, 0, 100'000},
    Key{"upstream.timeouts", Type::Section, "", "of requests, by their kind", [](D, R) {}},
    Key{"upstream.timeouts.connect", Type::Duration, "250ms", "a connection and its handshake",
        [](D d, R r) { assign(d.config.upstream.timeouts.connect, r); }, 1 * kMs, kHour},
    Key{"upstream.timeouts.attempt", Type::Duration, "150ms", "the first try of a read",
        [](D d, R r) { assign(d.config.upstream.timeouts.attempt, r); }, 1 * kMs, kHour},
    Key{"upstream.timeouts.read", Type::Duration, "500ms", "a read, all tries together",
        [](D d, R r) { assign(d.config.upstream.timeouts.read, r); }, 1 * kMs, kHour},
    Key{"upstream.timeouts.write", Type::Duration, "2s", "a write",
        [](D d, R r) { assign(d.config.upstream.timeouts.write, r); }, 1 * kMs, kHour},
    Key{"upstream.timeouts.slow", Type::Duration, "30s", "heavy commands and large replies",
        [](D d, R r) { assign(d.config.upstream.timeouts.slow, r); }, 1 * kMs, 24 * kHour},
    Key{"upstream.probe", Type::Duration, "400ms", "how often each node is asked how it is",
        [](D d, R r) { assign(d.config.upstream.probe, r); }, 10 * kMs, kHour},
    Key{"upstream.read_your_writes", Type::Duration, "1s", "a written key is read from the primary",
        [](D d, R r) { assign(d.config.upstream.read_your_writes, r); }, 0, kHour},
    Key{"upstream.retries", Type::Share, "20%", "further tries, as a share of a node's requests",
        [](D d, R r) { assign_percent(d.config.upstream.retries, r); }, 0, 100 * kPercent},
    Key{"upstream.allow_monitor", Type::Flag, "false", "MONITOR of the node itself",
        [](D d, R r) { assign(d.config.upstream.allow_monitor, r); }},

    Key{"dns", Type::Section, "", "how the names of nodes are looked up", [](D, R) {}},
    Key{"dns.servers", Type::List, "", "absent: those of /etc/resolv.conf", [](D, R) {}, 1, 8},
    Key{"dns.servers[]", Type::Address, "", "address:port of a name server",
        [](D d, R r) { assign(d.config.dns.servers.emplace_back(), r); }},

    Key{"users", Type::List, "", "who may log in to Pannier; absent: no login",
        [](D, R) {}, 1, 1000},
    Key{"users[]", Type::Section, "", "a user", [](D d, R) { d.config.users.emplace_back(); }},
    Key{"users[].name", Type::Text, "", "`default` for clients that send only a password",
        [](D d, R r) { assign(d.config.users.back().name, r); }, 0, 512, "", true},
    Key{"users[].password", Type::Secret, "", "only as ${VARIABLE}",
        [](D d, R r) { assign(d.config.users.back().password, r); }, 0, 65536},
    Key{"users[].password_file", Type::SecretFile, "", "a file that holds the password",
        [](D d, R r) { assign(d.config.users.back().password, r); }},

    Key{"service", Type::Text, "pannier", "names the upstream connections",
        [](D d, R r) { assign(d.config.service, r); }, 0, 64},
    Key{"policy", Type::Path, "", "the file of classes and their rules",
        [](D d, R r) { assign(d.config.policy, r); }, 0, 4095},

    Key{"slowlog", Type::Section, "", "requests that took long", [](D, R) {}},
    Key{"slowlog.slower_than", Type::FineDuration, "10ms", "from here on",
        [](D d, R r) { assign(d.config.slowlog.slower_than, r); }, 0, kHour},
    Key{"slowlog.max_entries", Type::Count, "128", "the newest ones are kept",
        [](D d, R r) { assign(d.config.slowlog.max_entries, r); }, 0, 10'000},

    Key{"fault_injection", Type::Flag, "false", "the admin port may make requests fail on purpose",
        [](D d, R r) { assign(d.config.fault_injection, r); }},

    Key{"log", Type::Section, "", "on the standard error output", [](D, R) {}},
    Key{"log.level", Type::Choice, "info", "from here on",
        [](D d, R r) { assign(d.config.log.level, r); }, 0, 0, "debug|info|warn|error|off"},
    Key{"log.format", Type::Choice, "text", "a line each",
        [](D d, R r) { assign(d.config.log.format, r); }, 0, 0, "text|json"},
};

// clang-format on

constexpr KeyTable kTable(kKeys, "upstream: \"127.0.0.1:7001\"");

}  // namespace

const KeyTable& config_keys() {
  return kTable;
}

}  // namespace pannier::config
