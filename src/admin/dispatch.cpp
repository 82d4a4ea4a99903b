#include "dispatch.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"

#include <algorithm>

namespace pannier::admin {
namespace {

Response call(const Route& route, const Request& request) {
  try {
    return route.handler(request);
  } catch (const std::exception& e) {
    base::log_error("admin", "{} {}: {}", route.method, route.path, e.what());
    return text_response(500, "internal error; the log says more");
  }
}

std::size_t count_of(const Request& request, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count_if(
      request.headers,
      [name](const auto& header) { return base::equals_ignoring_case(header.first, name); }));
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

Response dispatch(const RouteTable& table, Request request) {
  if (!request.path.starts_with('/') || count_of(request, "Host") > 1) {
    return text_response(400, "a path and at most one Host are wanted");
  }
  if (request.method == "HEAD") {
    request.method = "GET";
  }
  if (table.guard) {
    if (auto answer = table.guard(request)) {
      return std::move(*answer);
    }
  }
  std::string allowed;
  for (const auto& route : table.routes) {
    if (route.path != request.path) {
      continue;
    }
    if (route.method == request.method) {
      return call(route, request);
    }
    allowed += (allowed.empty() ? "" : ", ") + (route.method == "GET" ? "GET, HEAD" : route.method);
  }
  if (allowed.empty()) {
    return text_response(404, "there is no such page");
  }
  auto response = text_response(405, "allowed here: " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace pannier::admin
