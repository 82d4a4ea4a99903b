#pragma once

#include "pannier/proxy/ttl_state.hpp"

#include <string>
#include <string_view>

namespace pannier::proxy {

// The reply of SET NX as SETNX's; others stay.
[[nodiscard]] std::string_view setnx_reply(std::string_view bytes);

// Adds the next part of EXEC's reply as the client has to see it to `out`: without the elements of
// Pannier's own, and with those of SETNX as they should be. Nothing but a SETNX's element is held
// back. Parts may end anywhere; an error or a null reply stays as it is. One that has another
// number of elements than were queued becomes an error.
void map_exec_part(ExecReply& reply, std::string_view part, std::string& out);

}  // namespace pannier::proxy
