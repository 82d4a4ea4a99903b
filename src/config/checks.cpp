#include "checks.hpp"

#include "pannier/base/bytes.hpp"

#include "files.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <cstddef>
#include <set>

namespace pannier::config {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kDefaultMemory = 256 * kMiB;
constexpr std::uint64_t kMinMemory = 16 * kMiB;
constexpr std::uint32_t kManyConnections = 100;
constexpr std::string_view kNoTls = "TLS is not available in this version";

// The checks of one draft, with the places that their messages point to.
class Checks : private WholeFile {
 public:
  Checks(Draft& draft, const Value& root, const Surroundings& surroundings)
      : WholeFile(root, *draft.faults),
        draft_(&draft),
        config_(&draft.config),
        around_(&surroundings) {}

  void run() {
    settle_workers();
    settle_memory();
    settle_near_cache();
    check_output_limit("output_limits.normal", config_->output_limits.normal);
    check_output_limit("output_limits.pubsub", config_->output_limits.pubsub);
    check_listeners();
    check_http();
    check_nodes();
    check_dns();
    check_pools();
    check_timeouts();
    check_reads();
    check_users();
    check_files();
  }

 private:
  [[nodiscard]] std::string source(Place place) const {
    const auto line = std::to_string(place.line);
    return around_->file.empty() ? "line " + line : around_->file + ":" + line;
  }

  void settle_workers();
  void settle_memory();
  void settle_near_cache();
  void check_output_limit(const std::string& path, const OutputLimit& limit);
  void check_listeners();
  void check_http();
  void check_beside_listeners(const std::string& name, const base::Endpoint& address);
  void check_nodes();
  void check_dns();
  void check_kind();
  void check_pools();
  void check_timeouts();
  void check_reads();
  void check_reads_at(Reads reads, const std::string& path);
  void check_users();
  void check_files();

  Draft* draft_;
  Config* config_;
  const Surroundings* around_;
};

// base::Endpoint takes every name that begins with "127." for loopback; here that would open a port
// to the network, so only addresses count.
bool is_local(const base::Endpoint& endpoint) {
  return endpoint.is_loopback() &&
         (endpoint.is_unix() || endpoint.host == "localhost" ||
          base::SocketAddress::from_ip(endpoint.host, endpoint.port).length > 0);
}

// Whether the second could not be bound beside the first.
bool collide(const base::Endpoint& a, const base::Endpoint& b) {
  if (a.is_unix() || b.is_unix()) {
    return a.unix_path == b.unix_path;
  }
  const auto host = [](const base::Endpoint& e) {
    return e.host == "localhost" ? std::string("127.0.0.1") : base::to_lower(e.host);
  };
  const auto is_any = [](const base::Endpoint& e) {
    return e.host == "0.0.0.0" || e.host == "::";
  };
  return a.port == b.port && (host(a) == host(b) || is_any(a) || is_any(b));
}

void Checks::settle_workers() {
  const auto& environment = *around_->environment;
  if (draft_->workers.place.line == 0) {
    config_->workers_source = "default";
  } else if (!draft_->workers.is_auto) {
    config_->workers_source = source(draft_->workers.place);
  } else {
    // Half a core more is not a core: a second worker would only wait for its turn.
    const double cores = environment.cgroup_cpus.value_or(environment.processors);
    config_->workers = cores >= 2 ? 2 : 1;
    config_->workers_source = environment.cgroup_cpus ? "cgroup cpu quota" : "number of processors";
  }
}

void Checks::settle_memory() {
  const auto limit = around_->environment->cgroup_memory;
  config_->cgroup_memory = limit.value_or(0);
  if (!draft_->memory.is_auto) {
    config_->memory_source = source(draft_->memory.place);
    if (limit && config_->memory > *limit / 2) {
      warn("memory",
           base::human_bytes(config_->memory) + " is more than half of the cgroup's limit of " +
               base::human_bytes(*limit) + "; sockets and code need room too");
    }
    return;
  }
  config_->memory = kDefaultMemory;
  config_->memory_source = "default";
  if (limit && *limit / 2 < kDefaultMemory) {
    config_->memory = *limit / 2;
    config_->memory_source = "half of the cgroup's limit";
    if (config_->memory < kMinMemory) {
      config_->memory = kMinMemory;
      config_->memory_source = "the minimum";
      warn("memory",
           "the cgroup's limit of " + base::human_bytes(*limit) + " is small; " +
               base::human_bytes(kMinMemory) + " are the least that Pannier works with");
    }
  }
}

void Checks::settle_near_cache() {
  const auto half = config_->memory / 2;
  if (draft_->near_cache.is_auto) {
    config_->near_cache = half;
  } else if (config_->near_cache > half && sound("memory")) {
    error("near_cache",
          base::human_bytes(config_->near_cache) + " is more than half of memory, which is " +
              base::human_bytes(config_->memory) + "; write at most " + base::human_bytes(half));
  }
}

void Checks::check_output_limit(const std::string& path, const OutputLimit& limit) {
  if (limit.hard != 0 && limit.soft >= limit.hard && given(path)) {
    warn(path,
         "soft, " + base::human_bytes(limit.soft) + ", is never reached: hard is " +
             base::human_bytes(limit.hard));
  }
}

void Checks::check_listeners() {
  auto& listeners = config_->listen;
  if (!given("listen")) {
    listeners.emplace_back().address = base::Endpoint{"127.0.0.1", 6379, ""};
  }
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const auto& listener = listeners[i];
    const auto path = indexed("listen", i);
    if (!sound(path)) {
      continue;
    }
    if (!is_local(listener.address)) {
      error(path + ".address",
            "is neither loopback nor a Unix socket: that needs `users:` and TLS, and " +
                std::string(kNoTls) + "; write 127.0.0.1:PORT or unix:/path");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (sound(indexed("listen", j)) && collide(listener.address, listeners[j].address)) {
        error(path + ".address", "is the same address as " + indexed("listen", j));
        break;
      }
    }
    if (listener.mode && !listener.address.is_unix()) {
      error(path + ".mode", "only a Unix socket has a file mode");
    }
    if (listener.strong && listener.reads.value_or(Reads::Primary) != Reads::Primary) {
      warn(path + ".reads", "has no effect beside `strong: true`, which means primary only");
    }
    if (!config_->users.empty() && given(path + ".auth")) {
      warn(path + ".auth", "has no effect beside `users:`");
    }
  }
}

