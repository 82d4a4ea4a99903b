#include "fault_stage.hpp"

#include "pannier/resp/reply_writer.hpp"

#include "away_answers.hpp"
#include "cached_reads.hpp"
#include "request_handler.hpp"
#include "sending.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using Arguments = std::span<const std::string_view>;

bool is_hit(Context& context, double percent) {
  constexpr double kRange = 4294967296.0;
  return percent >= 100 || static_cast<double>(next_random(context)) < percent / 100 * kRange;
}

// The first that fits and whose dice say so; null: none.
const ActiveFault* find_fault(Context& context,
                              const CommandSpec& row,
                              Arguments arguments,
                              std::string_view node) {
  context.keys.clear();
  static_cast<void>(command::extract_keys(row, arguments, context.keys));
  const policy::ClassId id =
      context.keys.empty() ? policy::kNoClass : context.rules->matcher.match(context.keys.front());
  const std::string_view class_name =
      id == policy::kNoClass ? std::string_view() : std::string_view(context.rules->at(id).name);
  for (const auto& each : *context.faults) {
    if (context.runtime.now < each->until && each->rule.fits(class_name, row, node) &&
        is_hit(context, each->rule.percent)) {
      each->hits.fetch_add(1, std::memory_order_relaxed);
      return each.get();
    }
  }
  return nullptr;
}

FaultStep delay(Context& context, Session& session, base::Duration length) {
  context.runtime.timers.add(context.runtime.now + length, [&context, ref = session.ref()] {
    if (Session* waiting = context.sessions.find(ref)) {
      waiting->delayed_by_fault = true;
      waiting->wake(Waiting::Fault);
    }
  });
  session.wait_for(Waiting::Fault);
  return FaultStep::Wait;
}

// A request that was sent nowhere, until its deadline.
struct Dropped {
  const CommandSpec& row;
  std::vector<std::string> words;
  Asker asker;
  route::NodeId node;
};

// As the deadline of a silent node would answer it.
void time_out(Context& context, const Dropped& dropped) {
  auto& metrics = context.runtime.metrics;
  metrics.nodes.at(dropped.node).timeouts.add();
  Session* session = context.sessions.find(dropped.asker.session);
  if (session == nullptr) {
    return;
  }
  const std::vector<std::string_view> arguments(dropped.words.begin(), dropped.words.end());
  CachedRead cached;
  const bool is_cached = dropped.row.has(command::kReadOnly) && arguments.size() > 1 &&
                         identify_read(context, *session, dropped.row, arguments, cached);
  const bool answered = answer_away(
      context,
      {dropped.row, arguments, session->state.version, session, is_cached ? &cached : nullptr},
      dropped.asker);
  context.matched = {};  // its key is about to go
  if (answered) {
    return;
  }
  metrics.refusals.at(static_cast<std::size_t>(metrics::Refusal::MayHaveRun)).add();
  std::string out;
  resp::append_error(out, "UPSTREAM no reply within the deadline (may have run)");
  answer_asker(context, dropped.asker, out);
}

FaultStep drop(Context& context,
               Session& session,
               const CommandSpec& row,
               Arguments arguments,
               route::NodeId node) {
  const auto& timeouts = context.shared.config.upstream.timeouts;
  const base::Duration patience = row.has(command::kHeavy) ? timeouts.slow
                                  : counts_as_write(row)   ? timeouts.write
                                                           : timeouts.read;
  Dropped dropped{row,
                  {arguments.begin(), arguments.end()},
                  {session.ref(), session.open_place(), session.state.reply_mode != ReplyMode::On},
                  node};
  context.runtime.timers.add(
      context.runtime.now + patience,
      [&context, dropped = std::move(dropped)] { time_out(context, dropped); });
  return FaultStep::Done;
}

// Behind this request, which is sent first.
void close_later(Context& context, upstream::Connection& lane) {
  context.runtime.timers.add(context.runtime.now, [&context, &lane] {
    if (context.lanes.owns(lane)) {  // it may have gone by itself
      lane.lose("a rehearsal closed it");
    }
  });
}

}  // namespace

FaultStep meet_faults(Context& context,
                      Session& session,
                      const CommandSpec& row,
                      std::span<const std::string_view> arguments,
                      upstream::Connection& lane) {
  if (std::exchange(session.delayed_by_fault, false)) {
    return FaultStep::Free;
  }
  const ActiveFault* fault = find_fault(context, row, arguments, lane.node_name());
  if (fault == nullptr) {
    return FaultStep::Free;
  }
  switch (fault->rule.action) {
    case FaultAction::Delay:
      return delay(context, session, fault->rule.delay);
    case FaultAction::Error:
      refuse(context, session, metrics::Refusal::NotSent, fault->rule.text);
      return FaultStep::Done;
    case FaultAction::Drop:
      return drop(context, session, row, arguments, lane.node());
    case FaultAction::Close:
      close_later(context, lane);
      break;
  }
  return FaultStep::Free;
}

}  // namespace pannier::proxy
