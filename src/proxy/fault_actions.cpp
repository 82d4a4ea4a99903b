#include "pannier/proxy/fault_actions.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

// Each worker looks at its own copy, so that without a rehearsal a request costs one branch.
void hand_out(Context& context) {
  context.faults = context.shared.faults.all();
  for (std::uint32_t i = 0; i < context.shared.config.workers; ++i) {
    if (i != context.worker) {
      context.shared.post(i, [all = context.faults](Context& other) { other.faults = all; });
    }
  }
}

void end_later(Context& context, base::TimePoint when) {
  context.runtime.timers.add(when, [&context] {
    if (context.shared.faults.expire(context.runtime.now)) {
      hand_out(context);
    }
  });
}

// A rehearsal that fits nothing would look like one that went well.
std::string unknown_name(const Context& context, const FaultRule& rule) {
  const auto& classes = context.rules->policy.classes;
  const bool has_class =
      rule.key_class.empty() || std::any_of(classes.begin(), classes.end(), [&](const auto& each) {
        return each.name == rule.key_class;
      });
  if (!has_class) {
    return "class: the policy has no '" + base::printable(rule.key_class) + "'";
  }
  const auto& nodes = context.topology->nodes;
  const bool has_node =
      rule.node.empty() || std::any_of(nodes.begin(), nodes.end(), [&](const route::Node& each) {
        return each.name == rule.node;
      });
  return has_node ? ""
                  : "node: there is no '" + base::printable(rule.node) +
                        "'; GET /topology has their names";
}

}  // namespace

FaultBegun begin_fault(Context& context, std::string_view form) {
  auto parsed = parse_fault(form);
  if (const auto* fault = std::get_if<std::string>(&parsed)) {
    return {false, *fault};
  }
  auto& rule = std::get<FaultRule>(parsed);
  if (auto fault = unknown_name(context, rule); !fault.empty()) {
    return {false, std::move(fault)};
  }
  const std::string words = in_words(rule);
  const base::TimePoint until = context.runtime.now + rule.period;
  const std::uint64_t id = context.shared.faults.add(std::move(rule), context.runtime.now);
  if (id == 0) {
    return {false, fmt::format("there are {} rehearsals already", FaultTable::kMost)};
  }
  end_later(context, until);
  hand_out(context);
  return {true, fmt::format("rehearsal {}: {}", id, words)};
}

std::size_t clear_faults(Context& context) {
  const std::size_t ended = context.shared.faults.clear();
  hand_out(context);
  return ended;
}

std::vector<metrics::FaultState> fault_states(const Shared& shared, base::TimePoint now) {
  std::vector<metrics::FaultState> out;
  if (const FaultSetPtr all = shared.faults.all()) {
    for (const auto& each : *all) {
      const std::chrono::duration<double> left = each->until - now;
      out.push_back({each->id,
                     in_words(each->rule),
                     each->hits.load(std::memory_order_relaxed),
                     std::max(0.0, left.count())});
    }
  }
  return out;
}

std::string fault_lines(const std::vector<metrics::FaultState>& faults) {
  std::string out;
  for (const metrics::FaultState& each : faults) {
    out += fmt::format("fault: {} hits={} seconds_left={:.0f} {}\n",
                       each.id,
                       each.hits,
                       each.seconds_left,
                       each.rule);
  }
  return out;
}

}  // namespace pannier::proxy
