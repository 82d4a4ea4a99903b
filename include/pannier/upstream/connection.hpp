#pragma once

#include "pannier/net/poller.hpp"
#include "pannier/net/transport.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/handshake.hpp"
#include "pannier/upstream/pipeline.hpp"
#include "pannier/upstream/runtime.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::upstream {

// What a connection tells the worker. Called on the worker's thread during its turn.
class ConnectionEvents {
 public:
  virtual void on_opened(Connection& connection) = 0;
  // See ReplySink; never for Internal slots.
  virtual void on_reply(
      Connection& connection, SlotIndex index, std::string_view bytes, char type, bool last) = 0;
  virtual void on_push(Connection& connection, std::string_view bytes) = 0;
  // The connection is gone and this request has no reply. `was_sent`: bytes of it had left.
  virtual void on_lost(Connection& connection, SlotIndex index, bool was_sent) = 0;
  // After the last on_lost. The connection is dead; its owner destroys it after the turn.
  virtual void on_closed(Connection& connection) = 0;
  // Unsent bytes fell under kLowWater after they had been over kHighWater, or the requests without
  // an answer are fewer after is_full().
  virtual void on_drained(Connection& connection) = 0;

 protected:
  ~ConnectionEvents() = default;
};

// One upstream connection: a thin driver of Pipeline and the handshake over a non-blocking socket.
// Owned by LaneSet (shared), PinnedPool (exclusive) or Tracking; lives on its worker's thread.
class Connection final : public net::Pollable, private ReplySink {
 public:
  enum class State : std::uint8_t {
    Connecting,
    Handshaking,
    Ready,
    Closed
  };

  static constexpr std::size_t kFlushEarly = 64 * 1024;
  static constexpr std::size_t kLowWater = 128 * 1024;
  static constexpr std::size_t kHighWater = 256 * 1024;
  static constexpr std::size_t kMaxBacklog = 16384;      // requests that wait for the handshake
  static constexpr std::size_t kFull = 4 * 1024 * 1024;  // bytes of requests without an answer
  static constexpr std::size_t kFullWhenTight = 1024 * 1024;

  Connection(Runtime& runtime, ConnectionEvents& events, const ConnectionSpec& spec);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Its events are handled before those of others in a turn. To be called before `open`.
  void make_urgent() { urgency_ = net::Urgency::Urgent; }

  // Starts to connect; false when that failed at once (`close_reason` says why; no event comes).
  [[nodiscard]] bool open(const route::Node& node);
  // Ends it: every request in flight gets on_lost, then on_closed. Harmless when closed, and while
  // the connection's own events run.
  void close(std::string reason);
  // The same where it is the node's doing: counted as a lost connection or a failed connect, and
  // told to its breaker (not when it was the server that refused the handshake).
  void lose(std::string reason);
  // The same of an open connection on which the node gives no sign of life.
  void lose_silent(std::string reason);

  // Sends a request, or queues it until the handshake is done. The slot joins the line. False when
  // closed or the backlog is full: the slot is still the caller's.
  [[nodiscard]] bool send(SlotIndex index, std::string_view request);
  // More bytes of the request sent last (a large one that streams). REQUIRES: Ready.
  void send_more(std::string_view bytes);

  // See Pipeline::expect_monitor_lines.
  void expect_monitor_lines() { pipeline_.expect_monitor_lines(); }

  // Asks for a sign of life on a connection that is idle; nobody sees the reply.
  // REQUIRES: Ready, nothing in flight.
  void ping();

  // When the PING left that was not answered yet; empty: there is none.
  [[nodiscard]] std::optional<base::TimePoint> pinged_at() const { return pinged_at_; }

  // Nothing is in flight but perhaps such a PING.
  [[nodiscard]] bool is_idle() const { return in_flight() == (pinged_at_ ? 1U : 0U); }

  // Writes what is queued; called at the end of the turn.
  void flush();
  void pause_reading();
  void resume_reading();

  [[nodiscard]] State state() const { return state_; }

  [[nodiscard]] bool is_open() const { return state_ == State::Ready; }

  [[nodiscard]] bool is_closed() const { return state_ == State::Closed; }

  [[nodiscard]] const ConnectionSpec& spec() const { return spec_; }

