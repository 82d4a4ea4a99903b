#include "reply_router.hpp"

#include "pannier/base/log.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "exec_reply.hpp"
#include "fleet_limits.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"
#include "retries.hpp"
#include "throttle.hpp"
#include "ttl_requests.hpp"
#include "write_marks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

constexpr auto kHeavyFor = std::chrono::seconds(10);
constexpr std::string_view kFailedTransaction =
    "-EXECABORT Transaction discarded because of previous errors.\r\n";

bool is_pinned_by(const Session& session, const upstream::Connection& connection) {
  return session.pinned.connection == &connection;
}

// It was named by its hash, which the server may not know.
bool may_want_script(const upstream::Slot& slot) {
  return slot.purpose == upstream::Purpose::Throttle || slot.purpose == upstream::Purpose::Limit;
}

std::string error_reply(std::string_view text) {
  std::string out;
  resp::append_error(out, text);
  return out;
}

std::string lost_reply(const upstream::Connection& connection, bool was_sent) {
  return error_reply(fmt::format("UPSTREAM lost node {}: {} ({})",
                                 connection.node_name(),
                                 connection.close_reason(),
                                 was_sent ? "may have run" : "not sent"));
}

}  // namespace

void ReplyRouter::on_opened(upstream::Connection& connection) {
  Context& context = *context_;
  if (context.lanes.owns(connection)) {
    context.lanes.opened(connection);
    const std::uint32_t db = connection.spec().db;
    if (std::find(context.known_databases.begin(), context.known_databases.end(), db) ==
        context.known_databases.end()) {
      context.known_databases.push_back(db);
    }
    if (db != 0) {
      context.sessions.for_each([](Session& session) { session.wake(Waiting::Database); });
    }
    context.sessions.for_each([](Session& session) { session.wake(Waiting::Node); });
    return;
  }
  const auto owner = context.pinned_owners.find(&connection);
  if (owner != context.pinned_owners.end()) {
    if (Session* session = context.sessions.find(owner->second)) {
      session->wake(Waiting::Pinned);
    }
  }
}

void ReplyRouter::on_reply(upstream::Connection& connection,
                           upstream::SlotIndex index,
                           std::string_view bytes,
                           char type,
                           bool last) {
  route(connection, index, bytes, type, last);
  if (last && context_->runtime.slots[index].has_ttl) {
    forget_followers(*context_, index, false);
  }
  if (last && connection.in_flight() == 0) {
    context_->lanes.answered(connection);
  }
}

void ReplyRouter::route(upstream::Connection& connection,
                        upstream::SlotIndex index,
                        std::string_view bytes,
                        char type,
                        bool last) {
  upstream::Slot& slot = context_->runtime.slots[index];
  if (may_want_script(slot) && send_with_script(*context_, connection, index, bytes)) {
    return;
  }
  const bool is_refused = type == '-' && last && is_refusal(bytes, slot.row);
  if (is_refused && retry_refused(connection, index, bytes)) {
    return;
  }
  note_reply(connection, index, bytes, type, last);
  if (last) {
    settle(connection, index);
    if (slot.has_ttl) {
      take_stored_reply(*context_, connection, index, bytes, type);
    }
  }
  if (take_own(connection, slot, bytes, last)) {
    return;
  }
  if (slot.purpose == upstream::Purpose::Mget) {
    take_mget_reply(*context_, index, last ? bytes : std::string_view{});
    if (!last) {
      slot.purpose = upstream::Purpose::None;  // too large to be kept
    }
  }
  const bool answered =
      slot.flight != 0 && take_flight_reply(*context_, connection, slot, bytes, last);
  Session* session = context_->sessions.find(slot.session);
  if (answered || session == nullptr || slot.fate == upstream::Fate::Abandoned) {
    if (session != nullptr && last) {
      finish(connection, slot, *session);
    }
    return;
  }
  if (slot.is_write && last && !is_refused && !session->retries.empty()) {
    fail_overtaken(*context_, *session, slot.place);
  }
  hand_on(*session, index, bytes, last);
  if (last) {
    finish(connection, slot, *session);
    hold_up_if_full(connection, *session);
  } else if (session->wants_pause() && !connection.paused() && !others_wait_for(slot)) {
    hold_up(connection, *session);
  }
}

