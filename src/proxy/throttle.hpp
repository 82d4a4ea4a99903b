#pragma once

#include "request_handler.hpp"

#include <string>
#include <string_view>

// CL.THROTTLE, redis-cell's command, for servers that take no modules: a script on the primary, so
// that all sidecars share one state. For the session it is a write to its key; what is sent, and
// what the reply says, is told here (local_handlers.hpp: what its words must be).
namespace pannier::proxy {

[[nodiscard]] bool is_throttle(const command::CommandSpec& row);

// Sets what is to be sent and what becomes of the reply. The first one on a connection brings the
// script itself, which the server keeps. REQUIRES: run_throttle found no fault in the arguments.
void prepare_throttle(Context& context, const upstream::Connection& connection, Outgoing& out);

// The server has forgotten the script (SCRIPT FLUSH): sends the request once more, with it, on the
// same connection. True: the reply was that, and the request is still in flight. It did not run
// before; what its session has sent behind it did.
[[nodiscard]] bool send_with_script(Context& context,
                                    upstream::Connection& connection,
                                    upstream::SlotIndex index,
                                    std::string_view reply);

// The client's reply: times in whole seconds. Anything but the script's five integers stays.
[[nodiscard]] std::string throttle_reply(std::string_view reply);

}  // namespace pannier::proxy
