#include "pannier/upstream/connect_budget.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::upstream {
namespace {

base::Duration interval_of(const config::PinnedPool& pinned) {
  const auto wait = std::max<base::Duration>(pinned.wait, std::chrono::milliseconds(1));
  const auto by_pool = wait / static_cast<base::Duration::rep>(std::max(1U, pinned.max));
  const base::Duration slowest = std::chrono::milliseconds(1000) / ConnectBudget::kLeast;
  return std::clamp<base::Duration>(by_pool, std::chrono::microseconds(1), slowest);
}

}  // namespace

ConnectBudget::ConnectBudget(const config::Config& config)
    : interval_(interval_of(config.upstream.pinned)) {}

void ConnectBudget::note_trouble(route::NodeId node, base::TimePoint now) {
  trouble_until_.at(node).store((now + kTrouble).time_since_epoch().count(),
                                std::memory_order_relaxed);
}

base::Duration ConnectBudget::take(route::NodeId node, For use, base::TimePoint now) {
  const int burst = use == For::Lane ? kBurst : kBurst - kForLanes;
  const auto at = now.time_since_epoch().count();
  if (at >= trouble_until_.at(node).load(std::memory_order_relaxed)) {
    return base::Duration::zero();
  }
  auto& full_at = full_at_.at(node);
  auto seen = full_at.load(std::memory_order_relaxed);
  while (true) {
    const auto next = std::max(seen, at) + interval_.count();
    const auto wait = next - interval_.count() * burst - at;
    if (wait > 0) {
      return base::Duration(wait);
    }
    if (full_at.compare_exchange_weak(seen, next, std::memory_order_relaxed)) {
      return base::Duration::zero();
    }
  }
}

}  // namespace pannier::upstream
