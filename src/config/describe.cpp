#include "pannier/config/describe.hpp"

#include "pannier/base/bytes.hpp"

#include "scalars.hpp"

#include <fmt/core.h>

namespace pannier::config {
namespace {

std::string shown(Milliseconds duration) {
  return duration_text(duration.count() * 1000);
}

std::string shown(const Listener& listener) {
  std::string out = "listen " + listener.address.to_string();
  if (listener.mode) {
    out += fmt::format(", mode {:04o}", *listener.mode);
  }
  if (listener.strong) {
    out += ", strong: primary only";
  } else if (listener.reads) {
    out += std::string(", reads ") + to_string(*listener.reads);
  }
  if (listener.auth == AuthPolicy::Reject) {
    out += ", AUTH is rejected";
  }
  return out;
}

void add_ports(const Config& config, std::vector<std::string>& out) {
  for (const auto& listener : config.listen) {
    out.push_back(shown(listener));
  }
  out.push_back("probe " + (config.probe.enabled ? config.probe.address.to_string() : "off"));
  out.push_back("admin " + (config.admin.enabled ? config.admin.address.to_string() : "off") +
                (config.admin.enabled && !config.admin.token.empty() ? ", with a token" : ""));
  if (!config.users.empty()) {
    out.push_back(fmt::format("users {}", config.users.size()));
  }
}

void add_nodes(const Upstream& upstream, std::vector<std::string>& out) {
  for (const auto& node : upstream.nodes) {
    out.push_back("node " + node.address.to_string() + ", zone " +
                  (node.zone.empty() ? "not known" : node.zone));
  }
  if (upstream.reader) {
    out.push_back("reader " + upstream.reader->to_string() + ", a node for each of its addresses");
  }
  if (upstream.auth) {
    out.push_back("upstream login as " +
                  (upstream.auth->user.empty() ? "the default user" : upstream.auth->user));
  }
}

void add_connections(const Config& config, std::vector<std::string>& out) {
  const auto& upstream = config.upstream;
  out.push_back(
      fmt::format("connections per node: at most {} shared ({} x {} lanes, for each database and "
                  "protocol version in use); with all nodes together at most {} exclusive",
                  config.workers * upstream.lanes.max,
                  config.workers == 1 ? "1 worker" : fmt::format("{} workers", config.workers),
                  upstream.lanes.max,
                  upstream.pinned.max));
  const auto& timeouts = upstream.timeouts;
  out.push_back(
      fmt::format("timeouts connect {}, attempt {}, read {}, write {}, slow {}; probe {}, "
                  "read_your_writes {}, retries {}%",
                  shown(timeouts.connect),
                  shown(timeouts.attempt),
                  shown(timeouts.read),
                  shown(timeouts.write),
                  shown(timeouts.slow),
                  shown(upstream.probe),
                  shown(upstream.read_your_writes),
                  upstream.retries));
}

std::string shown(const OutputLimit& limit) {
  std::string out = limit.hard == 0 ? "none" : base::human_bytes(limit.hard);
  if (limit.soft != 0) {
    out += fmt::format(" or {} for {}", base::human_bytes(limit.soft), shown(limit.soft_for));
  }
  return out;
}

}  // namespace

const char* to_string(Reads reads) {
  switch (reads) {
    case Reads::Primary:
      return "primary";
    case Reads::Replica:
      return "replica";
    case Reads::SameZone:
      return "same-zone";
    case Reads::Nearest:
      return "nearest";
  }
  return "unknown";
}

std::vector<std::string> describe(const Config& config) {
  std::vector<std::string> out;
  add_ports(config, out);
  out.push_back(fmt::format("upstream {}, reads {}, own zone {}",
                            config.upstream.kind == UpstreamKind::Single ? "single" : "replicated",
                            to_string(config.reads),
                            config.zone));
  add_nodes(config.upstream, out);
  for (const auto& server : config.dns.servers) {
    out.push_back("name server " + server.to_string());
  }
  out.push_back(fmt::format("workers {} ({})", config.workers, config.workers_source));
  out.push_back(fmt::format("memory {} ({}), near cache {} of it",
                            base::human_bytes(config.memory),
                            config.memory_source,
                            base::human_bytes(config.near_cache)));
  out.push_back(fmt::format("output limits: normal {}, pubsub {}",
                            shown(config.output_limits.normal),
                            shown(config.output_limits.pubsub)));
  add_connections(config, out);
  out.push_back("policy " + (config.policy.empty() ? "none: transparent" : config.policy));
  // Servers before 7.2 do not know CLIENT SETINFO, and refuse a rule that names it.
  out.emplace_back(
      "ACL upstream, beside what the service itself needs: +auth +hello +ping +select +info +role "
      "+client|setname +client|id +client|unblock, from 7.2 on +client|setinfo");
  return out;
}

}  // namespace pannier::config
