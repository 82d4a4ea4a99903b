#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"

#include "reply_router.hpp"
#include "sending.hpp"

#include <string>
#include <vector>

// Replies that their client does not read, and the requests of others behind them.
namespace pannier::proxy {

namespace {

// Lanes that wait for clients who do not read. Each costs the node a connection and the replies to
// all that was sent behind: with as many, the next such client's replies are held as long as there
// is memory, then it is closed.
constexpr std::size_t kMostHeldUp = 16;
constexpr std::size_t kMostHeldUpWhenTight = 2;

}  // namespace

// A large reply whose client does not read holds up a shared lane: the lane takes nothing new, and
// reads of others that wait behind are sent again on a new one. Their writes wait: a write is never
// sent twice.
void ReplyRouter::hold_up(upstream::Connection& connection, Session& session) {
  session.flush();  // perhaps it does read
  if (session.closed() || connection.is_closed() ||
      !(session.wants_pause() || session.holds_too_much())) {
    return;
  }
  if (!context_->lanes.owns(connection)) {
    session.pause(connection);
    return;
  }
  const upstream::WorkerMemory& memory = context_->runtime.memory;
  if (context_->lanes.held_up() >=
      memory.choose(kMostHeldUp, kMostHeldUpWhenTight, kMostHeldUpWhenTight)) {
    if (!memory.is_normal() || session.output_bytes() > Session::kMostOutput) {
      close_non_reader(session);
    }
    return;
  }
  session.pause(connection);
  context_->lanes.retire(connection);
  std::vector<upstream::SlotIndex> waiting;
  connection.pipeline().for_each([&](upstream::SlotIndex index) { waiting.push_back(index); });
  for (const upstream::SlotIndex index : waiting) {
    const upstream::Slot& slot = context_->runtime.slots[index];
    const Session* asker = context_->sessions.find(slot.session);
    const bool own =
        asker == nullptr && slot.flight != 0 && slot.purpose == upstream::Purpose::None;
    const bool other = asker != nullptr && asker != &session && asker->writes_in_flight() == 0;
    if ((own || other) && slot.fate == upstream::Fate::Forward && !slot.is_write &&
        slot.length > 0) {
      send_again(connection, index);
    }
  }
}

// A slow client must not hold up those who have joined its read: what is collected for them is
// bounded by max_value, and past that they read on their own.
bool ReplyRouter::others_wait_for(const upstream::Slot& slot) const {
  return slot.flight != 0 && !context_->flights[slot.flight].joiners.empty();
}

void ReplyRouter::close_non_reader(Session& session) {
  if (context_->runtime.now >= context_->next_memory_log) {
    context_->next_memory_log = context_->runtime.now + std::chrono::seconds(1);
    base::log_warn("session",
                   "client {} does not read: {} wait for it, and it would hold up a lane as others "
                   "do already; it is closed (said at most once a second; all are counted)",
                   session.state.remote_address,
                   base::human_bytes(session.output_bytes()));
  }
  session.close(metrics::CloseReason::OutputLimit);
}

// The same for thousands of small replies.
void ReplyRouter::hold_up_if_full(upstream::Connection& connection, Session& session) {
  if (!session.holds_too_much()) {
    return;
  }
  const bool more_comes = connection.in_flight() > 0 && session.in_flight() > 0;
  if (more_comes && !connection.is_closed() && !connection.paused()) {
    hold_up(connection, session);
  }
}

void ReplyRouter::send_again(upstream::Connection& from, upstream::SlotIndex index) {
  Context& context = *context_;
  const upstream::Slot old = context.runtime.slots[index];
  Session* asker = context.sessions.find(old.session);  // null: a read of Pannier's own
  upstream::Connection* lane = context.lanes.pick(from.spec(), old.session.index, false);
  if (lane == nullptr || lane == &from || lane->is_full()) {
    return;
  }
  std::string request;
  from.pipeline().copy_request(old, request);
  const upstream::SlotIndex copy = context.runtime.slots.take();
  upstream::Slot& fresh = context.runtime.slots[copy];
  const auto line = fresh.next_in_line;
  fresh = old;
  fresh.next_in_line = line;
  context.runtime.deadlines.remove(index);
  context.runtime.slots[index].fate = upstream::Fate::Swallow;
  context.runtime.slots[index].flight = 0;
  if (fresh.flight != 0) {
    context.flights[fresh.flight].keep = false;  // what was to stand before and behind it does not
  }
  context.runtime.deadlines.add(copy);
  if (asker != nullptr) {
    asker->binding(from.node()).lane = lane;
  }
  from.metrics().inflight.add();
  static_cast<void>(hand_over(context, *lane, copy, request));
}

}  // namespace pannier::proxy
