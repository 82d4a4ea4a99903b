#pragma once

#include "pannier/policy/rules.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/runtime.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pannier::upstream {

// How a node tells of changes, best first (design.md §4).
enum class Rung : std::uint8_t {
  None,      // not settled yet, or lost: nothing tracked may be kept
  Resp3,     // CLIENT TRACKING, pushes on a RESP3 connection
  Redirect,  // CLIENT TRACKING, messages to a RESP2 subscriber
  Channel,   // whoever writes publishes the key on kInvalidateChannel
  Ttl        // nothing tells: replies live by their TTL alone
};

[[nodiscard]] const char* to_string(Rung rung);

inline constexpr std::string_view kCanaryKey = "pannier:canary";
inline constexpr std::string_view kInvalidateChannel = "pannier:invalidate";  // payload: a key
inline constexpr std::string_view kFlushChannel = "pannier:flush";

// What one node's coherence is, as the tracker last saw it; for TOPOLOGY, INFO and metrics.
struct TrackingState {
  Rung rung = Rung::None;
  std::string reason;             // why it is no better one
  std::int64_t redirect_id = 0;   // CLIENT ID of the connection that hears; 0: none
  base::SocketAddress address;    // that it is connected to
  std::uint64_t keys = 0;         // invalidated by pushes
  std::uint64_t flushes = 0;      // "everything", by push
  std::uint64_t losses = 0;       // coherence lost
  base::TimePoint canary_seen{};  // the last canary that was heard
  base::Duration canary_lag{};    // from its sending (ours) to its processing
};

// What the tracker tells. Called on worker 0's thread within a turn; may call set_plan.
class TrackingEvents {
 public:
  // Keys that changed on the node; at most Tracking::kKeysPerTurn at once.
  virtual void on_invalidated(route::NodeId node, std::span<const std::string_view> keys) = 0;
  virtual void on_flushed(route::NodeId node) = 0;
  // From now on every change is heard: fills whose request is sent after this call may be kept.
  virtual void on_coherent(route::NodeId node, const TrackingState& state) = 0;
  virtual void on_lost(route::NodeId node, const std::string& reason) = 0;
  // The node was heard at `at`; `lag`: canary's way, when this sidecar sent it, else zero.
  virtual void on_proven(route::NodeId node, base::TimePoint at, base::Duration lag) = 0;

 protected:
  ~TrackingEvents() = default;
};

// Keeps the near cache coherent: one connection per node that hears of changes, the ladder of ways
// to hear (chosen by seeing a push arrive), the fleet's canary, loss and recovery (behaviour 5.2 to
// 5.4, research/coherence.md §1.2). Lives on worker 0, on its thread. Does nothing while the plan
// is empty.
class Tracking {
 public:
  static constexpr std::size_t kKeysPerTurn = 1000;
  static constexpr auto kCanaryEvery = std::chrono::seconds(1);  // +- 50 %
  static constexpr auto kIncoherentAfter = std::chrono::seconds(3);
  static constexpr auto kBehindAtMost = std::chrono::seconds(1);

  Tracking(Runtime& runtime, TrackingEvents& events);
  ~Tracking();
  Tracking(const Tracking&) = delete;
  Tracking& operator=(const Tracking&) = delete;

  void set_topology(route::TopologyPtr topology);
  void set_plan(policy::TrackingPlan plan);

  [[nodiscard]] const TrackingState& state(route::NodeId node) const;

  // Destroys closed connections; at the end of a turn only.
  void sweep();
  void close_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::upstream
