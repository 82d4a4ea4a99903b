#include "pannier/resp/reply_writer.hpp"

#include "introspection.hpp"
#include "policy_stage.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

// Transactions that cannot run: their connection was lost, or MULTI, or a part of them, was refused
// (behaviour 2.4). Whatever still comes of them is refused, and EXEC fails.
namespace pannier::proxy {
namespace {

using command::CommandSpec;

constexpr std::string_view kLostTransaction =
    "EXECABORT Transaction discarded because the upstream connection that held it was lost.";

void answer_error(Context& context, Session& session, std::string_view text) {
  context.text.clear();
  resp::append_error(context.text, text);
  session.answer(context.text);
}

// EXEC or DISCARD of a transaction that was lost or refused. A connection that still watches for it
// is not given back as it is.
void end_lost(Context& context, Session& session, const CommandSpec& row) {
  PinnedState& pinned = session.pinned;
  const bool is_exec = row.name == "exec";
  const std::string why = std::exchange(pinned.failed, {});
  end_charges(context, session, is_exec && pinned.must_abort);
  pinned.lost = pinned.multi = pinned.must_abort = false;
  pinned.dirty = pinned.dirty || pinned.watching;
  pinned.watching = session.state.in_multi = session.state.watching = false;
  pinned.written.clear();
  pinned.written_all = false;
  release_pinned(context, session);
  if (!is_exec) {
    session.answer("+OK\r\n");
  } else if (why.empty()) {
    answer_error(context, session, kLostTransaction);
  } else {
    answer_error(
        context, session, fmt::format("EXECABORT Transaction discarded because of: {}", why));
  }
}

}  // namespace

bool answer_after_loss(Context& context, Session& session, const CommandSpec& row) {
  PinnedState& pinned = session.pinned;
  if (!pinned.lost) {
    return false;
  }
  if (row.name == "unwatch" && !pinned.multi) {
    pinned.lost = false;
    session.answer("+OK\r\n");
    return true;
  }
  if (!pinned.multi) {
    if (row.name == "multi") {
      pinned.multi = true;
      session.state.in_multi = true;
      session.answer("+OK\r\n");
      return true;
    }
    return false;
  }
  if (row.name == "exec" || row.name == "discard") {
    end_lost(context, session, row);
    return true;
  }
  refuse(context,
         session,
         metrics::Refusal::NotSent,
         pinned.failed.empty()
             ? "UPSTREAM this transaction has no connection any more; EXEC will fail (not sent)"
             : std::string_view(pinned.failed));
  return true;
}

void fail_transaction(Session& session) {
  session.pinned.must_abort = true;
}

void refuse_multi(Context& context,
                  Session& session,
                  metrics::Refusal reason,
                  std::string_view why) {
  PinnedState& pinned = session.pinned;
  pinned.lost = pinned.multi = pinned.must_abort = session.state.in_multi = true;
  pinned.failed = why;
  context.runtime.metrics.refusals.at(static_cast<std::size_t>(reason)).add();
  session.answer("+OK\r\n");
}

std::string_view reply_to_unanswered(Session& session,
                                     const upstream::Slot& slot,
                                     std::string_view error) {
  static const auto kMulti = metrics_index(*command::find("multi"));
  session.pinned.must_abort = session.pinned.must_abort || session.pinned.multi;
  return slot.row == kMulti ? "+OK\r\n" : error;
}

}  // namespace pannier::proxy
