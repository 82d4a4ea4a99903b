#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/connection.hpp"
#include "pannier/upstream/runtime.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

// What pools make of a node that falls silent: the same for shared and exclusive connections.
namespace pannier::upstream {

// Since when a node does not answer the prober, as one worker was told.
struct Outage {
  std::optional<base::TimePoint> since;  // empty: it answers
  bool is_watched = false;               // a timer will look at its connections
  bool was_open = false;                 // its breaker
  bool is_suspected = false;             // as is_watched, for a node that answers the prober

  enum class News : std::uint8_t {
    None,
    Began,
    Ended  // it may be tried at once
  };

  News update(const route::Node& node, base::TimePoint now);
};

enum class Sharing : std::uint8_t {
  Shared,
  Exclusive  // a request that has no reply yet may block for as long as it likes
};

// Why a connection will not recover, for its close reason; empty: it may. Nothing came for
// timeouts.slow that was due; or nothing for timeouts.write, and its node does not answer the
// prober at all, or does while an ordinary request is the oldest here: a server takes them in turn,
// so it has not got that one. Not of one that Pannier itself does not read just now.
[[nodiscard]] std::string_view why_hung(const Connection& connection,
                                        const Outage& outage,
                                        Sharing sharing,
                                        Runtime& runtime);

// Sends PING on a connection that is open and was idle for kPingAfter. True when one was sent.
inline constexpr auto kPingAfter = std::chrono::seconds(10);
bool ping_if_idle(Connection& connection, base::TimePoint now);

// The PING of this connection was not answered within timeouts.write.
[[nodiscard]] bool ping_failed(const Connection& connection, const Runtime& runtime);
inline constexpr std::string_view kPingFailed =
    "no answer to PING within timeouts.write; the connection is dead";

}  // namespace pannier::upstream
