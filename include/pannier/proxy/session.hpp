#pragma once

#include "pannier/command/command.hpp"
#include "pannier/config/config.hpp"
#include "pannier/net/poller.hpp"
#include "pannier/net/transport.hpp"
#include "pannier/proxy/reply_queue.hpp"
#include "pannier/proxy/retry.hpp"
#include "pannier/proxy/rule_stage.hpp"
#include "pannier/proxy/session_state.hpp"
#include "pannier/proxy/ttl_state.hpp"
#include "pannier/resp/request_parser.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/connection.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::proxy {

struct Context;

// Why a session does not parse. Its unparsed input is the only queue there is; when the reason goes
// away the request that had to wait is tried again from its first byte.
enum class Waiting : std::uint8_t {
  Nothing,
  Order,     // until what it has in flight is answered (behaviour 1.2, 1.3)
  Output,    // too many replies are outstanding or unread
  Lane,      // the lane's queue is full
  Pinned,    // no exclusive connection is free
  Database,  // SELECT: until the first lane in that db opened
  Topology,  // nothing is known of upstream yet
  Node,      // its node cannot be reached now, and may be in a moment
  Retry,     // requests are to be tried again first (proxy/retries.hpp)
  Learning,  // COMMAND INFO of a command that the table does not know
  Gather,    // other workers are asked
  Paused,    // CLIENT PAUSE
  Limit,     // the primary is asked whether a limit admits it
  Fault      // a rehearsal delays it
};

// What a session has in flight to one node. `lane` is valid while `in_flight` is not 0.
struct Binding {
  route::NodeId node = route::kNoNode;
  std::uint32_t in_flight = 0;
  std::uint32_t writes = 0;
  upstream::Connection* lane = nullptr;
};

// A read of the session that is under way and shows a key of a cached class. `led`: it was sent on
// the session's own lane, whose order it keeps; else it has joined and keeps none.
struct Participation {
  std::uint64_t hash = 0;    // of the key
  std::uint32_t flight = 0;  // that answers it; 0: it is past the cache
  std::uint32_t place = 0;
  bool led = false;
};

// The exclusive connection of a session and what it holds there (behaviour §2).
struct PinnedState {
  upstream::Connection* connection = nullptr;
  std::uint32_t in_flight = 0;
  std::uint32_t blocking = 0;     // blocking commands in flight
  std::uint32_t subscribing = 0;  // SUBSCRIBE and the like in flight
  bool multi = false;
  bool watching = false;
  bool tracking = false;
  bool monitoring = false;   // upstream's MONITOR
  bool uploading = false;    // a large request streams
  bool dirty = false;        // not to be given back
  bool lost = false;         // was lost during WATCH or MULTI, or refused to MULTI: EXEC must fail
  bool must_abort = false;   // a part of this transaction was refused: see fail_transaction
  bool settling = false;     // an EXEC that may change the database is in flight
  bool dropping = false;     // a large request was refused: its bytes go nowhere
  bool written_all = false;  // as `written`, by a command whose keys are not known
  std::int64_t selected_in_multi = -1;
  std::string failed;  // why the connection that was waited for did not open, or MULTI was refused
  std::vector<std::uint64_t> written;  // key hashes written since MULTI, until EXEC is answered
  TtlTransaction queued;               // since MULTI, until EXEC is sent

  // State upstream that ends with the connection and that the client would miss.
  [[nodiscard]] bool holds_client_state() const {
    return tracking || monitoring || blocking > 0 || subscribed();
  }

  [[nodiscard]] bool subscribed() const {
    return subscribing > 0 ||
           (connection != nullptr && connection->pipeline().subscriptions().any());
  }

  [[nodiscard]] bool can_release() const {
    return connection != nullptr && in_flight == 0 && !multi && !watching && !uploading &&
           !holds_client_state();
  }
};

