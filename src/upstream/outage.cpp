#include "pannier/upstream/outage.hpp"

#include <utility>

namespace pannier::upstream {

Outage::News Outage::update(const route::Node& node, base::TimePoint now) {
  const bool was_away = since.has_value();
  const bool is_open = node.breaker == route::BreakerState::Open;
  const bool was_refused = std::exchange(was_open, is_open);
  if (!node.reachable) {
    since = since.value_or(now);
    return was_away ? News::None : News::Began;
  }
  since.reset();
  return !is_open && (was_away || was_refused) ? News::Ended : News::None;
}

std::string_view why_hung(const Connection& connection,
                          const Outage& outage,
                          Sharing sharing,
                          Runtime& runtime) {
  if (!connection.is_open() || connection.paused()) {
    return {};
  }
  const config::Timeouts& timeouts = runtime.config.upstream.timeouts;
  const SlotIndex head = connection.pipeline().head();
  const auto nothing_for = [&](base::Duration length) {
    return connection.last_heard() + length < runtime.now &&
           (head == kNoSlot || runtime.slots[head].start + length < runtime.now);
  };
  const bool is_due =
      sharing == Sharing::Shared ? head != kNoSlot : connection.pipeline().streaming();
  if (is_due && nothing_for(timeouts.slow)) {
    return connection.pipeline().streaming() ? "no more of a reply for timeouts.slow"
                                             : "no reply for timeouts.slow";
  }
  const bool is_away = outage.since && *outage.since + timeouts.write <= runtime.now;
  if (is_away && (sharing == Sharing::Exclusive || head != kNoSlot) &&
      nothing_for(timeouts.write)) {
    return "the node does not answer, and nothing came from it for timeouts.write";
  }
  const bool is_ordinary =
      sharing == Sharing::Shared && head != kNoSlot && !runtime.slots[head].is_heavy;
  const bool was_probed = 2 * runtime.config.upstream.probe < timeouts.write;  // since it was sent
  if (!outage.since && was_probed && is_ordinary && !connection.pipeline().streaming() &&
      nothing_for(timeouts.write)) {
    return "no reply for timeouts.write, while the node answers others; the connection is dead";
  }
  return {};
}

bool ping_if_idle(Connection& connection, base::TimePoint now) {
  const bool is_idle = connection.is_open() && !connection.paused() &&
                       connection.in_flight() == 0 && connection.last_heard() + kPingAfter <= now;
  if (is_idle) {
    connection.ping();
  }
  return is_idle;
}

bool ping_failed(const Connection& connection, const Runtime& runtime) {
  const auto pinged_at = connection.pinged_at();
  return connection.is_open() && !connection.paused() && pinged_at &&
         *pinged_at + runtime.config.upstream.timeouts.write <= runtime.now;
}

}  // namespace pannier::upstream
