#include "retries.hpp"

#include "pannier/resp/request_parser.hpp"

#include "cached_reads.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using std::chrono::milliseconds;

constexpr auto kFirstPause = milliseconds(10);
constexpr auto kPrimaryPause = milliseconds(100);  // the prober finds the new one sooner
constexpr auto kLongestPause = milliseconds(200);

bool is_earlier(std::uint32_t place, std::uint32_t than) {
  return static_cast<std::int32_t>(place - than) < 0;
}

// It may have run already.
bool was_tried(const Failed& failed) {
  return failed.reason == RetryReason::Lost || failed.reason == RetryReason::Silent;
}

// What is not the client's own request any more cannot be handled again.
bool is_kept(const Context& context, const upstream::Slot& slot) {
  const bool plain = slot.fate == upstream::Fate::Forward || slot.fate == upstream::Fate::Whole;
  const bool mapped =
      slot.purpose == upstream::Purpose::Mget || slot.purpose == upstream::Purpose::SetNx;
  return plain && (mapped || slot.purpose == upstream::Purpose::None) && !slot.started &&
         !slot.is_subscribe && slot.length > 0 && slot.length <= kMaxRetryBytes &&
         context.shared.config.upstream.retries > 0;
}

// The client's request out of what was sent for it.
std::string request_of(Context& context, const upstream::Slot& slot, std::string sent) {
  if (slot.purpose != upstream::Purpose::SetNx) {
    return sent;
  }
  resp::RequestBatch batch;  // the worker's own may be in use
  resp::RequestParser parser(context.limits);
  static_cast<void>(parse_batch(parser, sent, batch));
  const auto arguments = batch[0].arguments;
  const std::array<std::string_view, 3> setnx{"SETNX", arguments[1], arguments[2]};
  std::string out;
  resp::append_request(out, setnx);
  return out;
}

// What comes again for the order's sake only costs its node nothing that was not to be paid anyway.
bool pays(Context& context, const Failed& failed) {
  auto& metrics = context.runtime.metrics;
  if (failed.reason != RetryReason::Order &&
      !context.retry_budgets.at(failed.node)
           .take(metrics.nodes.at(failed.node).requests.value(), context.runtime.now)) {
    metrics.retries_over_budget.add();
    return false;
  }
  metrics.retries.at(static_cast<std::size_t>(failed.reason)).add();
  return true;
}

// Only a node that said that it cannot serve now is worth waiting for; where nothing else helps,
// the node itself is waited for (Waiting::Node).
base::Duration pause_before(const Context& context, const Retry& retry, const Failed& failed) {
  const bool elsewhere = !retry.is_write && retry.tries == 0 && context.ready_nodes > 1;
  if (failed.reason != RetryReason::Refused || elsewhere) {
    return base::Duration::zero();
  }
  const milliseconds first = retry.needs_primary ? kPrimaryPause : kFirstPause;
  return std::min<base::Duration>(first * (1 << std::min<int>(retry.tries, 4)), kLongestPause);
}

void add(Context& context, Session& session, Retry retry, const Failed& failed) {
  retry.from = failed.node;
  retry.error = failed.error;
  retry.needs_quiet = retry.is_write || !was_tried(failed);
  retry.needs_primary = failed.error.find("-READONLY") != std::string_view::npos;
  retry.generation = context.topology->generation;
  retry.not_before = context.runtime.now + pause_before(context, retry, failed);
  const auto behind =
      std::find_if(session.retries.begin(), session.retries.end(), [&](const Retry& other) {
        return is_earlier(retry.place, other.place);
      });
  session.retries.insert(behind, std::move(retry));
  session.wait_for(Waiting::Retry);
  session.wake(Waiting::Retry);
}

bool is_due(const Context& context, const Retry& retry) {
  if (context.runtime.now >= retry.not_before) {
    return true;
  }
  const route::Topology& topology = *context.topology;
  if (topology.generation == retry.generation) {
    return false;
  }
  return !retry.needs_primary || (topology.has_primary() && topology.primary != retry.from &&
                                  topology.nodes[topology.primary].reachable);
}

void wait_for_next(Context& context, Session& session) {
  session.wait_for(Waiting::Retry);
  base::TimePoint next = base::TimePoint::max();
  for (const Retry& retry : session.retries) {
    next = std::min({next, retry.due, std::max(retry.not_before, context.runtime.now)});
  }
  if (session.retry_wake <= context.runtime.now || next < session.retry_wake) {
    session.retry_wake = next;
    context.runtime.timers.add(next, [&context, ref = session.ref()] {
      if (Session* waiting = context.sessions.find(ref)) {
        waiting->wake(Waiting::Retry);
      }
    });
  }
}