// One downstream connection: reads and parses requests, keeps the order of replies, writes them.
// What a request means is the RequestHandler's. Owned by its worker's SessionTable, on that
// worker's thread. Idle it owns no buffer.
class Session final : public net::Pollable {
 public:
  static constexpr std::size_t kMaxWaitingInput = 64 * 1024;
  // Replies outstanding, and as many when there is no memory.
  static constexpr std::uint32_t kMaxPending = 4096;
  static constexpr std::uint32_t kFewestPending = 64;
  static constexpr std::size_t kPauseAt = 1024 * 1024;  // unread bytes that pause a large reply
  static constexpr std::size_t kResumeAt = 256 * 1024;
  // Unread bytes from which on no more is asked for, by the level of memory.
  static constexpr std::size_t kMostOutput = 16 * 1024 * 1024;
  static constexpr std::size_t kMostOutputWhenTight = 64 * 1024;
  static constexpr std::size_t kMostOutputWhenFull = 16 * 1024;

  Session(Context& context,
          upstream::SessionRef ref,
          std::unique_ptr<net::Transport> transport,
          const config::Listener& listener);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void on_events(std::uint32_t events) override;

  // Says something to a place in the reply order; `last` completes it.
  void reply(std::uint32_t place, std::string_view bytes, bool last = true);

  // A whole reply as a counted reference.
  void reply(std::uint32_t place, const base::SharedBytes& bytes) {
    replies_.add(place, bytes, out_);
    schedule_flush();
  }

  // Takes a place and answers it at once; without a word while CLIENT REPLY says so.
  void answer(std::string_view bytes) {
    reply(open_place(), state.reply_mode == ReplyMode::On ? bytes : std::string_view{});
  }

  void answer(const base::SharedBytes& bytes) {
    if (state.reply_mode == ReplyMode::On) {
      reply(open_place(), bytes);
    } else {
      reply(open_place(), std::string_view{});
    }
  }

  // Out of order: between replies.
  void push(std::string_view bytes);
  // A line of MONITOR.
  void show(std::string_view line);

  [[nodiscard]] std::uint32_t open_place() {
    return reused_place_ ? *std::exchange(reused_place_, std::nullopt) : replies_.open();
  }

  // The place that `open_place` gives next.
  [[nodiscard]] std::uint32_t next_place() const {
    return reused_place_ ? *reused_place_ : replies_.next_place();
  }

  // The next request that is handled takes this place, which is open already.
  void reuse_place(std::uint32_t place) { reused_place_ = place; }

  void stop_reusing() { reused_place_.reset(); }

  [[nodiscard]] const ReplyQueue& replies() const { return replies_; }

  // Parsing goes on at the end of this turn's events, if it waits for `reason` (any, for Nothing).
  void wake(Waiting reason = Waiting::Nothing);
  void resume();

  // The same for one that waits until what it has in flight is answered.
  void wake_for_order() {
    if (waiting_ == Waiting::Order || waiting_ == Waiting::Retry) {
      wake();
    }
  }

  // The same for one that waits because too much is outstanding.
  void wake_for_output() {
    if (waiting_ == Waiting::Output && replies_.pending() < max_pending() / 2) {
      wake();
    }
  }

  void wait_for(Waiting reason) { waiting_ = reason; }

  [[nodiscard]] Waiting waiting() const { return waiting_; }

  // Ends it after what is queued was written.
  void close_after_replies(metrics::CloseReason reason);
  // Ends it now. The object lives until the turn's end.
  void close(metrics::CloseReason reason);

  [[nodiscard]] bool closed() const { return !transport_; }

  // Closes at the next reply boundary: at once when nothing is in flight.
  void drain();

  void flush();
  // A connection whose large reply waits for this client to read.
  void pause(upstream::Connection& connection);
  void forget(const upstream::Connection& connection);
  // A lane is gone; what is in flight to its node is on an older one.
  void forget_lane(const upstream::Connection& lane);

  // So much is unread that no more replies, even small ones, are to be fetched for it.
  [[nodiscard]] bool holds_too_much() const {
    return output_bytes() > kMostOutputWhenTight && is_over_window();
  }

  // The same for a large reply that comes in parts.
  [[nodiscard]] bool wants_pause() const;
  // In bytes: unread replies, unparsed input, and what lies on its exclusive connection.
  [[nodiscard]] std::size_t held_bytes() const;
  // The level of memory fell.
  void on_memory_eased();

  // It does not read what there is for it, or did not a moment ago.
  [[nodiscard]] bool is_behind(base::TimePoint now) const {
    return write_blocked_ || !paused_.empty() || now < behind_until_;
  }

  void upload_drained();

