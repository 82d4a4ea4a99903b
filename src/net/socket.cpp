#include "pannier/net/socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace pannier::net {
namespace {

constexpr int kSendBuffer =
    256 * 1024;                  // bytes; a slow client must not hide megabytes in the kernel
constexpr int kBacklog = 16384;  // the kernel makes it net.core.somaxconn, if that is less

void set_option(int descriptor, int level, int name, int value) {
  ::setsockopt(descriptor, level, name, &value, sizeof(value));
}

// When the kernel gives a silent peer up. Keepalive is for idle connections, the user timeout for
// those with unacknowledged bytes, on which keepalive does not run; it bounds both.
struct PeerTimes {
  int keep_idle;      // seconds
  int keep_interval;  // seconds
  int keep_count;     // probes
  int user_timeout_ms;
};

// A dead zone sends no RST: 10 s in all.
constexpr PeerTimes kUpstream{5, 2, 2, 10'000};
// Clients are many and near. The user timeout also ends a client that lives but does not read, so
// it is longer than any pause that Pannier itself forgives (timeouts.slow).
constexpr PeerTimes kDownstream{30, 10, 3, 60'000};

void set_tcp_options(int descriptor, const PeerTimes& times) {
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, times.keep_idle);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, times.keep_interval);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, times.keep_count);
  set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, times.user_timeout_ms);
}

bool somebody_listens(const base::SocketAddress& address) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answered =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0;
  ::close(probe);
  return answered;
}

base::SocketAddress resolve_to_listen(const base::Endpoint& endpoint, std::string& reason) {
  if (endpoint.is_unix()) {
    auto address = base::SocketAddress::from_unix_path(endpoint.unix_path);
    if (address.length == 0) {
      reason = "the path is longer than 107 bytes";
    }
    return address;
  }
  auto address = base::SocketAddress::from_ip(endpoint.host, endpoint.port);
  if (address.length != 0) {
    return address;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) {
    reason = std::string("the name does not resolve: ") + ::gai_strerror(error);
    return {};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);
  base::SocketAddress out;
  out.length = found->ai_addrlen;
  std::copy_n(reinterpret_cast<const char*>(found->ai_addr),
              found->ai_addrlen,
              reinterpret_cast<char*>(&out.storage));
  return out;
}

int refuse(int descriptor, std::string& reason) {
  reason = errno_text(errno);
  ::close(descriptor);
  return -1;
}

}  // namespace

std::string errno_text(int error) {
  return std::system_category().message(error);
}

int start_connect(const base::SocketAddress& address, int& error) {
  const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    error = errno;
    return -1;
  }
  if (address.family() != AF_UNIX) {
    set_tcp_options(descriptor, kUpstream);
  }
  const auto* target = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::connect(descriptor, target, address.length) != 0 && errno != EINPROGRESS) {
    error = errno;
    ::close(descriptor);
    return -1;
  }
  return descriptor;
}

int connect_error(int descriptor) {
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

int listen_on(const base::Endpoint& endpoint,
              std::optional<std::uint32_t> mode,
              std::string& reason) {
  const auto address = resolve_to_listen(endpoint, reason);
  if (address.length == 0) {
    return -1;
  }
  if (endpoint.is_unix() && somebody_listens(address)) {
    reason = "another process listens on it";
    return -1;
  }
  const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    reason = errno_text(errno);
    return -1;
  }
  if (endpoint.is_unix()) {
    ::unlink(endpoint.unix_path.c_str());
  } else {
    set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address.storage), address.length) !=
      0) {
    return refuse(descriptor, reason);
  }
  if (mode && endpoint.is_unix() && ::chmod(endpoint.unix_path.c_str(), *mode) != 0) {
    return refuse(descriptor, reason);
  }
  if (::listen(descriptor, kBacklog) != 0) {
    return refuse(descriptor, reason);
  }
  return descriptor;
}

Accepted accept_from(int listener) {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  Accepted out;
  out.descriptor = ::accept4(
      listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (out.descriptor < 0) {
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED;
    out.error = later ? 0 : errno;
    return out;
  }
  if (peer.ss_family != AF_UNIX) {
    set_tcp_options(out.descriptor, kDownstream);
  }
  set_option(out.descriptor, SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  return out;
}

base::SocketAddress local_address(int descriptor) {
  base::SocketAddress out;
  out.length = sizeof(out.storage);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&out.storage), &out.length);
  return out;
}

base::SocketAddress peer_address(int descriptor) {
  base::SocketAddress out;
  out.length = sizeof(out.storage);
  ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&out.storage), &out.length);
  return out;
}

}  // namespace pannier::net