// True: no client waits for it.
bool ReplyRouter::take_own(upstream::Connection& connection,
                           upstream::Slot& slot,
                           std::string_view bytes,
                           bool last) {
  if (slot.fate == upstream::Fate::Swallow) {
    end_own(connection, slot, bytes);
    return true;
  }
  if (slot.purpose != upstream::Purpose::Limit) {
    return false;
  }
  if (last && slot.fate != upstream::Fate::Abandoned) {
    take_limit_reply(*context_, slot, bytes);
  }
  return true;
}

// Of a command of Pannier's own; "": it is lost.
void ReplyRouter::end_own(upstream::Connection& connection,
                          upstream::Slot& slot,
                          std::string_view bytes) {
  if (slot.purpose == upstream::Purpose::Renew) {
    take_renewal(*context_, slot, bytes);
  } else if (slot.purpose == upstream::Purpose::Ttl) {
    take_added_reply(*context_, slot, bytes);
    if (Session* session = context_->sessions.find(slot.session)) {
      finish(connection, slot, *session);
    }
  }
}

// What is counted about a reply, and what Pannier itself reads out of it.
void ReplyRouter::note_reply(upstream::Connection& connection,
                             upstream::SlotIndex index,
                             std::string_view bytes,
                             char type,
                             bool last) {
  upstream::Slot& slot = context_->runtime.slots[index];
  auto& metrics = context_->runtime.metrics;
  if (type == '-' && last) {
    metrics.commands.at(slot.row).errors.add();
  }
  if ((!last && !slot.is_subscribe) || bytes.size() > 64 * 1024) {
    if (Session* session = context_->sessions.find(slot.session)) {
      session->heavy_until = context_->runtime.now + kHeavyFor;
    }
  }
  if (!last) {
    // It makes progress: only `slow` may end it.
    context_->runtime.deadlines.remove(index);
    return;
  }
  if (slot.fate == upstream::Fate::Abandoned) {
    connection.metrics().late_replies.add();
    return;
  }
  const auto elapsed = context_->runtime.now - slot.start;
  metrics.upstream_duration.observe(elapsed);
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(elapsed);
  metrics.commands.at(slot.row).duration_us.add(static_cast<std::uint64_t>(us.count()));
  if (us >= context_->shared.config.slowlog.slower_than && slot.fate != upstream::Fate::Swallow &&
      slot.purpose != upstream::Purpose::Blocking) {
    log_slow(*context_, connection, slot, us);
  }
}

// The request is over, whoever hears of it: its deadline, the read-your-writes marks, the gauges.
void ReplyRouter::settle(upstream::Connection& connection, upstream::SlotIndex index) {
  Context& context = *context_;
  context.runtime.deadlines.remove(index);
  connection.metrics().inflight.sub();
  const upstream::Slot& slot = context.runtime.slots[index];
  if (slot.marks_keys || slot.marks_all || slot.shows_keys) {
    settle_marks(context, index);
  }
}

// The session has one thing less in flight.
void ReplyRouter::finish(upstream::Connection& connection, upstream::Slot& slot, Session& session) {
  if (is_pinned_by(session, connection)) {
    PinnedState& pinned = session.pinned;
    pinned.in_flight -= pinned.in_flight > 0 ? 1 : 0;
    if (slot.purpose == upstream::Purpose::Blocking && pinned.blocking > 0) {
      --pinned.blocking;
      session.state.blocked = pinned.blocking > 0;
      context_->runtime.metrics.sessions_blocked.sub();
    }
    if (slot.is_subscribe && pinned.subscribing > 0) {
      --pinned.subscribing;
      const upstream::Subscriptions& counts = connection.pipeline().subscriptions();
      session.state.channels = counts.channels;
      session.state.patterns = counts.patterns;
      session.state.shard_channels = counts.shard_channels;
    }
    release_pinned(*context_, session);
  } else {
    Binding& binding = session.binding(connection.node());
    binding.in_flight -= binding.in_flight > 0 ? 1 : 0;
    binding.writes -= slot.is_write && binding.writes > 0 ? 1 : 0;
  }
  session.wake_for_order();
  session.wake_for_output();
}

void ReplyRouter::give(Session& session,
                       const upstream::Slot& slot,
                       std::string_view bytes,
                       bool last) {
  session.reply(slot.place, slot.silent ? std::string_view{} : bytes, last);
}

