#include "introspection.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

// How a session comes by its exclusive connection, and how it parts from it.
namespace pannier::proxy {

namespace {

Step refuse_pinned(Context& context,
                   Session& session,
                   const command::CommandSpec& row,
                   metrics::Refusal reason,
                   std::string_view why) {
  stop_waiting(context, session);
  if (row.name == "multi") {
    refuse_multi(context, session, reason, why);
  } else {
    refuse(context, session, reason, why);
  }
  return Step::Done;
}

}  // namespace

Step take_pinned(Context& context, Session& session, const command::CommandSpec& row) {
  if (session.in_flight() > 0) {
    session.wait_for(Waiting::Order);
    return Step::Wait;
  }
  const route::Topology& topology = *context.topology;
  if (!session.pinned.failed.empty()) {
    const std::string why = std::exchange(session.pinned.failed, {});
    return refuse_pinned(context, session, row, metrics::Refusal::NotSent, why);
  }
  if (!topology.has_primary()) {
    if (topology.generation == 0) {
      session.wait_for(Waiting::Topology);
      return Step::Wait;
    }
    return refuse_pinned(context,
                         session,
                         row,
                         metrics::Refusal::NotSent,
                         "UPSTREAM no primary is known; see PANNIER TOPOLOGY (not sent)");
  }
  const bool for_multi = row.handling == command::Handling::Transaction;  // has a reserve
  upstream::Connection* connection = nullptr;
  const auto taken = context.pinned.take(
      {topology.primary, session.state.db, session.state.version}, for_multi, connection);
  if (taken == upstream::PinnedPool::Taken::Yes) {
    stop_waiting(context, session);
    session.pinned.connection = connection;
    session.pinned.dirty = false;
    context.pinned_owners[connection] = session.ref();
    return Step::Done;
  }
  if (taken == upstream::PinnedPool::Taken::Full && !wait_is_over(context, session)) {
    start_waiting(context, session, Waiting::Pinned, context.shared.config.upstream.pinned.wait);
    context.pinned_waiters.push_back(session.ref());
    session.wait_for(Waiting::Pinned);
    return Step::Wait;
  }
  if (taken == upstream::PinnedPool::Taken::Full) {
    return refuse_pinned(context,
                         session,
                         row,
                         metrics::Refusal::PinnedWait,
                         "UPSTREAM no exclusive connection became free within pinned.wait; raise "
                         "pinned.max (not sent)");
  }
  return refuse_pinned(context,
                       session,
                       row,
                       metrics::Refusal::NotSent,
                       fmt::format("UPSTREAM node {} is away: {} (not sent)",
                                   topology.nodes[topology.primary].name,
                                   context.pinned.why_not()));
}

void release_pinned(Context& context, Session& session) {
  PinnedState& pinned = session.pinned;
  if (!pinned.can_release() || pinned.connection->is_closed()) {
    return;  // a closed one is taken away by on_closed
  }
  upstream::Connection* connection = std::exchange(pinned.connection, nullptr);
  context.pinned_owners.erase(connection);
  if (pinned.dirty || connection->in_flight() > 0) {
    context.pinned.discard(*connection);
  } else {
    context.pinned.give_back(*connection);
  }
  pinned.dirty = false;
  wake_pinned_waiter(context);
}

void drop_pinned(Context& context, Session& session) {
  stop_waiting(context, session);
  PinnedState& pinned = session.pinned;
  if (pinned.connection == nullptr) {
    return;
  }
  if (pinned.can_release()) {
    release_pinned(context, session);
    return;
  }
  upstream::Connection* connection = std::exchange(pinned.connection, nullptr);
  context.pinned_owners.erase(connection);
  if (pinned.blocking > 0) {
    context.runtime.metrics.sessions_blocked.sub(pinned.blocking);
  }
  const bool dropping = pinned.uploading;
  pinned = {};
  pinned.uploading = pinned.dropping = dropping;
  session.state.blocked = session.state.in_multi = session.state.watching = false;
  context.pinned.discard(*connection);
  wake_pinned_waiter(context);
}

void wake_pinned_waiter(Context& context) {
  while (!context.pinned_waiters.empty()) {
    Session* waiting = context.sessions.find(context.pinned_waiters.front());
    context.pinned_waiters.pop_front();
    if (waiting != nullptr && waiting->waiting() == Waiting::Pinned) {
      waiting->wake(Waiting::Pinned);
      return;
    }
  }
}

}  // namespace pannier::proxy
