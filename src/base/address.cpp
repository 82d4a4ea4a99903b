#include "pannier/base/address.hpp"

#include "pannier/base/bytes.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace pannier::base {
namespace {

template <typename T>
T view_as(const sockaddr_storage& storage) {
  T out{};
  std::memcpy(&out, &storage, sizeof(out));
  return out;
}

template <typename T>
SocketAddress made_of(const T& address, socklen_t length) {
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof(address));
  out.length = length;
  return out;
}

}  // namespace

std::string SocketAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  switch (family()) {
    case AF_INET: {
      const auto v4 = view_as<sockaddr_in>(storage);
      inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
      return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    case AF_INET6: {
      const auto v6 = view_as<sockaddr_in6>(storage);
      inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
      return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    case AF_UNIX: {
      const auto local = view_as<sockaddr_un>(storage);
      return "unix:" + std::string(static_cast<const char*>(local.sun_path));
    }
    default:
      return "unknown";
  }
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
}

std::uint64_t SocketAddress::hash() const {
  // FNV-1a over the text form, which equal addresses share whatever padding they carry.
  std::uint64_t out = 0xCBF29CE484222325ULL;
  for (const char c : to_string()) {
    out = (out ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return out == 0 ? 1 : out;
}

SocketAddress SocketAddress::from_ip(std::string_view host, std::uint16_t port) {
  const std::string text(host);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return made_of(v4, sizeof(v4));
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return made_of(v6, sizeof(v6));
  }
  return {};
}

SocketAddress SocketAddress::from_unix_path(std::string_view path) {
  sockaddr_un local{};
  if (path.size() >= sizeof(local.sun_path)) {
    return {};
  }
  local.sun_family = AF_UNIX;
  path.copy(static_cast<char*>(local.sun_path), path.size());
  return made_of(local, sizeof(local));
}

bool Endpoint::is_loopback() const {
  const bool v4_loopback =
      host.starts_with("127.") && SocketAddress::from_ip(host, port).length != 0;
  return is_unix() || host == "localhost" || v4_loopback || host == "::1";
}

std::string Endpoint::to_string() const {
  if (is_unix()) {
    return "unix:" + unix_path;
  }
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::parse(std::string_view text, Endpoint& out) {
  if (text.starts_with("unix:")) {
    const auto path = text.substr(5);
    if (path.empty()) {
      return false;
    }
    out = Endpoint{"", 0, std::string(path)};
    return true;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return false;
  }
  const auto port = parse_int(text.substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) {
    return false;
  }
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return false;
  }
  if (host.empty()) {
    return false;
  }
  out = Endpoint{std::string(host), static_cast<std::uint16_t>(*port), ""};
  return true;
}

}  // namespace pannier::base
