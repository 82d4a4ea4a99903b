#include "away_answers.hpp"
#include "request_handler.hpp"
#include "ttl_requests.hpp"

#include <algorithm>

// Which node serves a request (behaviour §3).
namespace pannier::proxy {
namespace {

using command::CommandSpec;

// Fills context.keys. Keys of several classes: the strictest counts.
config::Reads reads_of_keys(const Context& context, const Session& session) {
  config::Reads out = class_reads(context, &session, policy::kNoClass);
  bool first = true;
  for (const std::string_view key : context.keys) {
    const config::Reads reads = reads_now(context, &session, class_of(context, key));
    if (reads == config::Reads::Primary || (!first && reads != out)) {
      return config::Reads::Primary;
    }
    out = reads;
    first = false;
  }
  return out;
}

// A replica serves what would be the primary's.
bool stands_in(const Context& context, const Session* session, const route::Route& route) {
  return context.rules->any_stale && route.node != route::kNoNode &&
         route.node != context.topology->primary &&
         std::any_of(context.keys.begin(), context.keys.end(), [&](std::string_view key) {
           return class_reads(context, session, context.rules->matcher.match(key)) ==
                  config::Reads::Primary;
         });
}

route::Route select(Context& context, config::Reads reads, std::uint32_t salt) {
  const auto is_recent = [&](const route::Node& node) {
    return std::any_of(context.keys.begin(), context.keys.end(), [&](std::string_view key) {
      return !context.shared.recent_writes.replica_may_serve(
          route::RecentWrites::hash(key), node.caught_up_epoch, context.runtime.now);
    });
  };
  const route::Route route =
      route::select_read(*context.topology, reads, salt, is_recent, context.avoided);
  if (route.reason == route::RouteReason::RecentWrite) {
    context.runtime.metrics.reads_kept_on_primary.add();
  }
  return route;
}

}  // namespace

config::Reads class_reads(const Context& context,
                          const Session* session,
                          policy::ClassId key_class) {
  if (session != nullptr && session->listener().strong) {
    return config::Reads::Primary;
  }
  if (key_class != policy::kNoClass && context.rules->at(key_class).reads) {
    return *context.rules->at(key_class).reads;
  }
  if (context.rules->policy.reads) {
    return *context.rules->policy.reads;
  }
  if (session != nullptr && session->listener().reads) {
    return *session->listener().reads;
  }
  return context.shared.config.reads;
}

route::Route choose_node(Context& context,
                         const Session& session,
                         const CommandSpec& row,
                         std::span<const std::string_view> arguments) {
  const route::Topology& topology = *context.topology;
  if (!row.has(command::kReadOnly)) {
    return {topology.primary, route::RouteReason::Write};
  }
  const bool by_class = context.rules->any_reads && !session.listener().strong;
  const auto first = static_cast<std::size_t>(row.first);
  const bool by_one_key = by_class && command::has_one_key(row) && arguments.size() > first;
  config::Reads reads = by_one_key
                            ? reads_now(context, &session, class_of(context, arguments[first]))
                            : class_reads(context, &session, policy::kNoClass);
  if (reads == config::Reads::Primary && (by_one_key || !by_class)) {
    return {topology.primary, route::RouteReason::ReadsPrimary};
  }
  if (!command::replica_safe(row, arguments)) {
    return {topology.primary, route::RouteReason::NotReplicaSafe};
  }
  // A further try goes by key: the write in flight may never be answered.
  if (session.writes_in_flight() > 0 && topology.has_primary() &&
      context.avoided == route::kNoNode) {
    return {topology.primary, route::RouteReason::SessionWrite};
  }
  context.keys.clear();
  if (command::extract_keys(row, arguments, context.keys) == command::KeyStatus::Unknown) {
    return {topology.primary, route::RouteReason::NotReplicaSafe};
  }
  reads = by_class && !by_one_key ? reads_of_keys(context, session) : reads;
  route::Route route = select(context, reads, session.ref().index);
  if (stands_in(context, &session, route)) {
    route.reason = route::RouteReason::PrimaryAway;
  }
  return route;
}

route::Route choose_read_node(Context& context,
                              config::Reads reads,
                              std::uint32_t salt,
                              const CommandSpec& row,
                              std::span<const std::string_view> arguments) {
  context.keys.clear();
  if (!command::replica_safe(row, arguments) ||
      command::extract_keys(row, arguments, context.keys) == command::KeyStatus::Unknown) {
    return {context.topology->primary, route::RouteReason::NotReplicaSafe};
  }
  return select(context, reads, salt);
}

bool is_open(const Context& context, route::NodeId node) {
  return context.topology->nodes[node].is_refused();
}

bool has_alternative(const Context& context, const route::Route& route) {
  switch (route.reason) {
    case route::RouteReason::SameZoneReplica:
    case route::RouteReason::SameZonePrimary:
    case route::RouteReason::AnyReplica:
    case route::RouteReason::NearestNode:
    case route::RouteReason::PrimaryAway:
    case route::RouteReason::SessionWrite:
    case route::RouteReason::PrimaryFallback:
    case route::RouteReason::SpareReplica:
      return context.ready_nodes > 1;
    default:
      return false;
  }
}

}  // namespace pannier::proxy
