#pragma once

#include "pannier/route/topology.hpp"
#include "pannier/upstream/connection.hpp"
#include "pannier/upstream/outage.hpp"

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace pannier::upstream {

// The shared connections of one worker: per (node, db, RESP version) `lanes.min` light lanes that
// small requests share, and one more for heavy sessions when `lanes.max` allows it. Lanes to db 0
// in RESP2 are opened before anybody asks and kept; others open on use and close when idle.
class LaneSet {
 public:
  LaneSet(Runtime& runtime, ConnectionEvents& events);
  ~LaneSet();
  LaneSet(const LaneSet&) = delete;
  LaneSet& operator=(const LaneSet&) = delete;

  // Opens what has to be warm; a node whose address changed gets new lanes. A node that answers the
  // prober again is tried at once, whatever failed before.
  void set_topology(route::TopologyPtr topology);

  // The lane for a session that has nothing in flight to this node. Opens one if need be. Null when
  // the node cannot be reached now; `why_not` then says so for an error text.
  [[nodiscard]] Connection* pick(const ConnectionSpec& spec, std::uint32_t salt, bool heavy);

  [[nodiscard]] const std::string& why_not() const { return why_not_; }

  // The server's own error to opening this database within the last second; empty: none.
  [[nodiscard]] std::string_view refusal(route::NodeId node, std::uint32_t db) const;

  // Why nothing is opened to this node just now: its breaker is open, or the last attempt failed
  // and its back-off runs. Empty: it may be tried.
  [[nodiscard]] std::string_view away(route::NodeId node) const;

  // No new requests: the lane closes when the last reply has come.
  void retire(Connection& lane);

  // Retired lanes that are not read because a client does not read.
  [[nodiscard]] std::size_t held_up() const;
  // See Connection::held_bytes.
  [[nodiscard]] std::size_t held_bytes() const;

  // For the metrics: since when the oldest request of each node has been waiting.
  void note_oldest();
  // A request to the node was not answered in time: its lanes are looked at after a while.
  void suspect(route::NodeId node);

  // To be called from ConnectionEvents.
  void opened(Connection& lane);
  void closed(Connection& lane);
  void answered(Connection& lane);  // nothing is in flight on it any more
  [[nodiscard]] bool owns(const Connection& connection) const;

  // Closes lanes that hang, or that were idle for 60 s (but the warm ones), retires old ones, and
  // asks idle ones for a sign of life.
  void housekeep();
  // Destroys closed lanes; at the end of a turn only.
  void sweep();
  void close_all(const std::string& reason);

 private:
  struct Lane {
    std::unique_ptr<Connection> connection;
    std::uint32_t number = 0;  // place in its group
    base::TimePoint retire_at{};
  };

  struct NodeState {
    std::uint32_t failures = 0;
    base::TimePoint retry_at{};
    std::string last_error;
    base::SocketAddress address;
    bool warm_scheduled = false;
    Outage outage;
  };

  [[nodiscard]] Connection* open(const ConnectionSpec& spec, std::uint32_t number);
  void retire_all(route::NodeId node);
  void start_afresh(route::NodeId node);
  void watch_silent(route::NodeId node);
  void close_hung();
  void close_unanswered();
  [[nodiscard]] bool is_open(route::NodeId node) const;
  void keep_warm(route::NodeId node);
  void schedule_warm(route::NodeId node);
  void count_failure(route::NodeId node, const std::string& error);
  [[nodiscard]] bool is_warm(const Lane& lane) const;
  [[nodiscard]] base::Duration jittered(base::Duration around);

  Runtime& runtime_;
  ConnectionEvents& events_;
  route::TopologyPtr topology_;
  std::vector<Lane> lanes_;
  std::vector<NodeState> nodes_;
  std::vector<std::unique_ptr<Connection>> dead_;
  ConnectionSpec refused_;
  std::string refusal_;
  base::TimePoint refused_at_{};
  std::string why_not_;
  std::minstd_rand random_;
  bool closing_ = false;
};

}  // namespace pannier::upstream