void Checks::check_http() {
  const auto& probe = config_->probe;
  const auto& admin = config_->admin;
  if (admin.enabled && sound("admin") && admin.token.empty() && !is_local(admin.address)) {
    error("admin.address", "is neither loopback nor a Unix socket: that needs `token_file:`");
  }
  if (probe.enabled && admin.enabled && sound("probe") && sound("admin") &&
      collide(probe.address, admin.address)) {
    error(given("admin") ? "admin.address" : "probe.address",
          "is the same address for probe and admin");
  }
  if (probe.enabled) {
    check_beside_listeners("probe", probe.address);
  }
  if (admin.enabled) {
    check_beside_listeners("admin", admin.address);
  }
}

void Checks::check_beside_listeners(const std::string& name, const base::Endpoint& address) {
  if (!sound(name)) {
    return;
  }
  for (std::size_t i = 0; i < config_->listen.size(); ++i) {
    const auto path = indexed("listen", i);
    if (!sound(path) || !collide(address, config_->listen[i].address)) {
      continue;
    }
    if (given("listen")) {
      error(path + ".address", "is the address of " + name);
    } else {
      error(name + ".address", "is the address of the default listener");
    }
  }
}

void Checks::check_nodes() {
  if (!given("upstream")) {
    return;  // told by the reader
  }
  const auto& nodes = config_->upstream.nodes;
  if (nodes.empty() && sound("upstream.nodes") && sound("upstream.primary") &&
      find("upstream").value->kind == Value::Kind::Map) {
    error("upstream", "has no nodes; list them under `nodes:`");
    return;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto& path = draft_->node_paths[i];
    if (!sound(path)) {
      continue;
    }
    const auto address_path = path + ".address";
    for (std::size_t j = 0; j < i; ++j) {
      if (nodes[i].address == nodes[j].address && sound(draft_->node_paths[j])) {
        error(address_path, "is the same node as " + draft_->node_paths[j]);
        break;
      }
    }
    for (std::size_t j = 0; j < config_->listen.size(); ++j) {
      if (sound(indexed("listen", j)) && is_local(nodes[i].address) &&
          collide(nodes[i].address, config_->listen[j].address)) {
        error(address_path, "is an address that Pannier itself listens on");
      }
    }
  }
  check_kind();
}

void Checks::check_dns() {
  if (config_->upstream.reader && config_->upstream.reader->is_unix()) {
    error("upstream.reader",
          "is a Unix socket: write HOST:PORT, a name with the replicas' addresses");
  }
  const auto& servers = config_->dns.servers;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const auto path = indexed("dns.servers", i);
    if (sound(path) && base::SocketAddress::from_ip(servers[i].host, servers[i].port).length == 0) {
      error(path, "is not an address: name servers have no names; write one such as 10.0.0.2:53");
    }
  }
}

