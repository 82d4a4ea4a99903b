#pragma once

#include "pannier/admin/http_server.hpp"

#include <string_view>

namespace pannier::admin {

// A short text, with the line's end that terminals want.
[[nodiscard]] Response text_response(unsigned status, std::string_view text);

// Guard, then the route of method and path; 404, 405 or, when a handler throws, 500 otherwise.
void dispatch(const RouteTable& table, Request request, const Answer& answer);

}  // namespace pannier::admin
