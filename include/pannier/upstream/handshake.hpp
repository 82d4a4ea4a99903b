#pragma once

#include "pannier/config/config.hpp"
#include "pannier/resp/protocol.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::upstream {

// What a connection is for; fixed for its life.
struct ConnectionSpec {
  route::NodeId node = route::kNoNode;
  std::uint32_t db = 0;
  resp::Version version = resp::Version::Resp2;

  [[nodiscard]] bool operator==(const ConnectionSpec&) const = default;
};

enum class HandshakeStep : std::uint8_t {
  Hello,
  Auth,
  SetName,
  SetInfo,
  ClientId,
  Select
};

struct HandshakeRequest {
  HandshakeStep step = HandshakeStep::Hello;
  std::string bytes;
};

// The requests that open an upstream connection, in order; all are sent at once. Pure.
[[nodiscard]] std::vector<HandshakeRequest> make_handshake(const ConnectionSpec& spec,
                                                           const config::Config& config);

// True when this reply means that the connection is of no use. Refused names and unknown
// subcommands (older servers) are harmless.
[[nodiscard]] bool is_fatal(HandshakeStep step, std::string_view reply);

}  // namespace pannier::upstream
