#include "request_handler.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/local_commands.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "away_answers.hpp"
#include "cached_reads.hpp"
#include "fault_stage.hpp"
#include "introspection.hpp"
#include "memory_keeper.hpp"
#include "policy_stage.hpp"
#include "retries.hpp"
#include "throttle.hpp"
#include "ttl_requests.hpp"
#include "write_marks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using command::Handling;

constexpr auto kHeavyFor = std::chrono::seconds(10);  // a session stays on the heavy lane
constexpr std::uint32_t kHotKeySample = 16;           // one request in so many is noted

Step wait(Session& session, Waiting reason) {
  session.wait_for(reason);
  return Step::Wait;
}

bool is_paused(const Context& context, const CommandSpec& row) {
  return context.runtime.now < context.paused_until &&
         (!context.pause_writes_only || row.has(command::kWrite | command::kMayReplicate)) &&
         (row.handling != Handling::Local || is_throttle(row));
}

// Behaviour 1.3: what is not a plain read leaves after the session's reads on other nodes were
// answered.
bool order_allows(const Session& session, const CommandSpec& row, route::NodeId node) {
  if (!counts_as_write(row)) {
    return true;
  }
  if (session.joined() > 0) {
    return false;
  }
  return std::all_of(
      session.bindings.begin(), session.bindings.end(), [node](const Binding& binding) {
        return binding.node == node || binding.in_flight == 0;
      });
}

// A flight that the session has joined is on another lane: a read of its key that is not part of
// it could show an older value, and in the session's order a later one.
bool overtakes_flight(Context& context,
                      const Session& session,
                      const CommandSpec& row,
                      std::span<const std::string_view> arguments) {
  if (session.reads.empty() || session.joined() == 0) {
    return false;
  }
  context.keys.clear();
  if (command::extract_keys(row, arguments, context.keys) == command::KeyStatus::Unknown) {
    return true;
  }
  return std::any_of(context.keys.begin(), context.keys.end(), [&](std::string_view key) {
    const std::uint64_t hash = route::RecentWrites::hash(key);
    return std::any_of(session.reads.begin(), session.reads.end(), [hash](const auto& own) {
      return !own.led && own.hash == hash;
    });
  });
}

upstream::DeadlineKind deadline_of(const CommandSpec& row) {
  if (row.has(command::kHeavy)) {
    return upstream::DeadlineKind::Slow;
  }
  return counts_as_write(row) ? upstream::DeadlineKind::Write : upstream::DeadlineKind::Read;
}

// The session's lane to a node: the one it is on while anything is in flight there, else the one
// that its kind of traffic belongs to. Null when there is none, or with `waiting` set.
upstream::Connection* lane_for(Context& context, Session& session, route::NodeId node) {
  Binding& binding = session.binding(node);
  if (binding.in_flight > 0) {
    if (binding.lane == nullptr || binding.lane->is_retired()) {
      session.wait_for(Waiting::Order);
      return nullptr;
    }
    return binding.lane;
  }
  const bool heavy = context.runtime.now < session.heavy_until;
  upstream::Connection* lane = context.lanes.pick(
      {node, session.state.db, session.state.version}, session.ref().index, heavy);
  binding.lane = lane;
  return lane;
}

bool is_info(const CommandSpec& row) {
  static const CommandSpec* const kInfo = command::find("info");
  return &row == kInfo;
}

// A request that goes to a node.
struct Forwarding {
  const CommandSpec& row;
  const resp::Request& request;
  const Fill* fill = nullptr;  // its reply may be kept and shared
  MgetFill* mget = nullptr;    // the same, key by key
};

// Nothing can serve it: INFO is answered by Pannier, so that clients that ask at their start can go
// on; the rest is refused.
Step refuse_away(Context& context, Session& session, const Forwarding& what, std::string_view why) {
  if (answer_away(context, session, what.row, what.request.arguments)) {
    return Step::Done;
  }
  if (is_info(what.row)) {
    session.answer(local_info(context, session, what.request.arguments));
  } else if (context.again != nullptr) {
    session.answer(context.again->error);
  } else {
    refuse(context, session, metrics::Refusal::NotSent, fmt::format("UPSTREAM {} (not sent)", why));
  }
  return Step::Done;
}

