#pragma once

#include "pannier/proxy/context.hpp"

#include <cstdint>
#include <string_view>

// Limits that all sidecars share: tokens are asked for at the primary (limit/fleet_leases.hpp).
namespace pannier::proxy {

// The clock of limits.
[[nodiscard]] std::int64_t microseconds(base::TimePoint time);

// Somebody of whom a limit counts the requests.
struct Subject {
  std::string_view text;  // empty: all
  std::uint64_t hash = 0;
};

struct Wanted {
  const config::LimitRule& rule;
  const BoundLimit& limit;
  const Subject& subject;
  std::int64_t quantity = 0;
};

struct FleetResult {
  limit::FleetLeases::Kind kind = limit::FleetLeases::Kind::Spent;
  std::int64_t retry_after = 0;  // microseconds; -1: so much can never be had
};

// Takes `quantity` of what the primary has lent, or of what came while the session waited. Wait:
// the session is to wait for Waiting::Limit, for kFleetPatience at most (once that is over the
// answer is Away), or for Waiting::Topology while nothing is known of upstream.
inline constexpr auto kFleetPatience = std::chrono::milliseconds(150);
[[nodiscard]] FleetResult take_lent(Context& context, Session& session, const Wanted& wanted);

// What came for a request that is over, and was not used.
void return_grants(Context& context, Session& session);

// The reply to an ask, or none: the slot is settled.
void take_limit_reply(Context& context, const upstream::Slot& slot, std::string_view reply);

}  // namespace pannier::proxy
