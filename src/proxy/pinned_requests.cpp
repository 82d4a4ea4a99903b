#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "introspection.hpp"
#include "memory_keeper.hpp"
#include "policy_stage.hpp"
#include "request_handler.hpp"
#include "throttle.hpp"
#include "ttl_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

// Requests that need a connection of their own (behaviour §2).
namespace pannier::proxy {
namespace {

using command::CommandSpec;
using command::Handling;

// RESET and QUIT leave any state, and are Pannier's own in each.
bool always_local(const CommandSpec& row) {
  return row.name == "quit" || row.name == "reset";
}

// Inside MULTI or a RESP2 subscription the server decides about PING and the like.
bool passes_as_it_is(const CommandSpec& row) {
  return row.name == "ping" || row.name == "echo" || row.name == "select" || row.name == "role";
}

Step answer_error(Context& context, Session& session, std::string_view text) {
  context.text.clear();
  resp::append_error(context.text, text);
  session.answer(context.text);
  return Step::Done;
}

// EXEC, DISCARD and UNWATCH of a session that holds nothing are answered as Redis would.
bool answer_without_state(Context& context, Session& session, const CommandSpec& row) {
  if (row.handling != Handling::Transaction || session.pinned.connection != nullptr ||
      session.pinned.lost) {
    return false;
  }
  if (row.name == "exec" || row.name == "discard") {
    static_cast<void>(
        answer_error(context,
                     session,
                     row.name == "exec" ? "ERR EXEC without MULTI" : "ERR DISCARD without MULTI"));
    return true;
  }
  if (row.name == "unwatch") {
    session.answer("+OK\r\n");
    return true;
  }
  return false;
}

void note_transaction(Session& session, const CommandSpec& row) {
  PinnedState& pinned = session.pinned;
  if (row.name == "multi") {
    if (!pinned.multi) {
      pinned.queued = {};
    }
    // Refused to a RESP2 subscriber.
    pinned.multi =
        pinned.multi || session.state.version == resp::Version::Resp3 || !pinned.subscribed();
  } else if (row.name == "exec" || row.name == "discard") {
    pinned.multi = pinned.watching = pinned.must_abort = false;
    if (row.name == "discard") {
      pinned.written.clear();
      pinned.written_all = false;
      pinned.selected_in_multi = -1;
    }
  } else if (row.name == "watch" && !pinned.multi) {
    pinned.watching = true;
  } else if (row.name == "unwatch" && !pinned.multi) {
    pinned.watching = false;
  }
  session.state.in_multi = pinned.multi;
  session.state.watching = pinned.watching;
}

// A blocking command may take as long as it asked for, and a second more (behaviour 2.7).
void prepare_blocking(Context& context, Session& session, std::int64_t ms, Outgoing& out) {
  constexpr std::int64_t kLongest = 1LL << 40;
  out.deadline = ms > 0 ? upstream::DeadlineKind::Timed : upstream::DeadlineKind::None;
  out.due = context.runtime.now +
            std::chrono::milliseconds(std::clamp<std::int64_t>(ms, 0, kLongest)) +
            std::chrono::seconds(1);
  out.purpose = upstream::Purpose::Blocking;
  ++session.pinned.blocking;
  session.state.blocked = true;
  context.runtime.metrics.sessions_blocked.add();
}

// WAIT counts from the offset of its connection's last command: PING brings that to now, after the
// session's writes that other connections carried (behaviour 2.6). False: answered.
bool prepare_wait(Context& context, Session& session, Outgoing& out) {
  if (session.last_write_node != route::kNoNode &&
      session.last_write_node != session.pinned.connection->node()) {
    refuse(context,
           session,
           metrics::Refusal::NotSent,
           "UPSTREAM the primary changed since this session's last write (not sent)");
    release_pinned(context, session);
    return false;
  }
  send_unseen(context, *session.pinned.connection, "*1\r\n$4\r\nPING\r\n");
  prepare_blocking(context, session, base::parse_int(out.arguments.back()).value_or(0), out);
  return true;
}

// CLIENT TRACKING ... REDIRECT id: the client names a session, the server wants its connection.
bool map_redirect(Context& context,
                  std::span<const std::string_view> request,
                  std::string& mapped) {
  std::vector<std::string> arguments(request.begin(), request.end());
  std::vector<std::string_view> views;
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (!base::equals_ignoring_case(arguments[i], "redirect")) {
      continue;
    }
    const auto id = base::parse_int(arguments[i + 1]);
    std::int64_t upstream_id = 0;
    context.sessions.for_each([&](const Session& other) {
      if (id && other.state.id == static_cast<std::uint64_t>(*id) &&
          other.pinned.connection != nullptr) {
        upstream_id = other.pinned.connection->upstream_id();
      }
    });
    if (upstream_id == 0) {
      return false;
    }
    arguments[i + 1] = std::to_string(upstream_id);
  }
  views.assign(arguments.begin(), arguments.end());
  mapped.clear();
  resp::append_request(mapped, views);
  return true;
}

// In RESP2 a subscriber may say little; the server knows what, but Pannier's own commands would
// never reach it.
bool refused_to_subscriber(Context& context, Session& session, const CommandSpec& row) {
  if (session.state.version == resp::Version::Resp3 || !session.pinned.subscribed() ||
      row.handling != Handling::Local || row.name == "ping" || always_local(row)) {
    return false;
  }
  static_cast<void>(answer_error(
      context,
      session,
      fmt::format("ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                  "RESET are allowed in this context",
                  row.name)));
  return true;
}

// Pannier's own commands cannot be queued upstream. As with what Redis forbids there, the
// transaction fails.
Step refuse_in_multi(Context& context, Session& session) {
  fail_transaction(session);
  return answer_error(context, session, "ERR Command not allowed inside a transaction");
}

// False: answered.
bool prepare_tracking(Context& context, Session& session, Outgoing& out) {
  if (!map_redirect(context, out.arguments, context.text)) {
    release_pinned(context, session);
    static_cast<void>(
        answer_error(context, session, "ERR The client ID you want redirect to does not exist"));
    return false;
  }
  out.frame = context.text;
  out.fate = upstream::Fate::Whole;
  out.purpose = upstream::Purpose::Tracking;
  session.pinned.tracking =
      out.arguments.size() > 2 && base::equals_ignoring_case(out.arguments[2], "on");
  return true;
}

// An EXEC that must fail leaves as DISCARD, which ends WATCH as well.
void prepare_abort(Outgoing& out) {
  static constexpr std::array<std::string_view, 1> kDiscard{"discard"};
  static const CommandSpec* const kRow = command::find("discard");
  out.row = kRow;
  out.arguments = kDiscard;
  out.frame = "*1\r\n$7\r\nDISCARD\r\n";
  out.purpose = upstream::Purpose::Abort;
  out.fate = upstream::Fate::Whole;
}

void prepare_transaction(Session& session, std::size_t count, Outgoing& out) {
  if (out.row->name != "exec" && !command::arity_fits(*out.row, count)) {
    return;  // the server refuses it, and the transaction goes on
  }
  const bool streams = out.announced > 0;  // an EXEC with arguments, which the server fails
  if (out.row->name == "exec" && session.pinned.must_abort && !streams) {
    prepare_abort(out);
  } else if (out.row->name == "exec") {
    session.pinned.settling = session.pinned.selected_in_multi >= 0;
    out.deadline = upstream::DeadlineKind::Slow;
    out.purpose = upstream::Purpose::Exec;
  }
  note_transaction(session, *out.row);
}

// Sets what is special about a request on an exclusive connection. `count` is the number of its
// arguments, of which a large request shows only the first. False: answered.
bool prepare(Context& context, Session& session, std::size_t count, Outgoing& out) {
  const CommandSpec& row = *out.row;
  PinnedState& pinned = session.pinned;
  out.deadline = row.has(command::kHeavy)      ? upstream::DeadlineKind::Slow
                 : row.has(command::kReadOnly) ? upstream::DeadlineKind::Read
                                               : upstream::DeadlineKind::Write;
  if (row.name == "monitor") {
    pinned.monitoring = true;
    pinned.connection->expect_monitor_lines();
    return true;
  }
  if (row.name == "client|tracking") {
    return prepare_tracking(context, session, out);
  }
  if (is_throttle(row)) {
    prepare_throttle(context, *pinned.connection, out);
  } else if (row.handling == Handling::Transaction) {
    if (row.name == "exec" || row.name == "discard") {
      end_charges(context, session, row.name == "exec" && pinned.must_abort);
    }
    prepare_transaction(session, count, out);
  } else if (pinned.multi) {
    if (row.name == "select") {
      const std::int64_t db = base::parse_int(out.arguments.back()).value_or(-1);
      const bool exists = db >= 0 && db < static_cast<std::int64_t>(context.topology->databases);
      pinned.selected_in_multi = exists ? db : pinned.selected_in_multi;
    }
  } else if (row.handling == Handling::Subscribe) {
    out.is_subscribe = true;
    out.confirmations = static_cast<std::uint32_t>(count - 1);
    out.deadline = upstream::DeadlineKind::None;
    ++pinned.subscribing;
  } else if (row.handling == Handling::Wait) {
    return prepare_wait(context, session, out);
  } else if (command::may_block(row, out.arguments)) {
    const bool whole = out.arguments.size() == count;
    prepare_blocking(
        context, session, whole ? command::block_milliseconds(row, out.arguments) : 0, out);
  }
  return true;
}

// The row of a request over 64 KiB; null when Pannier would have to hold it to answer it.
const CommandSpec* large_row(const Session& session, std::span<const std::string_view> head) {
  static constexpr CommandSpec kUnknown{
      "unknown", -1, 0, command::KeyRule::None, 0, 0, 0, Handling::Forward};
  if (head.empty() || !session.state.authenticated) {
    return nullptr;
  }
  const CommandSpec* row = command::find(head);
  if (row == nullptr) {
    return &kUnknown;
  }
  const bool mirrored = row->name == "ping" || row->name == "echo";
  const bool own = row->handling == Handling::Local || row->handling == Handling::Refused ||
                   row->handling == Handling::Wait;
  return own && !mirrored ? nullptr : row;
}

}  // namespace