  [[nodiscard]] route::NodeId node() const { return spec_.node; }

  [[nodiscard]] metrics::NodeMetrics& metrics() const { return metrics_; }

  [[nodiscard]] const std::string& node_name() const { return node_name_; }

  // The server's own refusal of the handshake ("-ERR DB index is out of range"), if that closed it.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }

  [[nodiscard]] const std::string& close_reason() const { return close_reason_; }

  // SocketAddress::hash of where it is connected to.
  [[nodiscard]] std::uint64_t address_hash() const { return address_hash_; }

  [[nodiscard]] std::int64_t upstream_id() const { return upstream_id_; }

  // No more requests for now; who waits is told by on_drained.
  [[nodiscard]] bool is_full() {
    return (was_full_ || pipeline_.request_bytes() + backlog_bytes_ > kFullWhenTight ||
            !backlog_.empty()) &&
           note_full();
  }

  // Nothing new is to be sent on it: it closes with its last reply.
  void retire() { retired_ = true; }

  [[nodiscard]] bool is_retired() const { return retired_; }

  // Unsent bytes of a request that streams are enough for now.
  [[nodiscard]] bool is_over_high_water() const {
    return pipeline_.unsent() >= runtime_.memory.choose(kHighWater, kFlushEarly, kFlushEarly);
  }

  // Bytes: requests without an answer, and what has come of the next frame.
  [[nodiscard]] std::size_t held_bytes() const {
    return pipeline_.request_bytes() + pipeline_.partial_bytes() + backlog_bytes_;
  }

  [[nodiscard]] std::size_t in_flight() const { return pipeline_.size() + backlog_.size(); }

  [[nodiscard]] const Pipeline& pipeline() const { return pipeline_; }

  [[nodiscard]] bool paused() const { return paused_; }

  [[nodiscard]] base::TimePoint begun_at() const { return begun_at_; }

  [[nodiscard]] base::TimePoint opened_at() const { return opened_at_; }

  [[nodiscard]] base::TimePoint last_used() const { return last_used_; }

  // When bytes came last, or reading was resumed.
  [[nodiscard]] base::TimePoint last_heard() const { return last_heard_; }

  void on_events(std::uint32_t events) override;

 private:
  struct Waiting {
    SlotIndex index = kNoSlot;
    std::string request;
  };

  void on_reply(SlotIndex index, std::string_view bytes, char type, bool last) override;
  void on_push(std::string_view bytes) override;

  void finish_connect();
  void on_handshake_reply(std::string_view reply);
  void become_ready();
  void read();
  void want(std::uint32_t interest);
  void schedule_flush();
  void note_sent(std::size_t bytes);
  void note_queued(Slot& slot);
  void drop_everything();
  void charge();
  void tell_if_drained();
  void lose_as(std::string reason, route::Failure failure);
  void tell_failure(route::Failure failure);
  [[nodiscard]] bool note_full();

  Runtime& runtime_;
  ConnectionEvents& events_;
  const ConnectionSpec spec_;
  metrics::NodeMetrics& metrics_;  // of its node
  std::string node_name_;
  std::unique_ptr<net::Transport> transport_;
  Pipeline pipeline_;
  std::deque<HandshakeStep> handshake_;  // replies still to come
  std::vector<Waiting> backlog_;
  std::size_t backlog_bytes_ = 0;
  std::size_t charged_ = 0;  // to the worker's memory
  State state_ = State::Connecting;
  std::uint32_t interest_ = 0;
  net::Urgency urgency_ = net::Urgency::Normal;
  bool paused_ = false;
  bool retired_ = false;
  bool flush_scheduled_ = false;
  bool over_high_water_ = false;
  bool was_full_ = false;  // and somebody waits
  bool feeding_ = false;   // the pipeline is on the stack: close waits until it is not
  std::int64_t upstream_id_ = 0;
  std::uint64_t address_hash_ = 0;
  std::string refusal_;
  std::string close_reason_;
  base::TimerQueue::Id open_timer_{};
  base::TimePoint begun_at_{};
  base::TimePoint opened_at_{};
  base::TimePoint last_heard_{};
  base::TimePoint last_used_{};
  std::optional<base::TimePoint> pinged_at_;
};

}  // namespace pannier::upstream
