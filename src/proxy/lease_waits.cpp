#include "cached_reads.hpp"
#include "miss_room.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

// Reads that wait for somebody to fill a key (behaviour 5.5). A wait keeps its place in the
// session's order open and holds up nothing else.
namespace pannier::proxy {
namespace {

using metrics::LeaseEnd;

std::uint64_t name_of(upstream::SessionRef ref) {
  return (std::uint64_t{ref.generation} << 32U) | ref.index;
}

cache::Party party_of(const Context& context, upstream::SessionRef ref) {
  return {context.worker, name_of(ref)};
}

void count(Context& context, policy::ClassId key_class, LeaseEnd end) {
  context.runtime.metrics.classes[key_class].lease_ends.at(static_cast<std::size_t>(end)).add();
}

// Those that wait behind something that has just ended take its turn.
void pass_on(Context& context) {
  std::vector<cache::Party> woken;
  context.shared.leases.expire(context.runtime.now, woken);
  wake_parties(context, woken);
}

void give_up(Context& context, std::uint64_t token, LeaseEnd end) {
  const LeaseWaits::Id id = context.waits.find(token);
  if (id == 0) {
    return;
  }
  const Asker asker = context.waits[id].asker;
  const std::uint64_t hash = context.waits[id].read.query.hash;
  const policy::ClassId key_class = context.waits[id].read.query.key_class;
  const policy::RulesPtr rules = context.waits[id].rules;
  if (end_lease_wait(context, token, end)) {
    context.shared.leases.forget(hash, {context.worker, token}, context.runtime.now);
    count_late_nil(context, rules->at(key_class), key_class, hash);
    answer_nil(context, asker);
    pass_on(context);
  }
}

// Whether a waiting read may share this flight. It began while a write was under way when that
// one's push was faster than its reply: its reply is not kept, but one is enough for all who wait.
bool may_share(const Context& context, const Flight& flight) {
  return flight.joinable && context.shared.near_cache.begin(flight.read().query) == flight.ticket;
}

// Upstream is asked again on behalf of a waiting read, together with whoever asks just now.
void ask_again(Context& context, std::uint64_t token) {
  const LeaseWaits::Id id = context.waits.find(token);
  if (id == 0) {
    return;
  }
  LeaseWait& wait = context.waits[id];
  if (wait.in_flight) {
    wait.ask_again = true;
    return;
  }
  const Fill fill{wait.read, FlightKind::Read, 0};
  Flights::Id flight = context.flights.find(wait.read);
  if (flight == 0 || !may_share(context, context.flights[flight])) {
    flight = start_flight(context, fill);
  }
  if (flight == 0 || context.flights[flight].answered) {
    give_up(context, token, LeaseEnd::TimedOut);
    return;
  }
  wait.in_flight = true;
  Asker asker = wait.asker;
  asker.wait = token;
  context.flights[flight].joiners.push_back(asker);
}

// A new wait, or the one that this asker is in already, goes on.
void keep_waiting(Context& context, const Flight& flight, Asker asker, LeaseWaits::Id id) {
  LeaseWait& wait = context.waits[id];
  const std::uint64_t token = context.waits.token(id);
  metrics::ClassMetrics& metrics = context.runtime.metrics.classes[flight.key_class];
  wait.in_flight = false;
  (wait.for_room ? metrics.miss_waits : metrics.lease_waits).add(asker.wait == 0 ? 1 : 0);
  if (asker.wait != 0) {
    if (std::exchange(wait.ask_again, false)) {
      ask_again(context, token);
    }
    return;
  }
  Session& session = *context.sessions.find(asker.session);
  wait.asker = asker;
  wait.hold = flight.rule().miss->pipelined == config::Pipelined::Hold;
  wait.timer = context.runtime.timers.add(
      context.runtime.now + flight.rule().miss->wait,
      [&context, token] { give_up(context, token, LeaseEnd::TimedOut); });
  session.lease_waits.push_back(token);
  if (!wait.hold && !session.replies().is_newest(asker.place)) {
    give_up(context, token, LeaseEnd::Pipelined);
  }
}

void grant(Context& context, const Flight& flight, Session& session) {
  session.holds_lease = true;
  context.runtime.metrics.classes[flight.key_class].lease_grants.add();
  context.runtime.timers.add(context.runtime.now + flight.rule().miss->lease,
                             [&context] { pass_on(context); });
}

// A nil that there is no room for under the class's cap. True: it waits for some.
bool wait_for_room(Context& context,
                   const Flight& flight,
                   const Asker& asker,
                   LeaseWaits::Id id,
                   cache::LeaseAnswer answer) {
  if (take_room(context, flight.rule(), flight.key_class, flight.hash)) {
    return false;
  }
  LeaseWait& wait = context.waits[id];
  if (!queue_for_room(context, flight.key_class, context.waits.token(id))) {
    return false;
  }
  wait.for_room = true;
  if (answer == cache::LeaseAnswer::Fill && !std::exchange(wait.granted, true)) {
    grant(context, flight, *context.sessions.find(asker.session));
  }
  keep_waiting(context, flight, asker, id);
  return true;
}

}  // namespace

bool settle_nil(Context& context, const Flight& flight, const Asker& asker) {
  Session* session = context.sessions.find(asker.session);
  LeaseWaits::Id id = asker.wait == 0 ? 0 : context.waits.find(asker.wait);
  if (session == nullptr || (asker.wait != 0 && id == 0)) {
    return false;
  }
  if (id == 0) {
    id = context.waits.open(flight.read(), flight.rules);
  }
  const std::uint64_t token = context.waits.token(id);
  const cache::LeaseAnswer answer =
      context.shared.leases.on_nil(static_cast<std::uint8_t>(flight.db),
                                   flight.key(),
                                   flight.hash,
                                   flight.key_class,
                                   party_of(context, asker.session),
                                   {context.worker, token},
                                   {flight.rule().miss->lease},
                                   context.runtime.now);
  leave_room_queue(context, id);
  if (answer == cache::LeaseAnswer::Wait) {
    keep_waiting(context, flight, asker, id);
    return true;
  }
  if (wait_for_room(context, flight, asker, id, answer)) {
    return true;
  }
  if (answer == cache::LeaseAnswer::Fill && !context.waits[id].granted) {
    grant(context, flight, *session);
  }
  if (asker.wait != 0) {
    static_cast<void>(end_lease_wait(
        context, token, answer == cache::LeaseAnswer::Fill ? LeaseEnd::Passed : LeaseEnd::NoWait));
  } else {
    context.waits.close(id);
    if (answer == cache::LeaseAnswer::NoWait) {
      count(context, flight.key_class, LeaseEnd::NoWait);
    }
  }
  answer_nil(context, asker);
  if (answer == cache::LeaseAnswer::NoWait) {
    pass_on(context);
  }
  return answer == cache::LeaseAnswer::Fill;
}

bool end_lease_wait(Context& context, std::uint64_t token, LeaseEnd end) {
  const LeaseWaits::Id id = context.waits.find(token);
  if (id == 0) {
    return false;
  }
  LeaseWait& wait = context.waits[id];
  context.runtime.timers.cancel(wait.timer);
  if (Session* session = context.sessions.find(wait.asker.session)) {
    std::erase(session->lease_waits, token);
  }
  count(context, wait.read.query.key_class, end);
  leave_room_queue(context, id);
  context.waits.close(id);
  return true;
}

void skip_lease_waits(Context& context, Session& session, bool is_write) {
  for (const std::uint64_t token : std::vector(session.lease_waits)) {
    const LeaseWaits::Id id = context.waits.find(token);
    if (id != 0 && (is_write || !context.waits[id].hold)) {
      give_up(context, token, LeaseEnd::Pipelined);
    }
  }
}

void forget_reads(Context& context, Session& session) {
  for (const std::uint64_t token : std::vector(session.lease_waits)) {
    if (const LeaseWaits::Id id = context.waits.find(token); id != 0) {
      context.shared.leases.forget(
          context.waits[id].read.query.hash, {context.worker, token}, context.runtime.now);
      static_cast<void>(end_lease_wait(context, token, LeaseEnd::TimedOut));
    }
  }
  session.reads.clear();
  if (session.holds_lease) {
    std::vector<cache::Party> woken;
    context.shared.leases.on_gone(party_of(context, session.ref()), context.runtime.now, woken);
    wake_parties(context, woken);
    pass_on(context);
  }
}

void wake_parties(Context& context, const std::vector<cache::Party>& woken) {
  std::map<std::uint32_t, std::vector<std::uint64_t>> elsewhere;
  for (const cache::Party& party : woken) {
    if (party.worker == context.worker) {
      ask_again(context, party.token);
    } else {
      elsewhere[party.worker].push_back(party.token);
    }
  }
  // In one turn of theirs, so that they share a read.
  for (auto& [worker, tokens] : elsewhere) {
    context.shared.post(worker, [tokens = std::move(tokens)](Context& other) {
      for (const std::uint64_t token : tokens) {
        ask_again(other, token);
      }
    });
  }
}

}  // namespace pannier::proxy
