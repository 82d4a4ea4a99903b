#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "away_answers.hpp"
#include "cached_reads.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"
#include "retries.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

// What comes back for a flight: its askers are answered, its reply is kept.
namespace pannier::proxy {
namespace {

using metrics::ClassMetrics;

ClassMetrics& metrics_of(Context& context, const Flight& flight) {
  return context.runtime.metrics.classes[flight.key_class];
}

// Shorter by a random part of the class's jitter, so that what was filled together does not expire
// together (§1.5: jitter only downwards).
base::Duration jittered(Context& context, base::Duration life, std::uint32_t percent) {
  const std::int64_t part = next_random(context) % 1000;
  return life - life / 1000 * part / 100 * percent;
}

void install(Context& context,
             Flight& flight,
             std::string_view bytes,
             base::Duration life,
             base::Duration jitterable) {
  const config::CacheRules& rules = *flight.rule().cache;
  cache::NearCache::Reply reply;
  reply.node = static_cast<cache::NodeIndex>(flight.node);
  reply.tracked = flight.tracked;
  reply.negative = bytes.empty();
  reply.bytes = bytes;
  life = std::min(life, jittered(context, jitterable, rules.jitter));
  reply.life.fresh_until = flight.sent + life;
  reply.life.keep_until =
      reply.life.fresh_until + std::max(rules.stale_while_revalidate, rules.stale_if_error);
  reply.life.refresh_at = rules.refresh_ahead == 0 ? base::TimePoint::max()
                                                   : flight.sent + life / 100 * rules.refresh_ahead;
  ClassMetrics& metrics = metrics_of(context, flight);
  switch (context.shared.near_cache.install(
      flight.read().query, flight.ticket, reply, context.runtime.now)) {
    case cache::Kept::Yes:
      metrics.fills.add();
      break;
    case cache::Kept::Doomed:
    case cache::Kept::Incoherent:
      metrics.doomed.add();
      break;
    case cache::Kept::TooLarge:
    case cache::Kept::Full:
      metrics.too_large.add();
      break;
  }
}

// What an absent key is answered with: an empty collection or text, 0, "none", or an array of
// nothing else.
bool says_absent(std::string_view reply) {
  static constexpr std::array<std::string_view, 9> kNothing{"$0\r\n\r\n",
                                                            "$-1\r\n",
                                                            "*-1\r\n",
                                                            "_\r\n",
                                                            "*0\r\n",
                                                            "%0\r\n",
                                                            "~0\r\n",
                                                            ":0\r\n",
                                                            "+none\r\n"};
  if (reply.front() == '*') {
    reply.remove_prefix(reply.find('\n') + 1);
  }
  while (!reply.empty()) {
    const auto* const found =
        std::find_if(kNothing.begin(), kNothing.end(), [reply](std::string_view nothing) {
          return reply.starts_with(nothing);
        });
    if (found == kNothing.end()) {
      return false;
    }
    reply.remove_prefix(found->size());
  }
  return true;
}

// Keeps that there is no such key, where the class says for how long.
void keep_absence(Context& context, Flight& flight) {
  const auto negative = flight.rule().cache->negative;
  if (flight.keep && negative.count() > 0) {
    install(context, flight, {}, negative, negative);
  }
  flight.keep = false;
}

// The key's own TTL came behind the reply: now it is known how long that may be kept. With no key
// at all, a reply with a value is of one that has ended between the two.
void fill(Context& context, Flight& flight, std::string_view ttl_reply) {
  if (!flight.keep || !flight.answered || flight.reply.empty() || !ttl_reply.starts_with(':')) {
    return;
  }
  const config::CacheRules& rules = *flight.rule().cache;
  const std::int64_t ttl = base::parse_int(ttl_reply.substr(1, ttl_reply.size() - 3)).value_or(0);
  if (is_nil(flight.reply)) {
    // To MGET a key of another type is missing too.
    if (ttl == -2) {
      keep_absence(context, flight);
    }
  } else if (ttl == -1) {
    install(context, flight, flight.reply, rules.ttl, rules.ttl);
  } else if (ttl == -2 && rules.negative.count() > 0 && says_absent(flight.reply)) {
    install(context, flight, flight.reply, rules.negative, rules.negative);
  } else if (ttl > 0) {
    install(context, flight, flight.reply, std::chrono::milliseconds(ttl), rules.ttl);
  }
}

void compare_sample(Context& context, const Flight& flight, std::string_view whole) {
  const bool changed = cache::NearCache::hash(whole) != flight.digest;
  if (changed && context.shared.near_cache.may_join(flight.ticket, flight.read().query)) {
    metrics_of(context, flight).observed_stale.add();
    context.runtime.metrics.observed_stale_age.observe(flight.hit_age);
  }
}

// What the cache would have kept, by its digest, and whether it would have answered rightly.
void note_shadow(Context& context, Flight& flight, std::string_view whole) {
  const std::uint64_t digest = cache::NearCache::hash(whole);
  if (flight.digest != 0) {
    if (digest != flight.digest) {
      metrics_of(context, flight).shadow_stale.add();
    }
    return;
  }
  const config::CacheRules& rules = *flight.rule().cache;
  if (!flight.keep || is_nil(whole) || whole.size() > rules.max_value) {
    return;
  }
  cache::NearCache::Reply reply;
  reply.node = static_cast<cache::NodeIndex>(flight.node);
  reply.tracked = flight.tracked;
  reply.bytes = {reinterpret_cast<const char*>(&digest), sizeof(digest)};
  reply.charge_as = whole.size();
  reply.life.fresh_until = reply.life.keep_until = flight.sent + rules.ttl;
  reply.life.refresh_at = base::TimePoint::max();
  static_cast<void>(context.shared.shadow->install(
      flight.read().query, flight.ticket, reply, context.runtime.now));
}

void answer_joiners(Context& context, Flights::Id id, std::string_view whole) {
  Flight& flight = context.flights[id];
  base::SharedBytes shared;
  if (whole.size() > cache::NearCache::kCopyUpTo && !flight.joiners.empty()) {
    shared = base::SharedBytes::copy_of(whole);
  }
  for (const Asker& asker : std::exchange(flight.joiners, {})) {
    leave_flight(context, asker);
    if (asker.wait != 0 && !end_lease_wait(context, asker.wait, metrics::LeaseEnd::Filled)) {
      continue;
    }
    if (shared.empty()) {
      answer_asker(context, asker, whole);
    } else {
      answer_asker(context, asker, shared);
    }
  }
}

bool leases_apply(const Flight& flight) {
  static const command::CommandSpec* const kGet = command::find("get");
  const auto& miss = flight.rule().miss;
  return flight.row == kGet && miss && miss->lease.count() > 0;
}

// Nobody has the key: one of the askers fills it. That it is missing is remembered only when nobody
// is expected to.
void settle_absence(Context& context, Flights::Id id, const Asker& leader) {
  Flight& flight = context.flights[id];
  std::vector<Asker> askers = std::exchange(flight.joiners, {});
  if (leader.session.generation != 0) {
    askers.insert(askers.begin(), leader);
  }
  bool filled = false;
  for (const Asker& asker : askers) {
    leave_flight(context, asker);
    filled = settle_nil(context, flight, asker) || filled;
  }
  if (!filled) {
    keep_absence(context, flight);
  }
  flight.keep = false;
}

// The whole reply is there. True: the leader was dealt with.
bool settle_flight(Context& context, Flights::Id id, const Asker& leader, std::string_view whole) {
  Flight& flight = context.flights[id];
  flight.answered = true;
  context.flights.withdraw(id);
  if (flight.kind == FlightKind::Sample) {
    compare_sample(context, flight, whole);
    return true;
  }
  const bool away = is_refusal(whole);
  if (!away && flight.kind != FlightKind::Shadow) {
    note_shown(context, flight.read().query, flight.ticket, whole);
  }
  if (whole.starts_with('-')) {
    flight.keep = false;
    return fail_askers(context, id, leader, {RetryReason::Refused, flight.node, whole}, away);
  }
  if (flight.kind == FlightKind::Shadow) {
    note_shadow(context, flight, whole);
  } else if (is_nil(whole)) {
    if (leases_apply(flight)) {
      settle_absence(context, id, leader);
      return true;
    }
    keep_absence(context, flight);
  } else if (context.shared.leases.any()) {
    std::vector<cache::Party> woken;
    context.shared.leases.on_value(flight.hash, context.runtime.now, woken);
    wake_parties(context, woken);
  }
  answer_joiners(context, id, whole);
  if (leader.session.generation != 0) {
    leave_flight(context, leader);
  }
  return false;
}

// Joiners of a reply that is too large to hold read it themselves.
void overflow(Context& context, Flights::Id id) {
  Flight& flight = context.flights[id];
  flight.overflowed = true;
  std::string().swap(flight.reply);
  metrics_of(context, flight).too_large.add();
  if (flight.kind != FlightKind::Sample && flight.kind != FlightKind::Shadow) {
    note_shown(context, flight.read().query, flight.ticket, std::nullopt);
  }
  free_joiners(context, id);
}

std::size_t limit_of(const Flight& flight) {
  constexpr std::size_t kFraming = 64;
  return flight.rule().cache->max_value + kFraming;
}

// Keeps the parts of a reply that comes in parts, as long as it may be kept at all.
void collect(Context& context, Flights::Id id, std::string_view bytes) {
  Flight& flight = context.flights[id];
  if (flight.overflowed) {
    return;
  }
  if (flight.reply.size() + bytes.size() > limit_of(flight)) {
    overflow(context, id);
  } else {
    flight.reply.append(bytes);
  }
  context.flights.charge(id, context.runtime.memory.flights);
}

// True: the leader was dealt with.
bool take_read_reply(Context& context,
                     const upstream::Slot& slot,
                     std::string_view bytes,
                     bool last) {
  Flight& flight = context.flights[slot.flight];
  if (flight.answered) {
    return false;
  }
  const Asker leader{slot.session, slot.place, slot.silent, 0};
  const bool in_parts = !last || !flight.reply.empty() || flight.overflowed;
  if (in_parts) {
    collect(context, slot.flight, bytes);
  }
  if (!last) {
    return false;
  }
  if (flight.overflowed) {
    flight.answered = true;
    leave_flight(context, leader);
    return false;
  }
  const std::string_view whole = in_parts ? std::string_view(flight.reply) : bytes;
  if (whole.size() > limit_of(flight)) {
    flight.keep = false;
    metrics_of(context, flight).too_large.add();
  }
  const bool handled = settle_flight(context, slot.flight, leader, whole);
  if (flight.keep && !in_parts) {
    flight.reply.assign(bytes);
    context.flights.charge(slot.flight, context.runtime.memory.flights);
  }
  return handled && !slot.started;
}

}  // namespace

bool fail_askers(
    Context& context, Flights::Id id, const Asker& leader, const Failed& failed, bool away) {
  Flight& flight = context.flights[id];
  flight.answered = true;
  context.flights.withdraw(id);
  const CachedRead read = flight.read();
  const bool again = away && may_try_again(context, flight, failed);
  for (const Asker& asker : std::exchange(flight.joiners, {})) {
    leave_flight(context, asker);
    if (asker.wait != 0 && !end_lease_wait(context, asker.wait, metrics::LeaseEnd::TimedOut)) {
      continue;
    }
    if (again) {
      ask_again(context, flight, asker, failed);
    } else if (!away || !answer_away(context, read, asker)) {
      answer_asker(context, asker, failed.error);
    }
  }
  if (leader.session.generation == 0) {
    return true;
  }
  leave_flight(context, leader);
  return again ? ask_again(context, flight, leader, failed)
               : away && answer_away(context, read, leader);
}

void free_joiners(Context& context, Flights::Id id) {
  Flight& flight = context.flights[id];
  flight.keep = false;
  context.flights.withdraw(id);
  for (const Asker& asker : std::exchange(flight.joiners, {})) {
    leave_flight(context, asker);
    if (asker.wait == 0 || end_lease_wait(context, asker.wait, metrics::LeaseEnd::Filled)) {
      read_alone(context, flight, asker);
    }
  }
}

void leave_flight(Context& context, const Asker& asker) {
  if (Session* session = context.sessions.find(asker.session)) {
    std::erase_if(session->reads,
                  [&](const Participation& part) { return part.place == asker.place; });
  }
}

void take_element(Context& context, Flights::Id id, std::string_view reply) {
  Flight& flight = context.flights[id];
  flight.answered = true;
  if (!reply.empty()) {
    note_shown(context, flight.read().query, flight.ticket, reply);
  }
  if (reply.empty() || reply.size() > limit_of(flight)) {
    flight.keep = false;
  } else {
    flight.reply = reply;
    context.flights.charge(id, context.runtime.memory.flights);
  }
  static_cast<void>(release_hold(context, id));
}

bool release_hold(Context& context, Flights::Id id) {
  Flight& flight = context.flights[id];
  if (--flight.slots > 0) {
    return true;
  }
  context.flights.drop(id, context.runtime.memory.flights);
  return false;
}

bool take_flight_reply(Context& context,
                       upstream::Connection& connection,
                       const upstream::Slot& slot_now,
                       std::string_view bytes,
                       bool last) {
  const upstream::Slot slot = slot_now;  // what follows may move on to other requests
  Flight& flight = context.flights[slot.flight];
  bool handled = true;
  if (slot.purpose == upstream::Purpose::Caching) {
    if (bytes != "+OK\r\n") {
      flight.keep = false;
      context.flights.redirects[&connection] = 0;  // to be asked for anew
    }
  } else if (slot.purpose == upstream::Purpose::FillTtl) {
    fill(context, flight, bytes);
  } else {
    handled = take_read_reply(context, slot, bytes, last);
  }
  if (last) {
    static_cast<void>(release_hold(context, slot.flight));
  }
  return handled;
}

bool lose_flight(Context& context, const upstream::Slot& slot, const Failed& failed) {
  Flight& flight = context.flights[slot.flight];
  bool handled = slot.purpose != upstream::Purpose::None;
  if (!handled && !flight.answered) {
    flight.answered = true;
    flight.keep = false;
    context.flights.withdraw(slot.flight);
    Asker leader{slot.session, slot.place, slot.silent, 0};
    if (slot.started) {
      leader.session = {};  // half of it has left: the session is closed
    }
    handled = fail_askers(context, slot.flight, leader, failed, true) && !slot.started;
  }
  static_cast<void>(release_hold(context, slot.flight));
  return handled;
}

bool leave_silent_flight(Context& context, const upstream::Slot& slot, const Failed& failed) {
  Flight& flight = context.flights[slot.flight];
  if (flight.answered || !may_try_again(context, flight, failed)) {
    return false;
  }
  flight.answered = true;
  flight.keep = false;
  context.flights.withdraw(slot.flight);
  std::vector<Asker> askers = std::exchange(flight.joiners, {});
  askers.push_back({slot.session, slot.place, slot.silent, 0});
  for (const Asker& asker : askers) {
    leave_flight(context, asker);
    if (asker.wait == 0 || end_lease_wait(context, asker.wait, metrics::LeaseEnd::TimedOut)) {
      ask_again(context, flight, asker, failed);
    }
  }
  return true;
}

bool time_out_flight(Context& context, const upstream::Slot& slot, std::string_view error) {
  Flight& flight = context.flights[slot.flight];
  if (slot.purpose != upstream::Purpose::None || flight.answered) {
    return slot.purpose != upstream::Purpose::None;
  }
  flight.keep = false;
  const Asker leader{slot.session, slot.place, slot.silent, 0};
  return fail_askers(context, slot.flight, leader, {RetryReason::Silent, slot.node, error}, true);
}

}  // namespace pannier::proxy