void count_zone(Context& context, const route::Route& route) {
  const route::Topology& topology = *context.topology;
  if (topology.own_zone.empty() || topology.nodes[route.node].zone.empty()) {
    return;
  }
  auto& metrics = context.runtime.metrics;
  (topology.nodes[route.node].zone == topology.own_zone ? metrics.reads_same_zone
                                                        : metrics.reads_cross_zone)
      .add();
}

// The lane to the node of `route`, or to another one that may serve the request as well: then
// `route` is that one's. Null when none can be reached, or with `waiting` set.
upstream::Connection* reach(Context& context,
                            Session& session,
                            const Forwarding& what,
                            route::Route& route) {
  const auto lane_to = [&](route::NodeId node) {
    return is_open(context, node) ? nullptr : lane_for(context, session, node);
  };
  const route::NodeId avoided = context.avoided;
  const auto lane_without = [&](route::NodeId other) {
    context.avoided = other;
    route = choose_node(context, session, what.row, what.request.arguments);
    context.avoided = avoided;
    return lane_to(route.node);
  };
  const auto may_try = [&](const upstream::Connection* lane) {
    return lane == nullptr && session.waiting() == Waiting::Nothing;
  };
  upstream::Connection* lane = lane_to(route.node);
  if (may_try(lane) && has_alternative(context, route)) {
    lane = lane_without(route.node);
  }
  if (may_try(lane) && avoided != route::kNoNode) {
    lane = lane_without(route::kNoNode);  // late is better than never
  }
  return lane;
}

base::Duration patience_of(const Context& context, const CommandSpec& row) {
  const auto& timeouts = context.shared.config.upstream.timeouts;
  return context.again != nullptr ? context.again->due - context.runtime.now
         : counts_as_write(row)   ? base::Duration(timeouts.write)
                                  : base::Duration(timeouts.read);
}

// With its breaker closed the node may be back soon. A primary that has become a replica has handed
// over: the next topology names the new one.
bool may_come_back(const Context& context, route::NodeId node) {
  const route::Node& away = context.topology->nodes[node];
  const bool hands_over =
      node == context.topology->primary && away.reachable && away.role == route::Role::Replica;
  const bool was_demoted = context.again != nullptr && context.again->needs_primary;
  return !is_open(context, node) || hands_over || was_demoted;
}

// The node cannot be reached at the moment. Nothing has been sent, so the request can wait for it.
Step wait_for_node(Context& context, Session& session, const Forwarding& what, route::NodeId node) {
  const bool may_wait = context.shared.config.upstream.retries > 0 &&
                        may_come_back(context, node) && !wait_is_over(context, session);
  if (may_wait) {
    start_waiting(context, session, Waiting::Node, patience_of(context, what.row));
    return wait(session, Waiting::Node);
  }
  stop_waiting(context, session);
  const route::Node& away = context.topology->nodes[node];
  const std::string_view why = context.lanes.away(node);
  return refuse_away(context,
                     session,
                     what,
                     fmt::format("node {} is away: {}",
                                 away.name,
                                 !away.last_error.empty() ? std::string_view(away.last_error)
                                 : why.empty()            ? std::string_view("it cannot be reached")
                                                          : why));
}

// A read whose reply others may share: they may come and go, it goes on.
void send_flight(Context& context,
                 Session& session,
                 upstream::Connection& lane,
                 Outgoing& out,
                 const Fill& fill) {
  out.flight = begin_flight(context, lane, fill);
  Flight& flight = context.flights[out.flight];
  session.reads.push_back({flight.hash, out.flight, session.next_place(), true});
  ++flight.slots;
  send(context, session, lane, out);
  follow_flight(context, lane, out.flight);
  static_cast<void>(release_hold(context, out.flight));
}

void send_mget(
    Context& context, Session& session, upstream::Connection& lane, Outgoing& out, MgetFill& mget) {
  begin_mget(context, session, lane, mget);
  out.fate = upstream::Fate::Whole;
  out.purpose = upstream::Purpose::Mget;
  out.mget = &mget;
  send(context, session, lane, out);
  follow_mget(context, lane, mget);
}

// A further try, and a request that has waited for its node, have what is left of their time.
void set_deadline(const Context& context,
                  const route::Route& route,
                  base::TimePoint waited_until,
                  Outgoing& out) {
  out.deadline = deadline_of(*out.row);
  if (context.again != nullptr) {
    out.deadline = upstream::DeadlineKind::Timed;
    out.due = context.again->due;
    out.started = context.again->started;
  } else if (waited_until != base::TimePoint{}) {
    out.deadline = upstream::DeadlineKind::Timed;
    out.due = waited_until;
    out.started = out.due - patience_of(context, *out.row);
  } else if (out.deadline == upstream::DeadlineKind::Read && has_alternative(context, route) &&
             out.frame.size() <= kMaxRetryBytes) {
    out.deadline = upstream::DeadlineKind::Attempt;
  }
}

