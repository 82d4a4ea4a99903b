#include "introspection.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/near_cache_state.hpp"

#include "explain.hpp"
#include "info_section.hpp"
#include "monitor.hpp"
#include "near_cache_words.hpp"
#include "policy_words.hpp"
#include "request_handler.hpp"
#include "upstream_reply.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

namespace pannier::proxy {
namespace {

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

InfoFields info_fields(const Context& context) {
  const auto& metrics = context.runtime.metrics;
  const route::Topology& topology = *context.topology;
  InfoFields fields{
      {"pannier_version", context.shared.version},
      {"pannier_uptime_in_seconds", std::to_string(unix_seconds() - context.shared.started_unix)},
      {"pannier_sessions", std::to_string(context.shared.sessions.load())},
      {"pannier_workers", std::to_string(context.shared.config.workers)},
      {"pannier_own_zone", topology.own_zone},
      {"pannier_topology_generation", std::to_string(topology.generation)},
      {"pannier_blocked_sessions", std::to_string(metrics.sessions_blocked.value())},
      {"pannier_buffer_bytes", std::to_string(context.runtime.blocks.used_bytes())}};
  for (const route::Node& node : topology.nodes) {
    fields.emplace_back(
        fmt::format("pannier_node{}", node.id),
        fmt::format("address={},role={},zone={},reachable={},ready={},lag_bytes={},inflight={}",
                    node.name,
                    route::to_string(node.role),
                    node.zone,
                    node.reachable ? 1 : 0,
                    node.ready ? 1 : 0,
                    node.lag_bytes,
                    metrics.nodes.at(node.id).inflight.value()));
  }
  add_policy_fields(fields, context.shared.policy_status.get());
  const NearCacheView view = view_near_cache(context);
  std::vector<std::string> names;
  for (const route::Node& node : topology.nodes) {
    names.push_back(node.name);
  }
  add_near_cache_fields(fields, view.state, view.classes, names);
  return fields;
}

// The request of a slot whose bytes are kept, taken apart again.
struct KeptRequest {
  std::string bytes;
  std::vector<std::string_view> arguments;
};

void parse_kept(KeptRequest& request) {
  static const resp::Limits limits;
  resp::RequestParser parser(limits);
  if (parser.parse(request.bytes) == resp::RequestParser::Status::Complete) {
    const auto found = parser.request().arguments;
    request.arguments.assign(found.begin(), found.end());
  }
}

void show_to_monitors(Context& context, std::string_view line) {
  context.sessions.for_each([line](Session& watcher) {
    if (watcher.state.monitoring) {
      watcher.show(line);
    }
  });
}

}  // namespace

NearCacheView view_near_cache(const Context& context) {
  const auto facts = class_facts(*context.rules);
  NearCacheView out;
  out.state = near_cache_state(context.shared, facts.size(), context.runtime.now);
  out.classes = metrics::sum_classes(context.shared.metrics, facts, out.state.classes);
  return out;
}

std::string_view frame_of(Context& context, const resp::Request& request) {
  if (!request.is_inline) {
    return request.frame;
  }
  context.frame.clear();
  resp::append_request(context.frame, request.arguments);
  return context.frame;
}

void ask_about_command(Context& context,
                       Session& session,
                       upstream::Connection& lane,
                       std::string_view name) {
  const std::array<std::string_view, 3> arguments{"COMMAND", "INFO", name};
  std::string request;
  resp::append_request(request, arguments);
  const upstream::SlotIndex index = take_slot(context, lane, kOtherRow);
  upstream::Slot& slot = context.runtime.slots[index];
  slot.session = session.ref();
  slot.fate = upstream::Fate::Whole;
  slot.purpose = upstream::Purpose::Learn;
  slot.deadline = upstream::DeadlineKind::Read;
  context.learning[index] = std::string(name);
  Binding& binding = session.binding(lane.node());
  if (binding.in_flight == 0) {
    binding.lane = &lane;
  }
  ++binding.in_flight;
  context.runtime.deadlines.add(index);
  static_cast<void>(hand_over(context, lane, index, request));
}

void learn_command(Context& context, upstream::SlotIndex index, std::string_view reply) {
  const auto asked = context.learning.find(index);
  if (asked == context.learning.end()) {
    return;
  }
  auto info = parse_command_info(reply);
  if (info) {
    info->name = asked->second;  // a renamed command tells its old name
  }
  if (!info || context.learned.learn(*info) == nullptr) {
    context.learned.learn_unknown(asked->second, context.runtime.now);
  }
  context.learning.erase(asked);
}

std::string with_info_section(Context& context, std::string_view reply) {
  std::string out;
  append_info(out, reply, info_fields(context));
  return out;
}

std::string local_info(Context& context,
                       const Session& session,
                       std::span<const std::string_view> arguments) {
  LocalInfo info;
  info.redis_version = context.topology->server_version;
  info.process_id = ::getpid();
  info.uptime_seconds = unix_seconds() - context.shared.started_unix;
  info.connected_clients = context.shared.sessions.load();
  info.version = session.state.version;
  std::string out;
  append_local_info(out, info, arguments, info_fields(context));
  return out;
}

void feed_monitors(Context& context,
                   const Session& session,
                   const command::CommandSpec& row,
                   std::span<const std::string_view> arguments) {
  if (!is_monitored(row)) {
    return;
  }
  MonitorFacts facts;
  facts.unix_time = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  facts.db = session.state.db;
  facts.address = session.state.remote_address;
  std::string line;
  append_monitor_line(line, facts, row, arguments);
  for (std::uint32_t i = 0; i < context.shared.config.workers; ++i) {
    context.shared.post(i, [line](Context& other) { show_to_monitors(other, line); });
  }
}

void log_slow(Context& context,
              const upstream::Connection& connection,
              const upstream::Slot& slot,
              std::chrono::microseconds total) {
  const Session* session = context.sessions.find(slot.session);
  if (session == nullptr) {
    return;
  }
  SlowEntry entry;
  entry.unix_seconds = unix_seconds();
  entry.total = total;
  entry.queue = std::chrono::microseconds(slot.queued_us);
  entry.upstream = total - entry.queue;
  entry.client_address = session->state.remote_address;
  entry.client_name = session->state.name;
  entry.node = connection.node_name();
  KeptRequest request;
  if (slot.length > 0) {
    connection.pipeline().copy_request(slot, request.bytes);
    parse_kept(request);
  }
  if (slot.purpose == upstream::Purpose::Throttle && request.arguments.size() > 3) {
    request.arguments = {"cl.throttle", request.arguments[3]};  // what was asked, not the script
  }
  const command::CommandSpec* row =
      request.arguments.empty() ? nullptr : command::find(request.arguments);
  if (row != nullptr && !row->has(command::kSkipSlowlog)) {
    entry.arguments = slow_arguments(*row, request.arguments);
  } else if (slot.row < command::table().size()) {
    entry.arguments = {std::string(command::table()[slot.row].name)};
  } else if (!request.arguments.empty()) {
    entry.arguments = {base::printable(request.arguments[0])};
  }
  context.slowlog.add(std::move(entry));
}

void start_waiting(Context& context, Session& session, Waiting reason, base::Duration at_most) {
  if (session.wait_until != base::TimePoint{}) {
    return;
  }
  session.wait_until = context.runtime.now + at_most;
  context.runtime.metrics.sessions_waiting.add();
  context.runtime.timers.add(session.wait_until, [&context, reason, ref = session.ref()] {
    if (Session* waiting = context.sessions.find(ref)) {
      waiting->wake(reason);
    }
  });
}

bool wait_is_over(const Context& context, const Session& session) {
  return session.wait_until != base::TimePoint{} && context.runtime.now >= session.wait_until;
}

void stop_waiting(Context& context, Session& session) {
  if (session.wait_until != base::TimePoint{}) {
    session.wait_until = {};
    context.runtime.metrics.sessions_waiting.sub();
  }
}

void lose_unsent(Context& context, upstream::Connection& connection, upstream::SlotIndex index) {
  context.events.on_lost(connection, index, false);
  context.runtime.slots.give(index);
}

}  // namespace pannier::proxy
