#include "pannier/proxy/local_commands.hpp"

#include "introspection.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

// The first two stages of a request: what it is, and whether it may be asked at all.
namespace pannier::proxy {
namespace {

using command::CommandSpec;
using command::Handling;

// For a command that neither the table nor the server knows: the server words its own refusal.
constexpr CommandSpec kUnknownRow{
    "unknown", -1, 0, command::KeyRule::None, 0, 0, 0, Handling::Forward};

// Commands that only make sense on a connection of one's own; with wrong arguments the server would
// refuse them, a newer one perhaps not, so Pannier does it.
bool needs_right_arity(const CommandSpec& row) {
  return row.handling != Handling::Forward;
}

}  // namespace

const CommandSpec* identify_learned(Context& context,
                                    Session& session,
                                    const resp::Request& request) {
  const auto known = context.learned.find(request.arguments[0], context.runtime.now);
  if (known.status == command::LearnedCommands::Status::Known) {
    return known.row;
  }
  if (known.status == command::LearnedCommands::Status::Unknown ||
      !context.topology->has_primary()) {
    return &kUnknownRow;
  }
  const route::NodeId primary = context.topology->primary;
  upstream::Connection* lane =
      context.lanes.pick({primary, 0, resp::Version::Resp2}, session.ref().index, false);
  if (lane == nullptr) {
    return &kUnknownRow;
  }
  ask_about_command(context, session, *lane, request.arguments[0]);
  session.wait_for(Waiting::Learning);
  return nullptr;
}

bool refused(Context& context,
             Session& session,
             const CommandSpec& row,
             const resp::Request& request) {
  if (needs_auth(row, session.state)) {
    refuse(context, session, metrics::Refusal::Auth, "NOAUTH Authentication required.");
    return true;
  }
  if (row.handling == Handling::Refused) {
    refuse(context,
           session,
           metrics::Refusal::Denied,
           fmt::format("NOPERM [pannier rule=replication] '{}' would take over a shared connection",
                       row.name));
    return true;
  }
  if (needs_right_arity(row) && !session.pinned.multi &&
      !command::arity_fits(row, request.arguments.size())) {
    context.text.clear();
    append_wrong_arity(context.text, row);
    session.answer(context.text);
    return true;
  }
  return false;
}

}  // namespace pannier::proxy
