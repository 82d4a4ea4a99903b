#include "tracking_link.hpp"

#include "tracking_requests.hpp"

#include <random>
#include <utility>

namespace pannier::upstream {

TrackingLink::TrackingLink(Runtime& runtime, TrackingLinkEvents& events, TrackingSession::Goal goal)
    : runtime_(runtime),
      events_(events),
      session_(std::move(goal), std::random_device{}()) {}

void TrackingLink::open(const route::Node& node) {
  connect(TrackingEnd::Hearer, node);
  if (session_.needs_companion() && !session_.is_over()) {
    connect(TrackingEnd::Companion, node);
  }
  if (session_.is_over()) {
    events_.on_change(*this);
  }
}

void TrackingLink::connect(TrackingEnd which, const route::Node& node) {
  const bool resp3 = which == TrackingEnd::Hearer && session_.goal().rung == Rung::Resp3;
  const ConnectionSpec spec{node.id, 0, resp3 ? resp::Version::Resp3 : resp::Version::Resp2};
  End& end = end_of(which);
  end.connection = std::make_unique<Connection>(runtime_, *this, spec);
  end.connection->make_urgent();
  if (!end.connection->open(node)) {
    session_.closed(which, end.connection->close_reason(), {});
  }
}

void TrackingLink::close(const std::string& reason) {
  if (!over_) {
    over_ = true;
    for (const End* end : {&hearer_, &companion_}) {
      if (end->connection) {
        end->connection->close(reason);
      }
    }
  }
}

TrackingLink::End& TrackingLink::end_of(TrackingEnd which) {
  return which == TrackingEnd::Hearer ? hearer_ : companion_;
}

TrackingEnd TrackingLink::which(const Connection& connection) const {
  return &connection == hearer_.connection.get() ? TrackingEnd::Hearer : TrackingEnd::Companion;
}

bool TrackingLink::write_canary(Rung rung, const std::string& value) {
  if (over_ || !companion_.connection || !companion_.connection->is_open()) {
    return false;
  }
  send(companion_, {TrackingAsk::WriteCanary, value}, canary_request(rung, value));
  return true;
}

void TrackingLink::send_requests() {
  for (const TrackingRequest& request : session_.take_requests()) {
    send(end_of(request.end), {request.ask, {}}, request.bytes);
  }
}

void TrackingLink::send(End& end, Asked asked, std::string_view bytes) {
  const SlotIndex index = runtime_.slots.take();
  Slot& slot = runtime_.slots[index];
  slot.fate = Fate::Whole;
  slot.deadline = DeadlineKind::None;
  slot.node = end.connection->node();
  slot.start = runtime_.now;
  if (asked.ask == TrackingAsk::Subscribe) {
    slot.is_subscribe = true;
    slot.confirmations = static_cast<std::uint32_t>(channels_of(session_.goal().rung).size());
  }
  if (end.connection->send(index, bytes)) {
    end.asked.push_back(std::move(asked));
  } else {
    runtime_.slots.give(index);  // it is closed: on_closed has told the session
  }
}

void TrackingLink::on_opened(Connection& connection) {
  session_.opened(which(connection), connection.upstream_id(), runtime_.now);
  events_.on_change(*this);
}

void TrackingLink::on_reply(
    Connection& connection, SlotIndex index, std::string_view bytes, char type, bool last) {
  static_cast<void>(index);
  static_cast<void>(type);
  if (over_ || !last) {
    return;  // not the last confirmation of a SUBSCRIBE
  }
  End& end = end_of(which(connection));
  const Asked asked = std::move(end.asked.front());
  end.asked.pop_front();
  if (asked.ask == TrackingAsk::WriteCanary) {
    events_.on_canary_answer(asked.canary, bytes);
    return;
  }
  session_.reply(which(connection), asked.ask, bytes, runtime_.now);
  events_.on_change(*this);
}

void TrackingLink::on_push(Connection& connection, std::string_view bytes) {
  if (over_ || which(connection) != TrackingEnd::Hearer) {
    return;
  }
  if (turn_ != runtime_.now) {
    turn_ = runtime_.now;
    inbox_.begin_turn(Tracking::kKeysPerTurn);
  }
  const bool read_all = !inbox_.has_kept();
  if (!take(inbox_.receive(bytes, runtime_.now))) {
    return;
  }
  if (read_all && inbox_.has_kept()) {
    hearer_.connection->pause_reading();
    events_.on_kept();
  }
}

void TrackingLink::read_kept() {
  if (runtime_.now - inbox_.oldest() > Tracking::kBehindAtMost) {
    session_.fall("it tells of more changes than could be read within 1s");
    events_.on_change(*this);
    return;
  }
  turn_ = runtime_.now;
  inbox_.begin_turn(Tracking::kKeysPerTurn);
  for (;;) {
    const TrackingInbox::Outcome outcome = inbox_.read_kept();
    if (outcome == TrackingInbox::Outcome::Kept) {
      break;
    }
    if (!take(outcome)) {
      return;
    }
  }
  if (!inbox_.has_kept()) {
    hearer_.connection->resume_reading();
  }
}

// False when the link is over.
bool TrackingLink::take(TrackingInbox::Outcome outcome) {
  switch (outcome) {
    case TrackingInbox::Outcome::Kept:
      return true;
    case TrackingInbox::Outcome::RedirectBroken:
      session_.fail("its pushes were redirected to a connection that is gone");
      break;
    case TrackingInbox::Outcome::Malformed:
      session_.fail("it sent a push that cannot be understood");
      break;
    case TrackingInbox::Outcome::Read:
      events_.on_heard(*this, inbox_.batch());
      if (over_ || !inbox_.batch().canary) {
        return !over_;
      }
      session_.canary_heard(inbox_.batch().canary_value, runtime_.now);
      break;
  }
  events_.on_change(*this);
  return !over_;
}

void TrackingLink::on_lost(Connection& connection, SlotIndex index, bool was_sent) {
  static_cast<void>(connection);
  static_cast<void>(index);
  static_cast<void>(was_sent);
}

void TrackingLink::on_closed(Connection& connection) {
  if (!over_) {
    session_.closed(which(connection), connection.close_reason(), connection.refusal());
    events_.on_change(*this);
  }
}

void TrackingLink::on_drained(Connection& connection) {
  static_cast<void>(connection);
}

}  // namespace pannier::upstream
