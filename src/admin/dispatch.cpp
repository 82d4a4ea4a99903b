#include "dispatch.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"

#include <algorithm>

namespace pannier::admin {
namespace {

void call(const Route& route, const Request& request, const Answer& answer) {
  try {
    if (route.late) {
      route.late(request, answer);
    } else {
      answer(route.handler(request));
    }
  } catch (const std::exception& e) {
    base::log_error("admin", "{} {}: {}", route.method, route.path, e.what());
    answer(text_response(500, "internal error; the log says more"));
  }
}

std::size_t count_of(const Request& request, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count_if(
      request.headers,
      [name](const auto& header) { return base::equals_ignoring_case(header.first, name); }));
}

// There is no such route; `allowed`: the methods of those with the same path.
Response unknown_route(const std::string& allowed) {
  if (allowed.empty()) {
    return text_response(404, "there is no such page");
  }
  auto response = text_response(405, "allowed here: " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [own, value] : headers) {
    if (base::equals_ignoring_case(own, name)) {
      return value;
    }
  }
  return {};
}

std::optional<std::string_view> Request::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

Response text_response(unsigned status, std::string_view text) {
  Response out;
  out.status = status;
  out.body = std::string(text) + "\n";
  return out;
}

void dispatch(const RouteTable& table, Request request, const Answer& answer) {
  if (!request.path.starts_with('/') || count_of(request, "Host") > 1) {
    answer(text_response(400, "a path and at most one Host are wanted"));
    return;
  }
  if (request.method == "HEAD") {
    request.method = "GET";
  }
  if (table.guard) {
    if (auto refusal = table.guard(request)) {
      answer(std::move(*refusal));
      return;
    }
  }
  std::string allowed;
  for (const auto& route : table.routes) {
    if (route.path != request.path) {
      continue;
    }
    if (route.method == request.method) {
      call(route, request, answer);
      return;
    }
    allowed += (allowed.empty() ? "" : ", ") + (route.method == "GET" ? "GET, HEAD" : route.method);
  }
  answer(unknown_route(allowed));
}

}  // namespace pannier::admin
