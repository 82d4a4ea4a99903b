#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace pannier::base {

// A resolved socket address (IPv4, IPv6 or Unix path): a value, no ownership.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] int family() const { return storage.ss_family; }

  // "127.0.0.1:6379", "[::1]:6379", "unix:/path"
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool operator==(const SocketAddress& other) const;
  // Equal addresses have equal hashes; never 0.
  [[nodiscard]] std::uint64_t hash() const;

  // Numeric host only (no look-up); length 0 when `host` is not an address.
  static SocketAddress from_ip(std::string_view host, std::uint16_t port);
  // REQUIRES: path shorter than sockaddr_un's limit (107 bytes); length 0 otherwise.
  static SocketAddress from_unix_path(std::string_view path);
};

// Where something listens or lives, as configured: "host:port" (IPv6 in brackets) or "unix:/path".
struct Endpoint {
  std::string host;  // name or address; empty for a Unix socket
  std::uint16_t port = 0;
  std::string unix_path;  // empty for TCP

  [[nodiscard]] bool is_unix() const { return !unix_path.empty(); }

  // True for a Unix socket, "localhost", 127.0.0.0/8 and ::1.
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool operator==(const Endpoint&) const = default;
  // False when `text` is neither host:port nor unix:path; then `out` is untouched.
  static bool parse(std::string_view text, Endpoint& out);
};

}  // namespace pannier::base
