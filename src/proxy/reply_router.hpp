#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/upstream/connection.hpp"

#include <string>
#include <string_view>

namespace pannier::proxy {

// The way back: takes what upstream connections say to the sessions that asked, in their places.
// One per worker, on its thread.
class ReplyRouter final : public upstream::ConnectionEvents {
 public:
  // The context is made after its router.
  void bind(Context& context) { context_ = &context; }

  void on_opened(upstream::Connection& connection) override;
  void on_reply(upstream::Connection& connection,
                upstream::SlotIndex index,
                std::string_view bytes,
                char type,
                bool last) override;
  void on_push(upstream::Connection& connection, std::string_view bytes) override;
  void on_lost(upstream::Connection& connection, upstream::SlotIndex index, bool was_sent) override;
  void on_closed(upstream::Connection& connection) override;
  void on_drained(upstream::Connection& connection) override;

  // Answers a request whose time of this kind is over, or has it tried elsewhere; its slot stays in
  // the line, its reply will be dropped.
  void time_out(upstream::SlotIndex index, upstream::DeadlineKind kind);

 private:
  void route(upstream::Connection& connection,
             upstream::SlotIndex index,
             std::string_view bytes,
             char type,
             bool last);
  void settle(upstream::Connection& connection, upstream::SlotIndex index);
  bool take_own(upstream::Connection& connection,
                upstream::Slot& slot,
                std::string_view bytes,
                bool last);
  void end_own(upstream::Connection& connection, upstream::Slot& slot, std::string_view bytes);
  void finish(upstream::Connection& connection, upstream::Slot& slot, Session& session);
  void give(Session& session, const upstream::Slot& slot, std::string_view bytes, bool last);
  void give_whole(Session& session, upstream::SlotIndex index, std::string_view bytes);
  void hand_on(Session& session, upstream::SlotIndex index, std::string_view bytes, bool last);
  void give_exec(Session& session, upstream::SlotIndex index, std::string_view bytes, bool last);
  void note_reply(upstream::Connection& connection,
                  upstream::SlotIndex index,
                  std::string_view bytes,
                  char type,
                  bool last);
  [[nodiscard]] bool others_wait_for(const upstream::Slot& slot) const;
  void hold_up(upstream::Connection& connection, Session& session);
  void close_non_reader(Session& session);
  void hold_up_if_full(upstream::Connection& connection, Session& session);
  void answer_lost(upstream::Connection& connection,
                   const upstream::Slot& slot,
                   Session& session,
                   bool was_sent);
  [[nodiscard]] bool retry_refused(upstream::Connection& connection,
                                   upstream::SlotIndex index,
                                   std::string_view bytes);
  void let_go(Session& session, upstream::SlotIndex index);
  void end_attempt(upstream::SlotIndex index);
  void send_again(upstream::Connection& from, upstream::SlotIndex index);
  void lose_pinned(upstream::Connection& connection, Session& session);

  Context* context_ = nullptr;
};

}  // namespace pannier::proxy
