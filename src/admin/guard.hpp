#pragma once

#include "pannier/admin/http_server.hpp"
#include "pannier/base/address.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pannier::admin {

// Who may talk to the admin port. Pure.
struct Guard {
  base::Endpoint address;  // where the port listens, as configured
  std::string token;       // empty: none is asked for

  // The refusal, or nothing when the request may go on.
  [[nodiscard]] std::optional<Response> operator()(const Request& request) const;
};

// In a time that depends on the lengths only.
[[nodiscard]] bool equals_in_constant_time(std::string_view a, std::string_view b);

// The host in a Host header: no port, no brackets, lower case. Empty when it makes no sense.
[[nodiscard]] std::string host_of(std::string_view header);

}  // namespace pannier::admin