bool needs_pinned(const Session& session,
                  const CommandSpec& row,
                  std::span<const std::string_view> arguments) {
  const PinnedState& pinned = session.pinned;
  const bool holds = pinned.connection != nullptr || pinned.lost;
  switch (row.handling) {
    case Handling::Forward:
      return holds;
    case Handling::Local:
      if (row.name == "client|tracking") {
        return true;
      }
      return !always_local(row) &&
             (pinned.multi ||
              (session.state.version == resp::Version::Resp2 && pinned.subscribed()));
    case Handling::Blocking:
      return holds || command::may_block(row, arguments);
    case Handling::Transaction:
    case Handling::Subscribe:
    case Handling::Wait:
    case Handling::Refused:
      return true;
  }
  return true;
}

Step handle_pinned(Context& context,
                   Session& session,
                   const CommandSpec& row,
                   const resp::Request& request) {
  if (answer_without_state(context, session, row) || answer_after_loss(context, session, row)) {
    return Step::Done;
  }
  if (row.handling == Handling::Local && session.pinned.subscribing > 0) {
    session.wait_for(Waiting::Order);  // until it is known whether the session is subscribed
    return Step::Wait;
  }
  if (refused_to_subscriber(context, session, row)) {
    return Step::Done;
  }
  if (session.pinned.multi && !passes_as_it_is(row) &&
      (row.handling == Handling::Local || row.handling == Handling::Subscribe)) {
    return refuse_in_multi(context, session);
  }
  if (session.pinned.connection == nullptr) {
    const Step step = take_pinned(context, session, row);
    if (step == Step::Wait || session.pinned.connection == nullptr) {
      return step;
    }
  }
  Outgoing out;
  out.row = &row;
  out.arguments = request.arguments;
  out.frame = frame_of(context, request);
  out.is_planned = context.ttl.planned;
  if (prepare(context, session, request.arguments.size(), out)) {
    send(context, session, *session.pinned.connection, out);
  }
  return Step::Done;
}