// Replies that Pannier does not pass on as they come.
void set_purpose(Context& context, const upstream::Connection& lane, Outgoing& out) {
  if (!out.row->has(command::kOwnReply)) {
    return;
  }
  if (is_info(*out.row)) {
    out.fate = upstream::Fate::Whole;
    out.purpose = upstream::Purpose::Info;
  } else if (is_throttle(*out.row)) {
    prepare_throttle(context, lane, out);
  }
}

// Nothing is in its way any more.
Step send_to(Context& context,
             Session& session,
             const Forwarding& what,
             const route::Route& route,
             upstream::Connection& lane) {
  const CommandSpec& row = what.row;
  const auto arguments = what.request.arguments;
  const base::TimePoint waited_until = session.wait_until;
  stop_waiting(context, session);
  if (context.faults != nullptr) {
    const FaultStep met = meet_faults(context, session, row, arguments, lane);
    if (met != FaultStep::Free) {
      return met == FaultStep::Done ? Step::Done : Step::Wait;
    }
  }
  if (row.has(command::kReadOnly)) {
    count_zone(context, route);
    if (route.reason == route::RouteReason::PrimaryAway) {
      count_replica_read(context, row, arguments);
    }
  }
  if (row.has(command::kHeavy)) {
    session.heavy_until = context.runtime.now + kHeavyFor;
  }
  Outgoing out;
  out.row = &row;
  out.arguments = arguments;
  out.frame = frame_of(context, what.request);
  set_deadline(context, route, waited_until, out);
  out.is_planned = context.ttl.planned;
  set_purpose(context, lane, out);
  if (what.fill != nullptr) {
    send_flight(context, session, lane, out, *what.fill);
  } else if (what.mget != nullptr) {
    send_mget(context, session, lane, out, *what.mget);
  } else {
    send(context, session, lane, out);
  }
  return Step::Done;
}

Step forward(Context& context, Session& session, const Forwarding& what) {
  const CommandSpec& row = what.row;
  const resp::Request& request = what.request;
  route::Route route = choose_node(context, session, row, request.arguments);
  if (context.again != nullptr && context.again->is_over) {
    return refuse_away(context, session, what, {});
  }
  if (route.node == route::kNoNode) {
    if (context.topology->generation == 0) {
      return wait(session, Waiting::Topology);
    }
    return refuse_away(context, session, what, "no primary is known; see PANNIER TOPOLOGY");
  }
  if (!order_allows(session, row, route.node)) {
    return wait(session, Waiting::Order);
  }
  upstream::Connection* lane = reach(context, session, what, route);
  if (lane == nullptr) {
    return session.waiting() != Waiting::Nothing
               ? Step::Wait
               : wait_for_node(context, session, what, route.node);
  }
  if (lane->is_full()) {
    if (wait_is_over(context, session)) {
      stop_waiting(context, session);
      return refuse_away(context, session, what, "the queue to the node stayed full");
    }
    start_waiting(context, session, Waiting::Lane, patience_of(context, row));
    return wait(session, Waiting::Lane);
  }
  return send_to(context, session, what, route, *lane);
}

// What is not a flight itself.
Step forward_in_order(Context& context, Session& session, const Forwarding& what) {
  return overtakes_flight(context, session, what.row, what.request.arguments)
             ? wait(session, Waiting::Order)
             : forward(context, session, what);
}

// From memory, from a flight under way, or from a node.
Step serve(Context& context,
           Session& session,
           const CommandSpec& row,
           const resp::Request& request) {
  static const CommandSpec* const kMget = command::find("mget");
  if (context.rules->any_cache && row.has(command::kCacheable) && request.arguments.size() > 1 &&
      is_cached(context, class_of(context, request.arguments[1]))) {
    Fill fill;
    const Served served = serve_cached(context, session, row, request.arguments, fill);
    if (served == Served::Done || served == Served::Wait) {
      return served == Served::Done ? Step::Done : Step::Wait;
    }
    return served == Served::Fill ? forward(context, session, {row, request, &fill, nullptr})
                                  : forward_in_order(context, session, {row, request});
  }
  if (context.rules->any_mget && &row == kMget) {
    MgetFill fill;
    const Served served = serve_mget(context, session, request.arguments, fill);
    if (served == Served::Done) {
      return Step::Done;
    }
    return forward_in_order(
        context, session, {row, request, nullptr, served == Served::Fill ? &fill : nullptr});
  }
  return forward_in_order(context, session, {row, request});
}

}  // namespace

