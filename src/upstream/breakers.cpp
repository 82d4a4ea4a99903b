#include "breakers.hpp"

#include "pannier/base/log.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace pannier::upstream {

using route::BreakerState;
using route::Failure;
using route::NodeId;

bool FailureReports::add(NodeId node, Failure failure, std::uint32_t count) {
  counts_.at(node).at(static_cast<std::size_t>(failure)).fetch_add(count);
  return !is_told_.exchange(true);
}

void FailureReports::take(const std::function<void(NodeId, Failure, std::uint32_t)>& take) {
  is_told_.store(false);
  for (std::size_t node = 0; node < counts_.size(); ++node) {
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      const std::uint32_t count = counts_.at(node).at(kind).exchange(0);
      if (count > 0) {
        take(static_cast<NodeId>(node), static_cast<Failure>(kind), count);
      }
    }
  }
}

Breaker& Breakers::breaker_of(NodeId node, base::TimePoint now) {
  while (breakers_.size() <= node) {
    breakers_.emplace_back(std::random_device{}(), now);
    totals_.emplace_back();
  }
  return breakers_[node];
}

// Behaviour 6.1. Nor is the last node that may serve taken away: a bad answer is better than none.
bool Breakers::is_spared(NodeId node) const {
  if (node == roles_.primary() && roles_.primary_answers()) {
    return true;
  }
  const auto& nodes = roles_.current().nodes;
  return std::none_of(nodes.begin(), nodes.end(), [node](const route::Node& other) {
    return other.id != node && other.ready;
  });
}

void Breakers::probed(NodeId node,
                      const std::string& error,
                      base::TimePoint began,
                      base::TimePoint now) {
  Breaker& breaker = breaker_of(node, now);
  if (replies_) {
    breaker.count_replies(replies_(node), now);
  }
  if (error.empty()) {
    breaker.probe_answered(node == roles_.primary() || is_spared(node), now);
  } else {
    breaker.probe_failed(error, began, now);
  }
  take_change(node, now);
}

void Breakers::failed(NodeId node, Failure failure, std::uint32_t count, base::TimePoint now) {
  if (node >= roles_.current().nodes.size()) {
    return;
  }
  Breaker& breaker = breaker_of(node, now);
  if (replies_) {
    breaker.count_replies(replies_(node), now);
  }
  // Connections that are lost together are one failure: a restart, or CLIENT KILL.
  const std::uint32_t counted = failure == Failure::Lost ? 1U : count;
  breaker.count_failures(failure, counted, is_spared(node), now);
  take_change(node, now);
}

void Breakers::forget(NodeId node, base::TimePoint now) {
  breaker_of(node, now) = Breaker(std::random_device{}(), now);
  totals_[node].state = static_cast<std::size_t>(BreakerState::Closed);
}

void Breakers::take_change(NodeId node, base::TimePoint now) {
  const auto change = breakers_[node].take_transition();
  if (!change) {
    return;
  }
  const auto state = static_cast<std::size_t>(change->to);
  totals_[node].state = state;
  ++totals_[node].entered.at(state);
  roles_.set_breaker(node, change->to, now);
  const bool is_open = change->to == BreakerState::Open;
  const char* const consequence =
      !is_open                   ? ""
      : node == roles_.primary() ? "; what needs the primary is refused at once until it answers"
                                 : "; reads go to other nodes until it answers again";
  base::log(is_open ? base::LogLevel::Warn : base::LogLevel::Info,
            "breaker",
            "{} is {} after {} ms {}: {}{}",
            roles_.current().nodes[node].name,
            metrics::kBreakerStates.at(state),
            std::chrono::duration_cast<std::chrono::milliseconds>(change->lasted).count(),
            metrics::kBreakerStates.at(static_cast<std::size_t>(change->from)),
            change->reason,
            consequence);
}

}  // namespace pannier::upstream