void ReplyRouter::hand_on(Session& session,
                          upstream::SlotIndex index,
                          std::string_view bytes,
                          bool last) {
  const upstream::Slot& slot = context_->runtime.slots[index];
  if (slot.purpose == upstream::Purpose::Exec) {
    give_exec(session, index, bytes, last);
  } else if (slot.fate == upstream::Fate::Whole) {
    give_whole(session, index, bytes);
  } else {
    give(session, slot, bytes, last);
  }
}

void ReplyRouter::give_whole(Session& session, upstream::SlotIndex index, std::string_view bytes) {
  const upstream::Slot& slot = context_->runtime.slots[index];
  switch (slot.purpose) {
    case upstream::Purpose::Learn:
      learn_command(*context_, index, bytes);
      session.wake(Waiting::Learning);
      return;
    case upstream::Purpose::Info:
      give(session, slot, with_info_section(*context_, bytes), true);
      return;
    case upstream::Purpose::Throttle:
      give(session, slot, throttle_reply(bytes), true);
      return;
    case upstream::Purpose::SetNx:
      give(session, slot, setnx_reply(bytes), true);
      return;
    case upstream::Purpose::Abort:
      give(session, slot, kFailedTransaction, true);
      return;
    case upstream::Purpose::Tracking:
      if (bytes.starts_with('-')) {
        session.pinned.tracking = session.state.tracking;
      }
      session.state.tracking = session.pinned.tracking;
      break;
    default:
      break;
  }
  give(session, slot, bytes, true);
}

// In parts, as it comes: it may hold any number of large values.
void ReplyRouter::give_exec(Session& session,
                            upstream::SlotIndex index,
                            std::string_view bytes,
                            bool last) {
  const upstream::Slot& slot = context_->runtime.slots[index];
  if (slot.selects && !slot.started) {
    if (bytes.starts_with('*') && !bytes.starts_with("*-1")) {
      session.state.db = static_cast<std::uint32_t>(session.pinned.selected_in_multi);
      session.pinned.dirty = true;
    }
    session.pinned.selected_in_multi = -1;
    session.pinned.settling = false;
  }
  const auto found = context_->ttl.transactions.find(index);
  if (found != context_->ttl.transactions.end()) {
    context_->text.clear();
    map_exec_part(found->second, bytes, context_->text);
    bytes = context_->text;
  }
  give(session, slot, bytes, last);
}

void ReplyRouter::on_push(upstream::Connection& connection, std::string_view bytes) {
  const auto owner = context_->pinned_owners.find(&connection);
  if (owner == context_->pinned_owners.end()) {
    if (bytes.find("tracking-redir-broken") != std::string_view::npos) {
      forget_redirect(*context_, connection);
    }
    return;
  }
  Session* session = context_->sessions.find(owner->second);
  if (session == nullptr) {
    return;
  }
  session->push(bytes);
  const bool is_short = !context_->runtime.memory.is_normal();  // else its output limit decides
  if (is_short && session->wants_pause() && !connection.paused()) {
    session->pause(connection);
  }
}

void ReplyRouter::on_lost(upstream::Connection& connection,
                          upstream::SlotIndex index,
                          bool was_sent) {
  upstream::Slot& slot = context_->runtime.slots[index];
  settle(connection, index);
  if (slot.has_ttl) {
    forget_followers(*context_, index, was_sent);
  }
  if (slot.fate == upstream::Fate::Swallow) {
    end_own(connection, slot, {});
    return;
  }
  if (slot.purpose == upstream::Purpose::Limit) {
    if (slot.fate != upstream::Fate::Abandoned) {
      take_limit_reply(*context_, slot, {});
    }
    return;
  }
  if (slot.purpose == upstream::Purpose::Mget) {
    take_mget_reply(*context_, index, {});
  }
  const std::string error = lost_reply(connection, was_sent);
  const Failed failed{
      was_sent ? RetryReason::Lost : RetryReason::NotSent, connection.node(), error};
  const bool answered = slot.flight != 0 && lose_flight(*context_, slot, failed);
  Session* session = context_->sessions.find(slot.session);
  if (session == nullptr) {
    return;
  }
  if (answered || (slot.flight == 0 && try_again(*context_, connection, index, failed))) {
    finish(connection, slot, *session);
    return;
  }
  if (slot.purpose == upstream::Purpose::Learn) {
    learn_command(*context_, index, {});
    session->wake(Waiting::Learning);
  } else if (slot.started) {
    // Half a reply has left: nothing that is said now could be understood.
    session->close(metrics::CloseReason::UpstreamLost);
    return;
  } else if (slot.fate != upstream::Fate::Abandoned) {
    answer_lost(connection, slot, *session, was_sent);
  }
  const bool may_hold = slot.purpose == upstream::Purpose::Blocking || slot.is_subscribe;
  if (was_sent && may_hold && is_pinned_by(*session, connection)) {
    session->close_after_replies(metrics::CloseReason::UpstreamLost);
  }
  finish(connection, slot, *session);
}

