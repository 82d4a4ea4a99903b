#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/limit/fleet_leases.hpp"
#include "pannier/limit/limiters.hpp"
#include "pannier/metrics/rule_names.hpp"
#include "pannier/metrics/snapshot.hpp"
#include "pannier/policy/request_rules.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::config {
struct Listener;
}

// What limits and denials have to remember: of a session, of a worker, of the process
// (policy_stage.hpp says what is done with it).
namespace pannier::proxy {

// What a request has taken of a limit.
struct Charge {
  limit::Limit limit;
  std::uint64_t subject = 0;  // its hash
  std::int64_t quantity = 0;
  std::int64_t at = 0;  // microseconds
  bool lent = false;    // by the primary
};

// Tokens that came for a request while it waited.
struct Grant {
  std::uint64_t bucket = 0;
  std::int64_t quantity = 0;
};

struct SessionCharges {
  bool not_denied = false;       // the request that waits, that is
  bool admitted = false;         // the request that waits for something else: charged already
  std::vector<Grant> grants;     // of the request that waits for the primary's answer
  std::vector<Charge> in_multi;  // of what is queued since MULTI
};

// A rule of the policy with what belongs to it here.
struct BoundLimit {
  limit::Limit limit;
  limit::Rate fleet_rate;
  std::uint16_t place = 0;  // metrics::RuleNames
};

struct BoundRules {
  std::vector<BoundLimit> limits;            // by policy::LimitId
  std::vector<std::uint16_t> denial_places;  // by policy::DenyId
  std::uint16_t read_only_place = 0;
};

// An ask for tokens that is under way.
struct LimitAsk {
  std::uint64_t bucket = 0;
  limit::Rate rate;
  std::int64_t tokens = 0;
  std::int64_t sent = 0;  // microseconds
  std::uint16_t place = 0;
};

// Of one worker.
struct RuleStage {
  explicit RuleStage(std::uint32_t worker) : leases(worker + 1) {}

  BoundRules bound;
  limit::FleetLeases leases;
  std::vector<LimitAsk> asks;                        // by the number that their slot has
  std::vector<std::size_t> free_asks;                // places in `asks`
  std::vector<limit::FleetLeases::Settled> settled;  // scratch
  std::vector<policy::LimitMatch> matches;           // scratch of one request
  std::vector<Charge> charges;                       // scratch of one request
  std::vector<std::string_view> keys;                // scratch of one request
  std::vector<std::pair<const config::Listener*, std::string>> listeners;  // their addresses
};

// Of the process; thread-safe.
struct RuleState {
  limit::Limiters limiters;
  metrics::RuleNames limit_names;
  metrics::RuleNames denial_names;
};

// Which of the counters belongs to whom, and how full the tables are. Any thread.
[[nodiscard]] metrics::RulesState rules_state(const RuleState& state, base::TimePoint now);

}  // namespace pannier::proxy