  [[nodiscard]] Binding& binding(route::NodeId node) {
    return !bindings.empty() && bindings[0].node == node ? bindings[0] : other_binding(node);
  }

  // Requests without an answer, wherever that comes from.
  [[nodiscard]] std::uint32_t in_flight() const;

  // Reads among them that keep no order with what the session sends next.
  [[nodiscard]] std::uint32_t joined() const {
    return static_cast<std::uint32_t>(
        std::count_if(reads.begin(), reads.end(), [](const auto& part) { return !part.led; }));
  }

  [[nodiscard]] std::uint32_t writes_in_flight() const;

  [[nodiscard]] std::size_t output_bytes() const { return out_.size() + replies_.held_bytes(); }

  [[nodiscard]] std::size_t input_bytes() const { return input_.size(); }

  [[nodiscard]] upstream::SessionRef ref() const { return ref_; }

  [[nodiscard]] const config::Listener& listener() const { return *listener_; }

  SessionState state;
  PinnedState pinned;
  SessionCharges charges;
  std::vector<Binding> bindings;
  std::vector<Participation> reads;
  std::vector<Retry> retries;              // in the order of their places
  base::TimePoint retry_wake{};            // when they are looked at next
  std::vector<std::uint64_t> lease_waits;  // tokens, see LeaseWaits
  bool holds_lease = false;                // or did
  base::TimePoint heavy_until{};
  base::TimePoint wait_until{};   // of a bounded wait; zero: not started
  bool delayed_by_fault = false;  // that wait is a rehearsal's
  const command::CommandSpec* last_row = nullptr;
  route::NodeId last_write_node = route::kNoNode;
  std::uint64_t gathered = 0;  // counts answers of other workers
  std::string gather_result;

 private:
  void read();
  [[nodiscard]] std::size_t process(std::string_view input);
  [[nodiscard]] std::size_t handle_batch();
  [[nodiscard]] bool upload(std::string_view input, std::size_t& used);
  void protocol_error();
  void keep(std::string_view rest);
  void update_interest();
  void schedule_flush();
  void watch_progress();
  void watch_upload();
  void finish_upload();
  [[nodiscard]] bool write_now(std::string_view bytes, std::size_t& written);
  [[nodiscard]] std::size_t most_output() const;
  [[nodiscard]] std::uint32_t max_pending() const;
  [[nodiscard]] bool is_over_window() const;

  [[nodiscard]] bool output_is_full() const {
    const bool may_be = replies_.pending() >= kFewestPending ||
                        output_bytes() > kMostOutputWhenFull || write_blocked_;
    return may_be && is_output_full_now();
  }

  [[nodiscard]] bool is_output_full_now() const;
  [[nodiscard]] bool may_read() const;
  [[nodiscard]] bool keep_output_limit();
  void close_over_limit(bool is_told, std::string_view which, std::uint64_t limit);
  void charge();
  [[nodiscard]] bool is_quiet() const;
  [[nodiscard]] Binding& other_binding(route::NodeId node);
  void finish_if_done();
  void resume_paused();

  Context& context_;
  const upstream::SessionRef ref_;
  const config::Listener* listener_;
  std::unique_ptr<net::Transport> transport_;
  resp::RequestParser parser_;
  ReplyQueue replies_;
  base::ByteQueue out_;
  std::string input_;        // not parsed yet
  std::size_t charged_ = 0;  // to the worker's memory
  std::uint32_t interest_ = 0;
  Waiting waiting_ = Waiting::Nothing;
  bool flush_scheduled_ = false;
  bool wake_scheduled_ = false;
  bool ended_ = false;     // the client sends no more
  bool closing_ = false;   // after the replies
  bool draining_ = false;  // when its transaction or blocked command has ended
  bool write_blocked_ = false;
  bool watching_progress_ = false;
  base::TimePoint behind_until_{};
  base::TimePoint over_soft_since_{};  // its output limit; zero: it is not
  bool watching_upload_ = false;
  metrics::CloseReason close_reason_ = metrics::CloseReason::Client;
  std::optional<std::uint32_t> reused_place_;
  std::uint64_t bytes_written_ = 0;
  std::vector<upstream::Connection*> paused_;  // one per node that a large reply comes from
};

}  // namespace pannier::proxy
