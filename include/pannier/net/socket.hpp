#pragma once

#include "pannier/base/address.hpp"

#include <cstdint>
#include <optional>
#include <string>

// Non-blocking sockets with the options that a proxy wants. All functions are thread-safe.
namespace pannier::net {

// Starts a connection: TCP_NODELAY, keepalive and TCP_USER_TIMEOUT set. Returns the descriptor, or
// -1 with errno in `error`. Writable means connected or failed: see `connect_error`.
[[nodiscard]] int start_connect(const base::SocketAddress& address, int& error);
// The result of a connect once the socket is writable: 0 or an errno.
[[nodiscard]] int connect_error(int descriptor);

// A listening socket (backlog 1024). A Unix path that is left over from a dead process is replaced;
// one that a living process listens on is not. Returns -1 with the reason in `reason`.
[[nodiscard]] int listen_on(const base::Endpoint& endpoint,
                            std::optional<std::uint32_t> mode,
                            std::string& reason);

struct Accepted {
  int descriptor = -1;  // -1: nothing to accept now, or `error`
  int error = 0;
};

[[nodiscard]] Accepted accept_from(int listener);
[[nodiscard]] base::SocketAddress local_address(int descriptor);
[[nodiscard]] base::SocketAddress peer_address(int descriptor);

// "connection refused (111)"
[[nodiscard]] std::string errno_text(int error);

}  // namespace pannier::net
