#include "fleet_limits.hpp"

#include "pannier/base/bytes.hpp"

#include "introspection.hpp"
#include "sending.hpp"
#include "throttle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pannier::proxy {
namespace {

using limit::FleetLeases;
using Kind = FleetLeases::Kind;

constexpr std::size_t kLongestSubject = 64;

std::uint64_t name_of(upstream::SessionRef ref) {
  return (std::uint64_t{ref.generation} << 32U) | ref.index;
}

upstream::SessionRef session_of(std::uint64_t name) {
  return {static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32U)};
}

// Where the primary keeps the limit: readable, bounded, and the same for all sidecars.
std::string key_of(const config::LimitRule& rule, const Subject& subject) {
  if (subject.text.empty()) {
    return fmt::format("pannier:limit:{}", rule.name);
  }
  const bool is_plain = subject.text.size() <= kLongestSubject &&
                        std::all_of(subject.text.begin(), subject.text.end(), [](char c) {
                          return c > ' ' && c < 127;
                        });
  return is_plain ? fmt::format("pannier:limit:{}:{}", rule.name, subject.text)
                  : fmt::format("pannier:limit:{}:#{:016x}", rule.name, subject.hash);
}

// Those who waited go on, each with its tokens if there were enough.
void wake_settled(Context& context) {
  RuleStage& stage = context.rule_stage;
  for (const FleetLeases::Settled& each : stage.settled) {
    Session* session = context.sessions.find(session_of(each.waiter));
    const bool waits = session != nullptr && session->waiting() == Waiting::Limit;
    if (each.paid && waits) {
      session->charges.grants.push_back({each.key, each.quantity});
    } else if (each.paid) {
      stage.leases.give_back(each.key, each.quantity);
    }
    if (waits) {
      session->wake(Waiting::Limit);
    }
  }
  stage.settled.clear();
  auto& wasted = context.runtime.metrics.limit_tokens_wasted;
  wasted.add(stage.leases.wasted() - wasted.value());
}

void fail(Context& context, const LimitAsk& ask) {
  RuleStage& stage = context.rule_stage;
  context.runtime.metrics.limits[ask.place].errors.add();
  stage.leases.failed(ask.bucket, microseconds(context.runtime.now), stage.settled);
  wake_settled(context);
}

std::size_t keep(RuleStage& stage, const LimitAsk& ask) {
  if (stage.free_asks.empty()) {
    stage.asks.push_back(ask);
    return stage.asks.size() - 1;
  }
  const std::size_t number = stage.free_asks.back();
  stage.free_asks.pop_back();
  stage.asks[number] = ask;
  return number;
}

upstream::Connection* lane_to_primary(Context& context) {
  const route::Topology& topology = *context.topology;
  return topology.has_primary()
             ? context.lanes.pick({topology.primary, 0, resp::Version::Resp2}, 0, false)
             : nullptr;
}

// False: it failed at once, and those who waited for it know.
bool send_ask(Context& context, const LimitAsk& ask, const std::string& key) {
  upstream::Connection* lane = lane_to_primary(context);
  context.runtime.metrics.limits[ask.place].asks.add();
  if (lane == nullptr) {
    fail(context, ask);
    return false;
  }
  context.text.clear();
  append_gcra_request(context, *lane, key, ask.rate, ask.tokens);
  const upstream::SlotIndex index = take_slot(context, *lane, kOtherRow);
  upstream::Slot& slot = context.runtime.slots[index];
  slot.fate = upstream::Fate::Whole;
  slot.purpose = upstream::Purpose::Limit;
  slot.deadline = upstream::DeadlineKind::Read;
  slot.key_hash = keep(context.rule_stage, ask);
  lane->metrics().requests.add();
  context.runtime.deadlines.add(index);
  return hand_over(context, *lane, index, context.text);
}

// What came for this very request while it waited.
bool use_grant(Session& session, std::uint64_t bucket, std::int64_t quantity) {
  auto& grants = session.charges.grants;
  const auto found = std::find_if(grants.begin(), grants.end(), [&](const Grant& each) {
    return each.bucket == bucket && each.quantity == quantity;
  });
  if (found == grants.end()) {
    return false;
  }
  grants.erase(found);
  return true;
}

}  // namespace

std::int64_t microseconds(base::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

FleetResult take_lent(Context& context, Session& session, const Wanted& wanted) {
  const auto& [rule, limit, subject, quantity] = wanted;
  RuleStage& stage = context.rule_stage;
  const std::uint64_t bucket = limit.limit.bucket(subject.hash);
  if (use_grant(session, bucket, quantity)) {
    return {};
  }
  if (context.topology->generation == 0) {
    return {Kind::Wait, 0};
  }
  const std::int64_t now = microseconds(context.runtime.now);
  const auto answer =
      stage.leases.spend(limit.fleet_rate, bucket, quantity, name_of(session.ref()), now);
  FleetResult out{answer.kind, answer.retry_after};
  if (answer.ask > 0 &&
      !send_ask(context,
                {bucket, limit.fleet_rate, answer.ask, now, limit.place},
                key_of(rule, subject)) &&
      out.kind == Kind::Wait) {
    out.kind = Kind::Away;
  }
  if (out.kind == Kind::Wait && wait_is_over(context, session)) {
    stage.leases.give_up(now);
    out.kind = Kind::Away;
  }
  return out;
}

void return_grants(Context& context, Session& session) {
  for (const Grant& grant : session.charges.grants) {
    context.rule_stage.leases.give_back(grant.bucket, grant.quantity);
  }
  session.charges.grants.clear();
}

void take_limit_reply(Context& context, const upstream::Slot& slot, std::string_view reply) {
  RuleStage& stage = context.rule_stage;
  const auto number = static_cast<std::size_t>(slot.key_hash);
  const LimitAsk ask = stage.asks.at(number);
  stage.free_asks.push_back(number);
  const auto numbers = parse_gcra_reply(reply);
  if (!numbers) {
    fail(context, ask);
    return;
  }
  const auto [limited, limit, remaining, retry_after, reset_after] = *numbers;
  const bool granted = limited == 0;
  if (granted) {
    context.runtime.metrics.limits[ask.place].leased.add(static_cast<std::uint64_t>(ask.tokens));
  }
  stage.leases.answered(ask.rate,
                        {ask.bucket, ask.tokens, ask.sent},
                        {granted, remaining, reset_after},
                        microseconds(context.runtime.now),
                        stage.settled);
  wake_settled(context);
}

}  // namespace pannier::proxy