Step send_throttle(Context& context,
                   Session& session,
                   const CommandSpec& row,
                   const resp::Request& request) {
  return session.pinned.connection != nullptr || session.pinned.lost
             ? handle_pinned(context, session, row, request)
             : forward(context, session, {row, request});
}

void enter_reply_mode(Session& session) {
  if (session.state.reply_mode == ReplyMode::SkipNext) {
    session.state.reply_mode = ReplyMode::Skip;
  }
}

bool must_pause(Context& context, Session& session, const CommandSpec& row) {
  if (session.pinned.settling && session.in_flight() > 0) {
    session.wait_for(Waiting::Order);
    return true;
  }
  if (is_paused(context, row)) {
    session.wait_for(Waiting::Paused);
    return true;
  }
  return false;
}

void note_handled(Context& context,
                  Session& session,
                  const CommandSpec& row,
                  std::span<const std::string_view> arguments) {
  if (context.shared.monitors.load(std::memory_order_relaxed) > 0) {
    feed_monitors(context, session, row, arguments);
  }
  session.last_row = &row;
  context.runtime.metrics.commands[metrics_index(row)].requests.add();
  if (++context.requests_to_sample % kHotKeySample == 0 && row.rule == command::KeyRule::Range &&
      arguments.size() > static_cast<std::size_t>(row.first)) {
    context.hot_keys.note(arguments[static_cast<std::size_t>(row.first)],
                          context.hot_bytes,
                          kHotKeySample,
                          context.runtime.now);
  }
  context.hot_bytes = 0;
  forget_passage(session);
  if (session.state.reply_mode == ReplyMode::Skip) {
    session.state.reply_mode = ReplyMode::On;
  }
}

namespace {

Step decide(Context& context, Session& session, const resp::Request& request) {
  enter_reply_mode(session);
  const CommandSpec* row = command::find(request.arguments);
  if (row == nullptr) {
    row = identify_learned(context, session, request);
  }
  if (row == nullptr) {
    return Step::Wait;
  }
  if (must_pause(context, session, *row)) {
    return Step::Wait;
  }
  if (!session.lease_waits.empty()) {
    skip_lease_waits(context, session, counts_as_write(*row));
  }
  const bool is_again = context.again != nullptr;  // the rules have let it pass
  Passage passage = is_again ? Passage::Free : Passage::Refused;
  const bool may_be_refused =
      !session.state.authenticated || row->handling != command::Handling::Forward;
  if (!is_again && !(may_be_refused && refused(context, session, *row, request)) &&
      !refused_for_memory(context, session, *row)) {
    passage = ask_rules(context, session, {*row, request.arguments, request.frame.size()});
  }
  if (passage == Passage::Waits) {
    return Step::Wait;
  }
  Step step = Step::Done;
  if (passage == Passage::Free && !answered_by_rules(context, session, *row, request.arguments)) {
    const bool is_shared = row->handling == Handling::Forward &&
                           session.pinned.connection == nullptr && !session.pinned.lost;
    step = !is_shared && needs_pinned(session, *row, request.arguments)
               ? handle_pinned(context, session, *row, request)
           : row->handling == Handling::Local ? handle_local(context, session, *row, request)
                                              : serve(context, session, *row, request);
    if (step == Step::Done && may_renew(context, *row, request.arguments)) {
      renew_life(context, session, *row, request.arguments);
    }
  }
  if (step == Step::Done && !is_again) {
    note_handled(context, session, *row, request.arguments);
  }
  return step;
}

}  // namespace

Step handle(Context& context, Session& session, const resp::Request& request) {
  const Step step = decide(context, session, request);
  // What was known of its key by where that lies; something else may lie there next.
  context.matched = {};
  context.hashed_keys[context.batch_index].key = nullptr;
  return step;
}

void refuse(Context& context, Session& session, metrics::Refusal reason, std::string_view text) {
  context.runtime.metrics.refusals.at(static_cast<std::size_t>(reason)).add();
  std::string out;
  resp::append_error(out, text);
  session.answer(out);
}

}  // namespace pannier::proxy
