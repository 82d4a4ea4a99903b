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

// The exclusive connections of one worker. A session takes one, is its only user, and gives it back
// clean or has it closed; the gauge by state follows each step. `pinned.max` is per process: a
// worker has its share. The last `reserved_for_multi` are for transactions only, so that blocked
// and subscribed clients cannot starve them.
class PinnedPool {
 public:
  PinnedPool(Runtime& runtime, ConnectionEvents& events);
  ~PinnedPool();
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  // A node whose address changed gets new connections; those in use close when they come back.
  void set_topology(route::TopologyPtr topology);

  enum class Taken : std::uint8_t {
    Yes,
    Full,   // wait for one to be given back, or for a token to open one: `wake_pinned` is called
    Failed  // the node cannot be reached: see `why_not`
  };

  // On Yes `connection` is the caller's until `give_back` or `discard`; it may still be connecting.
  [[nodiscard]] Taken take(const ConnectionSpec& spec, bool for_multi, Connection*& connection);

  [[nodiscard]] const std::string& why_not() const { return why_not_; }

  // REQUIRES: nothing in flight, no state left on it upstream.
  void give_back(Connection& connection);
  // Closes it: it is in an unknown state, or a blocked command must not outlive its client.
  void discard(Connection& connection);

  // To be called from ConnectionEvents::on_closed. True when it was one of these.
  bool closed(Connection& connection);
  // Closes what hangs, what was idle for 60 s beyond `pinned.min` and what is idle and old, opens
  // up to `pinned.min`, and asks idle ones for a sign of life.
  void housekeep();
  void sweep();
  void close_all(const std::string& reason);

  [[nodiscard]] std::size_t used() const { return entries_.size() - idle_count(); }

  [[nodiscard]] std::size_t idle_count() const;
  // See Connection::held_bytes.
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  struct Entry {
    std::unique_ptr<Connection> connection;
    bool idle = false;
    base::SocketAddress address;  // where its node was then
    base::TimePoint retire_at{};
  };

  [[nodiscard]] Entry* find(const Connection& connection);
  [[nodiscard]] Connection* open(const ConnectionSpec& spec, bool idle);
  [[nodiscard]] bool evict_idle();
  [[nodiscard]] bool is_elsewhere(const Entry& entry) const;
  void close_elsewhere();
  void count(route::NodeId node, bool idle, int change);
  void keep_warm();
  void close_hung();
  void close_unanswered();
  void watch_silent(route::NodeId node);
  [[nodiscard]] bool has_token(route::NodeId node);
  void wake_later(base::Duration wait);

  Runtime& runtime_;
  ConnectionEvents& events_;
  route::TopologyPtr topology_;
  std::size_t max_;
  std::size_t reserved_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<Connection>> dead_;
  std::vector<Outage> outages_;  // by node id
  std::minstd_rand random_;
  bool wake_scheduled_ = false;
  std::string why_not_;
  bool closing_ = false;
};

}  // namespace pannier::upstream
