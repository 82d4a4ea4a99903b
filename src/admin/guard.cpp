#include "guard.hpp"

#include "pannier/base/bytes.hpp"

#include "dispatch.hpp"

namespace pannier::admin {
namespace {

constexpr std::string_view kBearer = "bearer ";

bool has_token(const Request& request, std::string_view token) {
  const auto header = request.header("Authorization");
  if (header.size() < kBearer.size() ||
      !base::equals_ignoring_case(header.substr(0, kBearer.size()), kBearer)) {
    return false;
  }
  return equals_in_constant_time(header.substr(kBearer.size()), token);
}

// "127.evil.example" is a name that anyone may own, so only real addresses count.
bool is_loopback_address(const std::string& host) {
  const bool numeric = base::SocketAddress::from_ip(host, 1).length != 0;
  return numeric && (host.starts_with("127.") || host == "::1");
}

Response unauthorized() {
  auto response = text_response(401, "a token is wanted: Authorization: Bearer TOKEN");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

bool equals_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  // volatile: or the compiler may leave the loop at the first difference.
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

std::string host_of(std::string_view header) {
  if (header.starts_with('[')) {
    const auto end = header.find(']');
    return end == std::string_view::npos ? std::string()
                                         : base::to_lower(header.substr(1, end - 1));
  }
  return base::to_lower(header.substr(0, header.find(':')));
}

std::optional<Response> Guard::operator()(const Request& request) const {
  if (!token.empty()) {
    if (!has_token(request, token)) {
      return unauthorized();
    }
  } else if (!address.is_unix()) {
    // Without a token only the network keeps others out, and a web page whose name is bound to
    // 127.0.0.1 is on this side of it. Its Host header still gives it away.
    const auto host = host_of(request.header("Host"));
    const bool ours = host == "localhost" || is_loopback_address(host) ||
                      (!host.empty() && host == base::to_lower(address.host));
    if (!ours) {
      return text_response(403, "this Host is not served here; use 127.0.0.1 or localhost");
    }
  }
  if (request.method != "GET" && request.header("X-Pannier") != "1") {
    return text_response(403, "actions want the header X-Pannier: 1");
  }
  return std::nullopt;
}

}  // namespace pannier::admin
