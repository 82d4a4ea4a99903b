#include "pannier/base/log.hpp"
#include "pannier/proxy/local_commands.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cache_commands.hpp"
#include "explain.hpp"
#include "gather.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

// What the session does about the commands that Pannier answers itself (local_commands.hpp says
// what they answer).
namespace pannier::proxy {
namespace {

using command::CommandSpec;

Step answer(Session& session, std::string_view bytes) {
  session.answer(bytes);
  return Step::Done;
}

Step wait(Session& session, Waiting reason) {
  session.wait_for(reason);
  return Step::Wait;
}

// What changes the session's lanes waits until nothing is in flight on the old ones.
bool changes_lanes(const CommandSpec& row) {
  return row.name == "select" || row.name == "hello" || row.name == "reset";
}

// Behaviour 1.5: OK after a lane in that db has opened, so that a bad index gets the server's own
// error; with upstream away any index that the server had is fine.
Step select_database(Context& context, Session& session, std::int64_t number) {
  const auto db = static_cast<std::uint32_t>(number);
  const auto& known = context.known_databases;
  const route::Topology& topology = *context.topology;
  if (std::find(known.begin(), known.end(), db) == known.end()) {
    const auto refusal = context.lanes.refusal(topology.primary, db);
    if (!refusal.empty()) {
      return answer(session, refusal);
    }
    if (topology.has_primary() &&
        context.lanes.pick(
            {topology.primary, db, session.state.version}, session.ref().index, false) != nullptr) {
      return wait(session, Waiting::Database);
    }
    if (db >= topology.databases) {
      return answer(session, "-ERR DB index is out of range\r\n");
    }
  }
  session.state.db = db;
  return answer(session, "+OK\r\n");
}

void reset_session(Context& context, Session& session) {
  drop_pinned(context, session);
  session.pinned = {};
  if (session.state.monitoring) {
    context.shared.monitors.fetch_sub(1);
    session.state.monitoring = false;
  }
  session.state.in_multi = session.state.watching = session.state.tracking = false;
  session.state.channels = session.state.patterns = session.state.shard_channels = 0;
}

Step start_monitor(Context& context, Session& session, std::string_view reply) {
  if (!session.state.monitoring) {
    session.state.monitoring = true;
    context.shared.monitors.fetch_add(1);
  }
  return answer(session, reply);
}

// COMMAND and its kin: the server's own answer when there is a server.
Step ask_upstream(Context& context,
                  Session& session,
                  const CommandSpec& row,
                  const resp::Request& request,
                  std::string_view fallback) {
  const route::NodeId primary = context.topology->primary;
  if (primary == route::kNoNode) {
    return answer(session, fallback);
  }
  Binding& binding = session.binding(primary);
  if (binding.in_flight == 0) {
    binding.lane = context.lanes.pick(
        {primary, session.state.db, session.state.version}, session.ref().index, false);
  }
  if (binding.lane == nullptr || !binding.lane->is_open()) {
    return answer(session, fallback);
  }
  Outgoing out;
  out.row = &row;
  out.arguments = request.arguments;
  out.frame = frame_of(context, request);
  send(context, session, *binding.lane, out);
  return Step::Done;
}

void pause_clients(Context& context, const LocalResult& result) {
  const bool writes_only = result.flag;
  const auto length = std::chrono::milliseconds(result.number);
  for (std::uint32_t i = 0; i < context.shared.config.workers; ++i) {
    context.shared.post(i, [writes_only, length](Context& other) {
      other.paused_until = other.runtime.now + length;
      other.pause_writes_only = writes_only;
      other.runtime.timers.add(other.paused_until, [&other] { wake_paused(other); });
    });
  }
}

void unpause_clients(Context& context) {
  for (std::uint32_t i = 0; i < context.shared.config.workers; ++i) {
    context.shared.post(i, [](Context& other) {
      other.paused_until = {};
      wake_paused(other);
    });
  }
}

// WATCH, or a RESP3 subscription, holds a connection: it follows the session to its new database
// or RESP version, and is not given back afterwards.
void move_pinned(Context& context, Session& session) {
  if (session.pinned.connection == nullptr) {
    return;
  }
  const auto tell = [&](std::string_view command, std::uint32_t value) {
    const std::string number = std::to_string(value);
    const std::array<std::string_view, 2> arguments{command, number};
    std::string request;
    resp::append_request(request, arguments);
    send_unseen(context, *session.pinned.connection, request);
  };
  tell("HELLO", static_cast<std::uint32_t>(session.state.version));
  tell("SELECT", session.state.db);
  session.pinned.dirty = true;
}

Step gather_step(Context& context, Session& session, const LocalResult& result) {
  switch (result.action) {
    case LocalAction::ClientList:
      return gather_client_list(context, session, result.filter);
    case LocalAction::ClientKill:
      return gather_client_kill(context, session, result.filter);
    case LocalAction::ClientUnblock:
      return gather_client_unblock(
          context, session, static_cast<std::uint64_t>(result.number), result.flag);
    default:
      return gather_slowlog(context, session, result.text, result.number);
  }
}

void note_ignored_secret(Context& context, const LocalResult& result, const CommandSpec& row) {
  const bool ignored = result.flag && (row.name == "auth" || row.name == "hello");
  if (!ignored) {
    return;
  }
  if (context.runtime.metrics.auth_ignored.value() == 0) {
    base::log_info("session",
                   "a client sent AUTH on a listener without `users:`; its secret is ignored "
                   "(auth: reject on the listener refuses instead); said once");
  }
  context.runtime.metrics.auth_ignored.add();
}

Step act(Context& context,
         Session& session,
         const CommandSpec& row,
         const resp::Request& request,
         const LocalResult& result) {
  switch (result.action) {
    case LocalAction::Reply:
      note_ignored_secret(context, result, row);
      return answer(session, result.reply);
    case LocalAction::Quit:
      session.answer(result.reply);
      session.close_after_replies(metrics::CloseReason::Client);
      return Step::Done;
    case LocalAction::Reset:
      reset_session(context, session);
      return answer(session, result.reply);
    case LocalAction::Select:
      return select_database(context, session, result.number);
    case LocalAction::Monitor:
      return context.shared.config.upstream.allow_monitor
                 ? handle_pinned(context, session, row, request)
                 : start_monitor(context, session, result.reply);
    case LocalAction::ClientPause:
      pause_clients(context, result);
      return answer(session, result.reply);
    case LocalAction::ClientUnpause:
      unpause_clients(context);
      return answer(session, result.reply);
    case LocalAction::ToPinned:
      return handle_pinned(context, session, row, request);
    case LocalAction::ToUpstream:
      return ask_upstream(context, session, row, request, result.reply);
    case LocalAction::Pannier:
      if (is_cache_command(result.text)) {
        return run_cache_command(context, session, result.text, request.arguments);
      }
      return answer(session, pannier_command(context, session, result.text, request.arguments));
    case LocalAction::Throttle:
      return send_throttle(context, session, row, request);
    case LocalAction::ClientList:
    case LocalAction::ClientKill:
    case LocalAction::ClientUnblock:
    case LocalAction::Slowlog:
      return gather_step(context, session, result);
  }
  return Step::Done;
}

}  // namespace

Step handle_local(Context& context,
                  Session& session,
                  const CommandSpec& row,
                  const resp::Request& request) {
  if (changes_lanes(row) && session.in_flight() > 0) {
    return wait(session, Waiting::Order);
  }
  ServerFacts facts;
  facts.version = context.topology->server_version;
  facts.databases = context.topology->databases;
  facts.users = &context.shared.config.users;
  facts.auth = session.listener().auth;
  facts.now = context.runtime.now;
  const std::uint32_t db = session.state.db;
  const resp::Version version = session.state.version;
  const LocalResult result = run_local(row, request.arguments, session.state, facts);
  const Step step = act(context, session, row, request, result);
  if (session.state.db != db || session.state.version != version) {
    move_pinned(context, session);
  }
  if (step == Step::Done) {
    context.runtime.metrics.local_duration.observe({});
  }
  return step;
}

}  // namespace pannier::proxy