void Checks::check_kind() {
  auto& upstream = config_->upstream;
  const bool several = upstream.nodes.size() > 1 || upstream.reader;
  if (!draft_->kind_given) {
    upstream.kind = several ? UpstreamKind::Replicated : UpstreamKind::Single;
  } else if (upstream.kind == UpstreamKind::Single && several) {
    error("upstream.kind",
          "single has one node, but " +
              (upstream.reader ? std::string("`reader` names more")
                               : std::to_string(upstream.nodes.size()) + " are listed") +
              "; write replicated");
  } else if (upstream.kind == UpstreamKind::Replicated && !several && sound("upstream")) {
    warn("upstream.kind", "replicated with a single node: reads have nowhere else to go");
  }
}

void Checks::check_pools() {
  const auto& [min, max] = config_->upstream.lanes;
  if (min > max && sound("upstream.lanes")) {
    error("upstream.lanes",
          "min " + std::to_string(min) + " is more than max " + std::to_string(max));
  }
  const auto& pinned = config_->upstream.pinned;
  const bool pinned_is_sound = sound("upstream.pinned");
  if (pinned.min > pinned.max && pinned_is_sound) {
    error("upstream.pinned",
          "min " + std::to_string(pinned.min) + " is more than max " + std::to_string(pinned.max));
  }
  if (pinned.reserved_for_multi >= pinned.max && pinned_is_sound) {
    error("upstream.pinned",
          "reserved_for_multi " + std::to_string(pinned.reserved_for_multi) +
              " must be less than max " + std::to_string(pinned.max));
  }
  const auto shared = config_->workers * max;
  if (shared > kManyConnections && sound("workers") && sound("upstream.lanes")) {
    warn(given("upstream.lanes.max") ? "upstream.lanes.max" : "workers",
         std::to_string(config_->workers) + " workers with up to " + std::to_string(max) +
             " lanes each make " + std::to_string(shared) +
             " shared connections to each node; a few are enough");
  }
}

void Checks::check_timeouts() {
  const auto& timeouts = config_->upstream.timeouts;
  const auto in_order = [&](const char* a, Milliseconds low, const char* b, Milliseconds high) {
    const auto path = "upstream.timeouts." + std::string(a);
    if (low > high && sound("upstream.timeouts")) {
      warn(given(path) ? path : "upstream.timeouts." + std::string(b),
           std::string(a) + " (" + std::to_string(low.count()) + "ms) is longer than " + b + " (" +
               std::to_string(high.count()) + "ms)");
    }
  };
  in_order("attempt", timeouts.attempt, "read", timeouts.read);
  in_order("read", timeouts.read, "slow", timeouts.slow);
  in_order("write", timeouts.write, "slow", timeouts.slow);
  in_order("connect", timeouts.connect, "slow", timeouts.slow);
}

void Checks::check_reads() {
  check_reads_at(config_->reads, "reads");
  for (std::size_t i = 0; i < config_->listen.size(); ++i) {
    check_reads_at(config_->listen[i].reads.value_or(Reads::Primary),
                   indexed("listen", i) + ".reads");
  }
}

void Checks::check_reads_at(Reads reads, const std::string& path) {
  const auto& upstream = config_->upstream;
  if (reads == Reads::Primary || !sound("upstream")) {
    return;
  }
  if (upstream.kind == UpstreamKind::Single) {
    warn(path, "has no effect: upstream is a single node");
    return;
  }
  const bool any_zone = std::any_of(
      upstream.nodes.begin(), upstream.nodes.end(), [](const Node& n) { return !n.zone.empty(); });
  if (reads == Reads::SameZone && !any_zone) {
    warn(path, "no node has a zone; reads stay in the zone only where the nodes tell theirs");
  }
}

void Checks::check_users() {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < config_->users.size(); ++i) {
    const auto path = indexed("users", i);
    if (sound(path) && !names.insert(config_->users[i].name).second) {
      error(path + ".name", "is given twice; a user has one entry");
    }
  }
}

void Checks::check_files() {
  const auto& directory = *around_->directory;
  if (!config_->zone_file.empty()) {
    config_->zone_file = resolve_path(directory, config_->zone_file);
  }
  if (config_->policy.empty()) {
    return;
  }
  config_->policy = resolve_path(directory, config_->policy);
  std::string problem;
  if (!read_small_file(config_->policy, kMaxFile, problem)) {
    error("policy", "cannot use " + base::printable(config_->policy, 200) + ": " + problem);
    config_->policy.clear();
  }
}

}  // namespace

void finish_config(Draft& draft, const Value& root, const Surroundings& surroundings) {
  Checks(draft, root, surroundings).run();
}

}  // namespace pannier::config
