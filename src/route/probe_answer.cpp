#include "pannier/base/bytes.hpp"
#include "pannier/route/node_roles.hpp"

namespace pannier::route {
namespace {

std::optional<std::uint64_t> offset_of(std::string_view text) {
  const auto value = base::parse_int(text);
  // -1: a replica that has no primary yet.
  return value && *value >= 0 ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
}

void read_field(std::string_view name, std::string_view value, ProbeAnswer& answer) {
  if (name == "role") {
    answer.role = value == "master" ? Role::Primary : Role::Replica;
  } else if (name == "loading") {
    answer.loading = value == "1";
  } else if (name == "master_link_status") {
    answer.link_up = value == "up";
  } else if (name == "slave_repl_offset") {
    answer.applied_offset = offset_of(value);
  } else if (name == "master_repl_offset") {
    answer.written_offset = offset_of(value);
  } else if (name == "master_replid") {
    answer.replication_id = value;
  } else if (name == "connected_slaves") {
    answer.connected_replicas = static_cast<std::uint32_t>(offset_of(value).value_or(0));
  } else if (name == "master_host") {
    answer.following = value;
  } else if (name == "master_port") {
    answer.following.append(":").append(value);
  } else if (name == "run_id") {
    answer.run_id = value;
  } else if (name == "redis_version") {
    answer.version = value;
  } else if (name == "availability_zone") {
    answer.zone = value;
  } else if (name == "redis_mode") {
    answer.cluster = value == "cluster";
  }
}

}  // namespace

bool read_role(const std::vector<std::string>& fields, ProbeAnswer& answer) {
  if (fields.size() >= 3 && fields[0] == "master") {
    answer.role = Role::Primary;
    answer.written_offset = offset_of(fields[1]);
    answer.connected_replicas = static_cast<std::uint32_t>(offset_of(fields[2]).value_or(0));
    return true;
  }
  if (fields.size() >= 5 && fields[0] == "slave") {
    answer.role = Role::Replica;
    answer.following = fields[1] + ":" + fields[2];
    answer.link_up = fields[3] == "connected";
    answer.applied_offset = offset_of(fields[4]);
    return true;
  }
  return false;
}

void read_info(std::string_view text, ProbeAnswer& answer) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && !line.starts_with('#')) {
      read_field(line.substr(0, colon), line.substr(colon + 1), answer);
    }
  }
}

}  // namespace pannier::route
