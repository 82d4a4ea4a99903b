#pragma once

#include "pannier/resp/protocol.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// INFO: upstream's, with a section of Pannier's own behind it; or a little one when upstream is
// away, so that clients that ask for `loading` or `role` at their start can go on. Pure.
namespace pannier::proxy {

using InfoFields = std::vector<std::pair<std::string, std::string>>;

// Whether INFO with these arguments (the command included) is about section `name`, one of those
// that come without being asked for.
[[nodiscard]] bool wants_info_section(std::span<const std::string_view> arguments,
                                      std::string_view name);

// Appends `reply` with a section "# Pannier" at its end. What is neither a bulk nor a verbatim
// string (an error) is appended as it is.
void append_info(std::string& out, std::string_view reply, const InfoFields& fields);

struct LocalInfo {
  std::string_view redis_version;
  std::int64_t process_id = 0;
  std::int64_t uptime_seconds = 0;
  std::uint64_t connected_clients = 0;
  resp::Version version = resp::Version::Resp2;
};

// INFO without upstream, the sections that `arguments` ask for.
void append_local_info(std::string& out,
                       const LocalInfo& info,
                       std::span<const std::string_view> arguments,
                       const InfoFields& fields);

}  // namespace pannier::proxy
