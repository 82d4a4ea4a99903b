#pragma once

#include "request_handler.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// CL.THROTTLE, redis-cell's command, for servers that take no modules: a script on the primary, so
// that all sidecars share one state. For the session it is a write to its key; what is sent, and
// what the reply says, is told here (local_handlers.hpp: what its words must be).
namespace pannier::proxy {

[[nodiscard]] bool is_throttle(const command::CommandSpec& row);

// Sets what is to be sent and what becomes of the reply. REQUIRES: run_throttle found no fault in
// the arguments.
void prepare_throttle(Context& context, const upstream::Connection& connection, Outgoing& out);

// The script's request (limit/gcra_script.hpp), for CL.THROTTLE and for limits that all sidecars
// share. The first one on a connection brings the script itself, which the server keeps.
void append_gcra_request(Context& context,
                         const upstream::Connection& connection,
                         std::string_view key,
                         const limit::Rate& rate,
                         std::int64_t quantity);
// The five integers of its reply; empty for anything else.
[[nodiscard]] std::optional<std::array<std::int64_t, 5>> parse_gcra_reply(std::string_view reply);

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