// As if it had just been read, but in its own place and with what its session was then.
Step handle_again(Context& context, Session& session, const Retry& retry) {
  SessionState& state = session.state;
  const auto before = std::tuple(state.db, state.version, state.reply_mode);
  state.db = retry.db;
  state.version = retry.version;
  state.reply_mode = retry.silent ? ReplyMode::Off : ReplyMode::On;
  resp::RequestBatch batch;
  resp::RequestParser parser(context.limits);
  static_cast<void>(parse_batch(parser, retry.request, batch));
  context.batch_index = 0;
  context.hashed_keys[0].key = nullptr;
  context.again = &retry;
  context.avoided = retry.from;
  session.reuse_place(retry.place);
  const Step step = handle(context, session, batch[0]);
  session.stop_reusing();
  context.avoided = route::kNoNode;
  context.again = nullptr;
  std::tie(state.db, state.version, state.reply_mode) = before;
  return step;
}

base::TimePoint due_of(const Context& context, const Flight& flight) {
  return flight.asked + context.shared.config.upstream.timeouts.read;
}

// Says what can be said without upstream, in most cases its error.
void give_up(Context& context, Session& session, Retry retry) {
  context.runtime.metrics.retries_given_up.add();
  retry.is_over = true;
  const Waiting waited_for = session.waiting();
  const bool can_tell = !retry.is_write && handle_again(context, session, retry) == Step::Done;
  session.wait_for(waited_for);
  if (!can_tell) {
    session.reply(retry.place, retry.silent ? std::string_view{} : retry.error, true);
  }
}

template <typename IsOver>
void give_up_where(Context& context, Session& session, const IsOver& is_over) {
  const auto first = std::stable_partition(
      session.retries.begin(), session.retries.end(), [&](const auto& r) { return !is_over(r); });
  const std::vector<Retry> over(std::make_move_iterator(first),
                                std::make_move_iterator(session.retries.end()));
  session.retries.erase(first, session.retries.end());
  for (const Retry& retry : over) {
    give_up(context, session, retry);
  }
}

bool starts_with_any(std::string_view reply, std::span<const std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [reply](std::string_view each) {
    return reply.starts_with(each);
  });
}

// A script, and a command of a module, may have written before it answers an error of its author's,
// whatever its first word.
bool has_own_errors(std::uint16_t row) {
  const auto rows = command::table();
  return row >= rows.size() || rows[row].name.starts_with("eval") ||
         rows[row].name.starts_with("fcall");
}

// What a server itself says when it refuses. No write of a script ran: the first is refused.
// Servers before 7.0 wrap what its commands were told.
bool is_server_sentence(std::string_view reply) {
  static constexpr std::array<std::string_view, 7> kSentences{
      "-LOADING Redis is loading the dataset in memory",
      "-LOADING Valkey is loading the dataset in memory",
      "-MASTERDOWN Link with MASTER is down and ",
      "-READONLY You can't write against a read only replica",
      "-CLUSTERDOWN The cluster is down",
      "-CLUSTERDOWN Hash slot not served",
      "-TRYAGAIN Multiple keys request during rehashing of slot"};
  return starts_with_any(reply, kSentences) ||
         (reply.starts_with("-ERR Error running script") &&
          reply.find(": -READONLY You can't write") != std::string_view::npos);
}

}  // namespace

bool is_refusal(std::string_view reply) {
  static constexpr std::array<std::string_view, 5> kWords{
      "-LOADING ", "-MASTERDOWN ", "-READONLY ", "-CLUSTERDOWN ", "-TRYAGAIN "};
  return starts_with_any(reply, kWords);
}

bool is_refusal(std::string_view reply, std::uint16_t row) {
  return has_own_errors(row) ? is_server_sentence(reply) : is_refusal(reply);
}

bool try_again(Context& context,
               const upstream::Connection& lane,
               upstream::SlotIndex index,
               const Failed& failed) {
  const upstream::Slot& slot = context.runtime.slots[index];
  Session* session = context.sessions.find(slot.session);
  const bool is_spent = was_tried(failed) && (slot.is_write || slot.is_last_try);
  if (session == nullptr || &lane == session->pinned.connection || is_spent ||
      !is_kept(context, slot) || !pays(context, failed)) {
    return false;
  }
  const auto& timeouts = context.shared.config.upstream.timeouts;
  std::string sent;
  lane.pipeline().copy_request(slot, sent);
  Retry retry;
  retry.place = slot.place;
  retry.is_write = slot.is_write;
  retry.silent = slot.silent;
  retry.is_last = slot.is_last_try || was_tried(failed);
  retry.version = lane.spec().version;
  retry.db = lane.spec().db;
  retry.tries = slot.tries;
  retry.started = slot.start;
  retry.due = slot.start + (slot.is_write ? timeouts.write : timeouts.read);
  retry.request = request_of(context, slot, std::move(sent));
  add(context, *session, std::move(retry), failed);
  return true;
}

