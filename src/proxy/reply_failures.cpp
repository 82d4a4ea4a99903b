#include "cached_reads.hpp"
#include "fleet_limits.hpp"
#include "introspection.hpp"
#include "reply_router.hpp"
#include "request_handler.hpp"
#include "retries.hpp"

#include <string_view>

// Replies after which a request is tried again, and deadlines.
namespace pannier::proxy {
namespace {

constexpr std::string_view kNoConnection =
    "-UPSTREAM no connection within the deadline (not sent)\r\n";
constexpr std::string_view kNoReply = "-UPSTREAM no reply within the deadline (may have run)\r\n";

}  // namespace

// The node refused it before it ran. What the session sent behind it on the same lane follows it:
// reads must see it, and whether a write behind it was taken decides if it still can be.
bool ReplyRouter::retry_refused(upstream::Connection& connection,
                                upstream::SlotIndex index,
                                std::string_view bytes) {
  Context& context = *context_;
  upstream::Slot& slot = context.runtime.slots[index];
  const bool asks_for_topology = bytes.find("-READONLY") != std::string_view::npos;
  if (asks_for_topology && context.shared.refresh_topology) {
    context.shared.refresh_topology();
  }
  Session* session = context.sessions.find(slot.session);
  if (session == nullptr || slot.flight != 0 || slot.fate == upstream::Fate::Abandoned ||
      !try_again(context, connection, index, {RetryReason::Refused, connection.node(), bytes})) {
    return false;
  }
  settle(connection, index);
  if (slot.purpose == upstream::Purpose::Mget) {
    take_mget_reply(context, index, {});
  }
  retry_behind(context, connection, *session, slot.place);
  finish(connection, slot, *session);
  return true;
}

// The first try of a read has had its time. Elsewhere, or on with the rest of its deadline.
void ReplyRouter::end_attempt(upstream::SlotIndex index) {
  Context& context = *context_;
  const upstream::Slot& slot = context.runtime.slots[index];
  Session* session = context.sessions.find(slot.session);
  const bool is_behind = session != nullptr && session->is_behind(context.runtime.now);
  if (!is_behind && context.shared.report) {
    context.shared.report(slot.node, route::Failure::Attempt, 1);
  }
  const std::uint32_t place = slot.place;
  const upstream::Connection* lane =
      session == nullptr ? nullptr : session->binding(slot.node).lane;
  if (!is_behind && abandon_silent(context, index, {RetryReason::Silent, slot.node, kNoReply})) {
    if (lane != nullptr) {
      retry_behind(context, *lane, *session, place);
    }
  } else {
    const auto due = slot.start + context.shared.config.upstream.timeouts.read;
    context.runtime.deadlines.add_timed(index, due);
  }
}

// What a session sends next must not wait for a reply that is given up: a read has no say in the
// order any more, and a write on a lane that a client's unread reply holds up has long been run.
// Behind one whose node is silent the order is kept until its lane is lost.
void ReplyRouter::let_go(Session& session, upstream::SlotIndex index) {
  const upstream::Slot& slot = context_->runtime.slots[index];
  const upstream::Connection* lane = session.binding(slot.node).lane;
  const bool is_held_up = lane != nullptr && lane->paused();
  if (session.pinned.connection == nullptr && (!slot.is_write || is_held_up)) {
    abandon(*context_, session, index);
  }
}

void ReplyRouter::time_out(upstream::SlotIndex index, upstream::DeadlineKind kind) {
  if (kind == upstream::DeadlineKind::Attempt) {
    end_attempt(index);
    return;
  }
  upstream::Slot& slot = context_->runtime.slots[index];
  auto& metrics = context_->runtime.metrics;
  Session* session = context_->sessions.find(slot.session);
  const base::TimePoint now = context_->runtime.now;
  const bool blocking = slot.purpose == upstream::Purpose::Blocking;
  if (session != nullptr && session->is_behind(now) && !blocking) {
    // Its own client may be what it waits for; others must not.
    if (slot.flight != 0) {
      free_joiners(*context_, slot.flight);
    }
    slot.start = now;
    slot.deadline = slot.is_write ? upstream::DeadlineKind::Write : upstream::DeadlineKind::Read;
    context_->runtime.deadlines.add(index);
    return;
  }
  metrics.nodes.at(slot.node).timeouts.add();
  context_->lanes.suspect(slot.node);
  slot.fate = upstream::Fate::Abandoned;
  if (slot.purpose == upstream::Purpose::Limit) {
    take_limit_reply(*context_, slot, {});
    return;
  }
  const std::string_view error = slot.in_backlog ? kNoConnection : kNoReply;
  const bool answered = slot.flight != 0 && time_out_flight(*context_, slot, error);
  if (session == nullptr || answered) {
    if (session != nullptr) {
      let_go(*session, index);
    }
    return;
  }
  if (slot.purpose == upstream::Purpose::Learn) {
    learn_command(*context_, index, {});
    session->wake(Waiting::Learning);
    return;
  }
  const auto reason = slot.in_backlog ? metrics::Refusal::NotSent : metrics::Refusal::MayHaveRun;
  metrics.refusals.at(static_cast<std::size_t>(reason)).add();
  metrics.commands.at(slot.row).errors.add();
  give(*session, slot, reply_to_unanswered(*session, slot, error), true);
  let_go(*session, index);
}

}  // namespace pannier::proxy
