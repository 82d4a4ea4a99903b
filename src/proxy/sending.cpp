#include "sending.hpp"

#include "cached_reads.hpp"
#include "introspection.hpp"
#include "ttl_requests.hpp"
#include "write_marks.hpp"

namespace pannier::proxy {

upstream::SlotIndex take_slot(Context& context,
                              const upstream::Connection& connection,
                              std::uint16_t row) {
  const upstream::SlotIndex index = context.runtime.slots.take();
  upstream::Slot& slot = context.runtime.slots[index];
  slot.row = row;
  slot.node = connection.node();
  slot.start = context.runtime.now;
  connection.metrics().inflight.add();
  return index;
}

bool hand_over(Context& context,
               upstream::Connection& connection,
               upstream::SlotIndex index,
               std::string_view frame) {
  const bool taken = connection.send(index, frame);
  if (!taken) {
    lose_unsent(context, connection, index);
  }
  return taken;
}

namespace {

// Whose it is, what becomes of its reply, and until when.
void describe(const Context& context,
              Session& session,
              upstream::Slot& slot,
              const Outgoing& out,
              bool is_write) {
  slot.session = session.ref();
  slot.place = session.open_place();
  slot.fate = out.fate;
  slot.purpose = out.purpose;
  slot.deadline = out.deadline;
  slot.selects = out.purpose == upstream::Purpose::Exec && session.pinned.settling;
  slot.is_write = is_write;
  slot.is_heavy = out.deadline == upstream::DeadlineKind::Slow;
  slot.silent = session.state.reply_mode != ReplyMode::On;
  slot.is_subscribe = out.is_subscribe;
  slot.confirmations = out.confirmations;
  slot.flight = out.flight;
  if (out.started != base::TimePoint{}) {
    slot.start = out.started;
  }
  if (context.again != nullptr) {
    slot.tries = context.again->tries + 1;
    slot.is_last_try = context.again->is_last;
  }
}

}  // namespace

void send(Context& context,
          Session& session,
          upstream::Connection& connection,
          const Outgoing& out) {
  const bool is_write = counts_as_write(*out.row);
  const upstream::SlotIndex index = take_slot(context, connection, metrics_index(*out.row));
  upstream::Slot& slot = context.runtime.slots[index];
  describe(context, session, slot, out, is_write);
  if (is_write) {
    session.last_write_node = connection.node();
  }
  if (may_mark(context, out, is_write)) {
    mark_request(context, session, index, out);
  }
  if (session.pinned.multi || out.purpose == upstream::Purpose::Exec) {
    note_queued(context, session, index, out);
  }
  if (out.is_planned) {
    plan_reply(context, session, slot);
  }
  if (&connection == session.pinned.connection) {
    ++session.pinned.in_flight;
  } else {
    Binding& binding = session.binding(connection.node());
    ++binding.in_flight;
    binding.writes += is_write ? 1 : 0;
  }
  connection.metrics().requests.add();
  if (out.deadline == upstream::DeadlineKind::Timed) {
    context.runtime.deadlines.add_timed(index, out.due);
  } else {
    context.runtime.deadlines.add(index);
  }
  if (out.flight != 0) {
    ++context.flights[out.flight].slots;
  }
  if (out.mget != nullptr) {
    context.mgets[index] = *out.mget;
  }
  const std::string_view frame = out.is_planned ? planned_frame(context, out) : out.frame;
  if (!hand_over(context, connection, index, frame)) {
    return;
  }
  if (is_write && context.rules->any_cache && !session.pinned.multi) {
    publish_write(context, connection, out);
  }
  if (out.is_planned) {
    follow_plan(context, session, connection, index, out);
  }
}

void send_unseen(Context& context, upstream::Connection& connection, std::string_view request) {
  const upstream::SlotIndex index = take_slot(context, connection, 0);
  context.runtime.slots[index].fate = upstream::Fate::Swallow;
  static_cast<void>(hand_over(context, connection, index, request));
}

}  // namespace pannier::proxy