namespace {

// The bytes of a request that was refused still come, and are dropped.
Step drop_upload(Session& session) {
  session.pinned.uploading = session.pinned.dropping = true;
  return Step::Done;
}

Step start_upload(Context& context,
                  Session& session,
                  const CommandSpec& row,
                  std::span<const std::string_view> head,
                  std::size_t announced_arguments) {
  PinnedState& pinned = session.pinned;
  if (pinned.lost && pinned.multi) {
    static_cast<void>(answer_after_loss(context, session, row));
    return drop_upload(session);
  }
  if (pinned.multi && row.handling == Handling::Subscribe) {
    static_cast<void>(refuse_in_multi(context, session));
    return drop_upload(session);
  }
  if (answered_by_rules(context, session, row, head, announced_arguments)) {
    return drop_upload(session);
  }
  if (pinned.connection == nullptr) {
    const Step step = take_pinned(context, session, row);
    if (step == Step::Wait) {
      return step;
    }
    if (pinned.connection == nullptr) {
      return drop_upload(session);
    }
  }
  if (!pinned.connection->is_open()) {
    session.wait_for(Waiting::Pinned);
    return Step::Wait;
  }
  Outgoing out;
  out.row = &row;
  out.arguments = head;
  out.announced = announced_arguments;
  out.is_planned = context.ttl.planned;
  if (!prepare(context, session, announced_arguments, out)) {
    return drop_upload(session);
  }
  out.deadline = upstream::DeadlineKind::None;  // until its last byte has come
  send(context, session, *pinned.connection, out);
  pinned.uploading = true;
  return Step::Done;
}

}  // namespace

Step begin_upload(Context& context, Session& session, const LargeRequest& request) {
  const CommandSpec* row = large_row(session, request.head);
  if (row == nullptr) {
    session.close_after_replies(metrics::CloseReason::Protocol);
    return answer_error(
        context, session, "ERR Protocol error: this command takes no arguments over 64KiB");
  }
  if (must_pause(context, session, *row)) {
    return Step::Wait;
  }
  enter_reply_mode(session);
  if (refused_for_memory(context, session, *row)) {
    note_handled(context, session, *row, request.head);
    return drop_upload(session);
  }
  const Passage passage = ask_rules(
      context, session, {*row, request.head, request.bytes, request.announced, request.unfinished});
  Step step = Step::Wait;
  if (passage != Passage::Waits) {
    step = passage == Passage::Refused
               ? drop_upload(session)
               : start_upload(context, session, *row, request.head, request.announced);
  }
  if (step == Step::Done) {
    note_handled(context, session, *row, request.head);
  }
  context.matched = {};
  return step;
}

}  // namespace pannier::proxy