void ReplyRouter::answer_lost(upstream::Connection& connection,
                              const upstream::Slot& slot,
                              Session& session,
                              bool was_sent) {
  if (slot.purpose == upstream::Purpose::Info && !was_sent) {
    static constexpr std::array<std::string_view, 1> kInfo{"info"};
    give(session, slot, local_info(*context_, session, kInfo), true);
    return;
  }
  const auto reason = was_sent ? metrics::Refusal::MayHaveRun : metrics::Refusal::NotSent;
  auto& metrics = context_->runtime.metrics;
  metrics.refusals.at(static_cast<std::size_t>(reason)).add();
  metrics.commands.at(slot.row).errors.add();
  give(session, slot, reply_to_unanswered(session, slot, lost_reply(connection, was_sent)), true);
}

void ReplyRouter::on_closed(upstream::Connection& connection) {
  Context& context = *context_;
  forget_redirect(context, connection);
  context.scripted.erase(&connection);
  if (connection.paused()) {
    context.sessions.for_each([&](Session& session) { session.forget(connection); });
  }
  if (context.pinned.closed(connection)) {
    const auto owner = context.pinned_owners.find(&connection);
    if (owner != context.pinned_owners.end()) {
      Session* session = context.sessions.find(owner->second);
      context.pinned_owners.erase(owner);
      if (session != nullptr && is_pinned_by(*session, connection)) {
        lose_pinned(connection, *session);
      }
    }
    wake_pinned_waiter(context);
  } else {
    context.lanes.closed(connection);
    context.sessions.for_each([&](Session& session) {
      session.forget_lane(connection);
      session.wake(Waiting::Lane);
    });
    if (connection.spec().db != 0) {
      context.sessions.for_each([](Session& session) { session.wake(Waiting::Database); });
    }
  }
  if (context.shared.refresh_topology && connection.opened_at() != base::TimePoint{} &&
      !context.shared.draining) {
    context.shared.refresh_topology();
  }
}

// Behaviour 2.4: who holds state that is lost silently is closed; a transaction fails at EXEC.
void ReplyRouter::lose_pinned(upstream::Connection& connection, Session& session) {
  PinnedState& pinned = session.pinned;
  const bool state_lost = pinned.holds_client_state();
  pinned.connection = nullptr;
  pinned.in_flight = 0;
  pinned.settling = false;
  pinned.selected_in_multi = -1;
  pinned.dropping = pinned.uploading;
  if (session.waiting() == Waiting::Pinned && connection.opened_at() == base::TimePoint{}) {
    pinned.failed = fmt::format("UPSTREAM node {} is away: {} (not sent)",
                                connection.node_name(),
                                connection.close_reason());
  }
  if (state_lost) {
    base::log_warn("session",
                   "client {} is closed: node {}, which held its subscription, tracking or blocked "
                   "command, was lost: {}",
                   session.state.remote_address,
                   connection.node_name(),
                   connection.close_reason());
    session.close_after_replies(metrics::CloseReason::UpstreamLost);
    return;
  }
  pinned.lost = pinned.multi || pinned.watching;
  pinned.watching = false;
  session.wake(Waiting::Pinned);
}

void ReplyRouter::on_drained(upstream::Connection& connection) {
  const auto owner = context_->pinned_owners.find(&connection);
  if (owner != context_->pinned_owners.end()) {
    if (Session* session = context_->sessions.find(owner->second)) {
      session->upload_drained();
    }
  }
  context_->sessions.for_each([](Session& session) { session.wake(Waiting::Lane); });
}

}  // namespace pannier::proxy