bool may_try_again(Context& context, const Flight& flight, const Failed& failed) {
  const bool for_clients = flight.kind == FlightKind::Read || flight.kind == FlightKind::Refresh ||
                           flight.kind == FlightKind::Shadow;
  return for_clients && !(was_tried(failed) && flight.is_last_try) &&
         context.runtime.now < due_of(context, flight) && flight.words.size() <= kMaxRetryBytes &&
         context.shared.config.upstream.retries > 0 && pays(context, failed);
}

bool ask_again(Context& context, const Flight& flight, const Asker& asker, const Failed& failed) {
  Session* session = context.sessions.find(asker.session);
  if (session == nullptr) {
    return false;
  }
  Retry retry;
  retry.place = asker.place;
  retry.silent = asker.silent;
  retry.is_last = flight.is_last_try || was_tried(failed);
  retry.version = flight.version;
  retry.db = flight.db;
  retry.tries = flight.tries;
  retry.started = flight.asked;
  retry.due = due_of(context, flight);
  resp::append_request(retry.request, flight.arguments);
  add(context, *session, std::move(retry), failed);
  return true;
}

bool abandon_silent(Context& context, upstream::SlotIndex index, const Failed& failed) {
  upstream::Slot& slot = context.runtime.slots[index];
  Session* session = context.sessions.find(slot.session);
  if (session == nullptr) {
    return false;
  }
  Binding& binding = session->binding(slot.node);
  if (slot.flight != 0 && slot.purpose == upstream::Purpose::None) {
    if (!leave_silent_flight(context, slot, failed)) {
      return false;
    }
  } else if (binding.lane == nullptr || !try_again(context, *binding.lane, index, failed)) {
    return false;
  }
  context.runtime.deadlines.remove(index);
  abandon(context, *session, index);
  return true;
}

void abandon(Context& context, Session& session, upstream::SlotIndex index) {
  upstream::Slot& slot = context.runtime.slots[index];
  if (slot.purpose == upstream::Purpose::Mget) {
    take_mget_reply(context, index, {});
  }
  leave_flight(context, {slot.session, slot.place, slot.silent, 0});
  Binding& binding = session.binding(slot.node);
  binding.in_flight -= binding.in_flight > 0 ? 1 : 0;
  binding.writes -= slot.is_write && binding.writes > 0 ? 1 : 0;
  slot.fate = upstream::Fate::Abandoned;
  slot.session = {};
  session.wake_for_order();
}

void retry_behind(Context& context,
                  const upstream::Connection& lane,
                  Session& session,
                  std::uint32_t place) {
  static constexpr std::string_view kOvertaken =
      "-UPSTREAM a write before it on this connection could not be sent again (may have run)\r\n";
  std::vector<upstream::SlotIndex> behind;
  lane.pipeline().for_each([&](upstream::SlotIndex index) {
    const upstream::Slot& slot = context.runtime.slots[index];
    if (slot.session == session.ref() && is_earlier(place, slot.place) && !slot.is_write &&
        slot.fate != upstream::Fate::Abandoned) {
      behind.push_back(index);
    }
  });
  for (const upstream::SlotIndex index : behind) {
    static_cast<void>(abandon_silent(
        context, index, {RetryReason::Order, context.runtime.slots[index].node, kOvertaken}));
  }
}

void fail_overtaken(Context& context, Session& session, std::uint32_t place) {
  give_up_where(
      context, session, [place](const Retry& retry) { return is_earlier(retry.place, place); });
}

bool handle_retries(Context& context, Session& session) {
  const base::TimePoint now = context.runtime.now;
  give_up_where(context, session, [now](const Retry& retry) { return now >= retry.due; });
  const auto& waiting = session.retries;
  const bool all_due = std::all_of(
      waiting.begin(), waiting.end(), [&](const Retry& retry) { return is_due(context, retry); });
  const bool needs_quiet = std::any_of(
      waiting.begin(), waiting.end(), [](const Retry& retry) { return retry.needs_quiet; });
  if (!waiting.empty() && ((needs_quiet && session.in_flight() > 0) || !all_due)) {
    wait_for_next(context, session);
    return false;
  }
  std::vector<Retry> due = std::exchange(session.retries, {});
  for (std::size_t i = 0; i < due.size(); ++i) {
    const Step step = handle_again(context, session, due[i]);
    if (session.closed()) {
      return false;
    }
    if (step == Step::Wait) {
      session.retries.insert(session.retries.begin(),
                             std::make_move_iterator(due.begin() + static_cast<std::ptrdiff_t>(i)),
                             std::make_move_iterator(due.end()));
      return false;
    }
  }
  return session.retries.empty() && session.waiting() == Waiting::Nothing;
}

}  // namespace pannier::proxy
