#include "pannier/resp/request_parser.hpp"

#include "away_answers.hpp"
#include "cached_reads.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"

#include <array>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How a flight leaves: the read itself, and what goes before and behind it on the same lane.
namespace pannier::proxy {
namespace {

// A node that dies closes its connections one after the other.
constexpr auto kNodeMayFollow = std::chrono::milliseconds(500);

// A request of Pannier's own that belongs to a flight; the connection may refuse it, then it counts
// as lost.
void send_of_flight(Context& context,
                    upstream::Connection& lane,
                    Flights::Id id,
                    upstream::Purpose purpose,
                    std::span<const std::string_view> arguments) {
  context.text.clear();
  resp::append_request(context.text, arguments);
  const command::CommandSpec* row = command::find(arguments);
  const upstream::SlotIndex index = take_slot(context, lane, metrics_index(*row));
  upstream::Slot& slot = context.runtime.slots[index];
  slot.fate = upstream::Fate::Whole;
  slot.purpose = purpose;
  slot.flight = id;
  ++context.flights[id].slots;
  static_cast<void>(hand_over(context, lane, index, context.text));
}

// OPTIN: the server remembers only reads that CLIENT CACHING YES stands right before, and tells the
// connection that the lane was last pointed to (research/coherence.md §1.1, 15).
void ask_to_track(Context& context,
                  upstream::Connection& lane,
                  Flights::Id id,
                  std::int64_t target) {
  std::int64_t& redirect = context.flights.redirects[&lane];
  if (redirect != target) {
    redirect = target;
    const std::string number = std::to_string(target);
    const std::array<std::string_view, 6> track{
        "CLIENT", "TRACKING", "ON", "REDIRECT", number, "OPTIN"};
    send_of_flight(context, lane, id, upstream::Purpose::Caching, track);
  }
  static constexpr std::array<std::string_view, 3> kCaching{"CLIENT", "CACHING", "YES"};
  send_of_flight(context, lane, id, upstream::Purpose::Caching, kCaching);
}

// Whether the reply may be kept at all, and whether its node's pushes guard it.
void judge(Context& context, const upstream::Connection& lane, Flight& flight) {
  const NodeTracking& node = context.shared.tracking.at(flight.node);
  const auto rung = node.rung.load(std::memory_order_acquire);
  const bool wants_tracking = flight.rule().cache->coherence == config::Coherence::Tracking;
  flight.tracked = wants_tracking && rung != upstream::Rung::Ttl;
  flight.keep = flight.ticket.clean;
  if (flight.tracked) {
    // The lane must end at the server that the tracker listens to (condition ii of §1.2).
    flight.keep = flight.keep && rung != upstream::Rung::None &&
                  node.address.load(std::memory_order_relaxed) == lane.address_hash();
  }
}

}  // namespace

// Which replies the lane has filled is not known: all that are tracked key by key become unproven,
// so they are not served. They are not dropped at once, because a node that dies may close its
// lanes before the tracker hears of it, and then a class's stale_if_error still has them.
void forget_redirect(Context& context, const upstream::Connection& lane) {
  if (context.flights.redirects.erase(&lane) == 0) {
    return;
  }
  const auto node = static_cast<cache::NodeIndex>(lane.node());
  const auto classes = static_cast<policy::ClassId>(context.rules->policy.classes.size());
  for (policy::ClassId id = 0; id < classes; ++id) {
    if (!context.shared.optin[id].load(std::memory_order_relaxed)) {
      continue;
    }
    cache::NearCache& cache = context.shared.near_cache;
    cache.doubt_class(id);
    // With the node gone as well they are what `stale_if_error` is for; else they only take room.
    context.runtime.timers.add(context.runtime.now + kNodeMayFollow, [&cache, id, node] {
      if (cache.coherent(node)) {
        cache.flush_class(id);
      }
    });
  }
}

Flights::Id begin_flight(Context& context, upstream::Connection& lane, const Fill& fill) {
  const Flights::Id id = context.flights.open(fill.read);
  Flight& flight = context.flights[id];
  flight.kind = fill.kind;
  flight.digest = fill.digest;
  flight.rules = context.rules;
  flight.node = lane.node();
  flight.sent = context.runtime.now;
  flight.asked = context.again == nullptr ? flight.sent : context.again->started;
  flight.is_last_try = context.again != nullptr && context.again->is_last;
  flight.tries = context.again == nullptr ? 0 : context.again->tries + 1;
  const bool shadow = fill.kind == FlightKind::Shadow;
  flight.ticket =
      (shadow ? *context.shared.shadow : context.shared.near_cache).begin(fill.read.query);
  judge(context, lane, flight);
  flight.keep = flight.keep && fill.kind != FlightKind::Sample;
  if (shadow || fill.kind == FlightKind::Sample) {
    return id;
  }
  if (fill.kind != FlightKind::Element) {
    context.flights.announce(id);
  }
  const NodeTracking& node = context.shared.tracking.at(flight.node);
  const std::int64_t target = node.redirect.load(std::memory_order_relaxed);
  if (flight.keep && flight.tracked && target != 0 &&
      context.shared.optin[flight.key_class].load(std::memory_order_relaxed)) {
    ++flight.slots;  // it must not end while it begins
    ask_to_track(context, lane, id, target);
    --flight.slots;
  }
  return id;
}

void follow_flight(Context& context, upstream::Connection& lane, Flights::Id id) {
  Flight& flight = context.flights[id];
  if (flight.keep && flight.kind != FlightKind::Shadow && !flight.answered) {
    const std::array<std::string_view, 2> pttl{"PTTL", flight.key()};
    send_of_flight(context, lane, id, upstream::Purpose::FillTtl, pttl);
  }
}

Flights::Id start_flight(Context& context, const Fill& fill) {
  const config::Reads reads = fill.kind == FlightKind::Sample
                                  ? config::Reads::Primary
                                  : reads_now(context, nullptr, fill.read.query.key_class);
  const route::Route route =
      choose_read_node(context, reads, 0, *fill.read.row, fill.read.arguments);
  if (route.node == route::kNoNode) {
    return 0;
  }
  upstream::Connection* lane =
      context.lanes.pick({route.node, fill.read.query.db, fill.read.version}, 0, false);
  if (lane == nullptr) {
    return 0;
  }
  const Flights::Id id = begin_flight(context, *lane, fill);
  Flight& flight = context.flights[id];
  context.frame.clear();
  resp::append_request(context.frame, flight.arguments);
  const upstream::SlotIndex index = take_slot(context, *lane, metrics_index(*flight.row));
  upstream::Slot& slot = context.runtime.slots[index];
  slot.flight = id;
  slot.deadline = upstream::DeadlineKind::Read;
  flight.slots += 2;  // this request, and the hold of this function
  context.runtime.metrics.nodes.at(route.node).requests.add();
  context.runtime.deadlines.add(index);
  static_cast<void>(hand_over(context, *lane, index, context.frame));
  follow_flight(context, *lane, id);
  return release_hold(context, id) ? id : 0;
}

void touch_hot_keys(Context& context) {
  constexpr std::size_t kMost = 64;
  if (!context.rules->any_cache || !context.topology->has_primary()) {
    return;
  }
  const auto hot = context.hot_keys.top(kMost, context.runtime.now);
  std::vector<std::string_view> touch{"TOUCH"};
  for (const cache::HotKeys::Entry& entry : hot) {
    const policy::ClassId key_class = context.rules->matcher.match(entry.key);
    if (entry.bytes > 0 && entry.key.size() < cache::HotKeys::kMaxKey &&
        key_class != policy::kNoClass && context.rules->at(key_class).cache) {
      touch.push_back(entry.key);
    }
  }
  upstream::Connection* lane =
      touch.size() == 1
          ? nullptr
          : context.lanes.pick({context.topology->primary, 0, resp::Version::Resp2}, 0, false);
  if (lane != nullptr) {
    std::string request;
    resp::append_request(request, touch);
    send_unseen(context, *lane, request);
  }
}

void read_alone(Context& context, const Flight& flight, const Asker& asker) {
  Session* session = context.sessions.find(asker.session);
  if (session == nullptr) {
    return;
  }
  Binding& binding = session->binding(flight.node);
  if (binding.in_flight == 0 || binding.lane == nullptr) {
    binding.lane =
        context.lanes.pick({flight.node, flight.db, flight.version}, session->ref().index, false);
  }
  if (binding.lane == nullptr) {
    answer_asker(
        context, asker, "-UPSTREAM the node went away during a large reply (not sent)\r\n");
    return;
  }
  context.frame.clear();
  resp::append_request(context.frame, flight.arguments);
  const upstream::SlotIndex index = take_slot(context, *binding.lane, metrics_index(*flight.row));
  upstream::Slot& slot = context.runtime.slots[index];
  slot.session = asker.session;
  slot.place = asker.place;
  slot.silent = asker.silent;
  slot.key_hash = flight.hash;
  slot.shows_keys = true;
  session->reads.push_back({flight.hash, 0, asker.place, true});
  slot.deadline = upstream::DeadlineKind::Read;
  ++binding.in_flight;
  context.runtime.metrics.nodes.at(flight.node).requests.add();
  context.runtime.deadlines.add(index);
  static_cast<void>(hand_over(context, *binding.lane, index, context.frame));
}

}  // namespace pannier::proxy
