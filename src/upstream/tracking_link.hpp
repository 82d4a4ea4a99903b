#pragma once

#include "pannier/upstream/connection.hpp"

#include "tracking_inbox.hpp"
#include "tracking_session.hpp"

#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace pannier::upstream {

class TrackingLink;

// Who holds the links. Called within a turn; may end the link, but must not destroy it before the
// turn is over.
class TrackingLinkEvents {
 public:
  // The session may have a wish, a verdict, a proof or another due time.
  virtual void on_change(TrackingLink& link) = 0;
  virtual void on_heard(const TrackingLink& link, const TrackingInbox::Batch& batch) = 0;
  virtual void on_canary_answer(std::string_view value, std::string_view reply) = 0;
  // Pushes were kept: `read_kept` is to be called in the next turn, until has_kept is false.
  virtual void on_kept() = 0;

 protected:
  ~TrackingLinkEvents() = default;
};

// The connections of one TrackingSession and what was heard on them: a thin driver. Owned by
// TrackingLadder; lives on worker 0.
class TrackingLink final : public ConnectionEvents {
 public:
  TrackingLink(Runtime& runtime, TrackingLinkEvents& events, TrackingSession::Goal goal);

  // Starts to connect. on_change may come before it returns.
  void open(const route::Node& node);
  // Ends it; no event comes any more.
  void close(const std::string& reason);

  [[nodiscard]] bool is_over() const { return over_; }

  [[nodiscard]] TrackingSession& session() { return session_; }

  [[nodiscard]] const TrackingSession& session() const { return session_; }

  [[nodiscard]] std::int64_t hearer_id() const { return hearer_.connection->upstream_id(); }

  // False when its companion is not open.
  [[nodiscard]] bool write_canary(Rung rung, const std::string& value);

  [[nodiscard]] bool has_kept() const { return inbox_.has_kept(); }

  void read_kept();

  // Sends what the session asks for; to be called after its inputs.
  void send_requests();

 private:
  struct Asked {
    TrackingAsk ask;
    std::string canary;  // its value
  };

  struct End {
    std::unique_ptr<Connection> connection;
    std::deque<Asked> asked;  // replies still to come
  };

  void on_opened(Connection& connection) override;
  void on_reply(Connection& connection,
                SlotIndex index,
                std::string_view bytes,
                char type,
                bool last) override;
  void on_push(Connection& connection, std::string_view bytes) override;
  void on_lost(Connection& connection, SlotIndex index, bool was_sent) override;
  void on_closed(Connection& connection) override;
  void on_drained(Connection& connection) override;

  void connect(TrackingEnd which, const route::Node& node);
  void send(End& end, Asked asked, std::string_view bytes);
  [[nodiscard]] End& end_of(TrackingEnd which);
  [[nodiscard]] TrackingEnd which(const Connection& connection) const;
  [[nodiscard]] bool take(TrackingInbox::Outcome outcome);

  Runtime& runtime_;
  TrackingLinkEvents& events_;
  TrackingSession session_;
  TrackingInbox inbox_;
  End hearer_;
  End companion_;
  base::TimePoint turn_{};  // whose share of keys is being read
  bool over_ = false;
};

}  // namespace pannier::upstream
