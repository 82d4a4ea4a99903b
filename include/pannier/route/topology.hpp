#pragma once

#include "pannier/base/address.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pannier::route {

enum class Role : std::uint8_t {
  Unknown,
  Primary,
  Replica
};

// Whether requests are sent to a node. Decided on the control thread (upstream/breaker.hpp).
enum class BreakerState : std::uint8_t {
  Closed,
  HalfOpen,  // it serves again; the first failure opens the breaker anew
  Open       // reads go elsewhere, unless it is `spare`; the rest is refused at once
};

// What a worker saw go wrong with a node. Error replies are not among them.
enum class Failure : std::uint8_t {
  Connect,  // no connection, or the handshake failed
  Lost,     // an open connection ended
  Silent,   // a PING was not answered, or a request past the hard bound
  Attempt   // a read was not answered within timeouts.attempt
};

using NodeId = std::uint16_t;  // place in the configuration; stable for the life of the process
inline constexpr NodeId kNoNode = 0xFFFF;

// One upstream server as the last probe saw it.
struct Node {
  NodeId id = kNoNode;
  std::string name;             // as configured: host:port
  std::string zone;             // empty: not known
  base::SocketAddress address;  // resolved; length 0: not resolved yet
  Role role = Role::Unknown;    // as ROLE answered, not as configured
  BreakerState breaker = BreakerState::Closed;
  bool reachable = false;    // the last probe was answered
  bool ready = false;        // may serve reads: reachable, loaded, and for a replica: link up
                             // and lag known
  bool spare = false;        // would be ready, but for its breaker: for reads that no ready node
                             // can serve
  std::uint64_t offset = 0;  // replication offset (applied, for a replica)
  std::uint64_t caught_up_epoch = 0;  // RecentWrites: all writes up to this epoch are applied here
  std::uint64_t lag_bytes = 0;        // behind the primary's offset at the same probe
  std::uint32_t rtt_us = 0;           // smoothed round trip of the probe
  std::string run_id;
  std::string last_error;  // why it is not reachable or not ready

  // Nothing is sent to it.
  [[nodiscard]] bool is_refused() const { return breaker == BreakerState::Open && !spare; }
};

// What is known of upstream: an immutable snapshot, handed to each worker whole. shared_ptr because
// workers replace theirs at different times.
struct Topology {
  std::uint64_t generation = 0;  // 0: nothing was probed yet
  std::vector<Node> nodes;       // nodes[i].id == i
  NodeId primary = kNoNode;
  std::string own_zone;
  std::string server_version = "7.0.0";  // the last one learned
  std::uint32_t databases = 16;

  [[nodiscard]] bool has_primary() const { return primary != kNoNode; }
};

using TopologyPtr = std::shared_ptr<const Topology>;

[[nodiscard]] const char* to_string(Role role);

}  // namespace pannier::route
