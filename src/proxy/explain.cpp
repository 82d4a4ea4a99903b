#include "explain.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/fault_actions.hpp"
#include "pannier/proxy/local_commands.hpp"
#include "pannier/proxy/near_cache_state.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "explain_cache.hpp"
#include "introspection.hpp"
#include "near_cache_words.hpp"
#include "policy_words.hpp"
#include "request_handler.hpp"
#include "throttle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace pannier::proxy {
namespace {

std::string node_text(const Context& context, const route::Route& route) {
  if (route.node == route::kNoNode) {
    return "none";
  }
  const route::Node& node = context.topology->nodes[route.node];
  return fmt::format("{} ({}{}{})",
                     node.name,
                     route::to_string(node.role),
                     node.zone.empty() ? "" : ", zone ",
                     node.zone);
}

std::string explain(Context& context,
                    const Session& session,
                    std::span<const std::string_view> request) {
  const command::CommandSpec* row = command::find(request);
  if (row == nullptr) {
    const auto learned = context.learned.find(request[0], context.runtime.now);
    if (learned.row == nullptr) {
      return "command: unknown to Pannier; the server is asked with COMMAND INFO when it is used\n";
    }
    row = learned.row;
  }
  ExplainedRequest explained{row, request, {}, true};
  std::vector<std::string_view> keys;
  explained.keys_known = command::extract_keys(*row, request, keys) == command::KeyStatus::Ok;
  explained.keys = keys;
  std::string out = explain_command(explained);
  if (!goes_upstream(*row)) {
    return out;
  }
  const route::Route route =
      row->handling == command::Handling::Forward
          ? choose_node(context, session, *row, request)
          : route::Route{context.topology->primary, route::RouteReason::Write};
  out += policy_line(context.rules->origin);
  out += explain_classes(*context.rules, keys);
  out += explain_rules(*context.rules, explained, rule_facts(context, session));
  out += fmt::format("reads: {}\n",
                     explain_reads(*context.rules, reads_sources(context, session), keys));
  out += fmt::format("node: {}\n", node_text(context, route));
  out += fmt::format("because: {}\n", route::to_string(route.reason));
  const bool heavy = row->has(command::kHeavy);
  out += fmt::format("lane: {}\n", heavy ? "heavy, and this session for 10 s" : "light");
  out += away_line(*context.rules, reads_sources(context, session), explained);
  return out + explain_near_cache(context, session, explained, route.node);
}

std::string stats(const Context& context) {
  const auto& metrics = context.runtime.metrics;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  for (const auto& command : metrics.commands) {
    requests += command.requests.value();
    errors += command.errors.value();
  }
  std::string out = fmt::format(
      "worker: {}\nsessions: {}\nsessions_blocked: {}\nsessions_waiting: {}\nrequests: {}\n"
      "errors: {}\nbytes_received: {}\nbytes_sent: {}\nslots_in_flight: {}\nbuffer_bytes: {}\n"
      "turns: {}\n",
      context.worker,
      metrics.sessions.value(),
      metrics.sessions_blocked.value(),
      metrics.sessions_waiting.value(),
      requests,
      errors,
      metrics.bytes_received.value(),
      metrics.bytes_sent.value(),
      const_cast<Context&>(context).runtime.slots.in_use(),
      context.runtime.blocks.used_bytes(),
      metrics.turns.value());
  out += memory_lines(context.shared.memory);
  const NearCacheView view = view_near_cache(context);
  out += policy_lines(context.shared.policy_status.get());
  out += near_cache_lines(view.state, view.classes);
  out += fault_lines(fault_states(context.shared, context.runtime.now));
  return out + away_lines(metrics::sum_away(context.shared.metrics, class_facts(*context.rules)));
}

}  // namespace

std::string pannier_command(Context& context,
                            const Session& session,
                            std::string_view subcommand,
                            std::span<const std::string_view> arguments) {
  std::string text;
  if (subcommand == "explain") {
    text = explain(context, session, arguments.subspan(2));
  } else if (subcommand == "topology") {
    text = describe_topology(context);
  } else if (subcommand == "stats") {
    text = stats(context);
  } else {
    text = context.shared.version;
  }
  std::string out;
  resp::append_verbatim(out, text, session.state.version);
  return out;
}

}  // namespace pannier::proxy
