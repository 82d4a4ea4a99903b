#include "pannier/admin/health_client.hpp"

#include "pannier/base/clock.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

namespace pannier::admin {
namespace {

constexpr std::chrono::seconds kBound{2};
constexpr std::size_t kMaxAnswer = 4096;  // bytes; what is behind them does not matter

class Socket {
 public:
  explicit Socket(int family)
      : descriptor_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}

  ~Socket() { ::close(descriptor_); }

  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string errno_text(int error) {
  return std::system_category().message(error);
}

// Empty when the socket can be read or written by `deadline`, else the reason.
std::string wait_for(const Socket& socket, short events, base::TimePoint deadline) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(deadline - base::Clock::now()).count();
  pollfd one{socket.descriptor(), events, 0};
  const int ready = ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
  if (ready > 0) {
    return {};
  }
  return ready == 0 ? "no answer within 2 s" : errno_text(errno);
}

base::SocketAddress address_of(const base::Endpoint& endpoint, std::string& reason) {
  if (endpoint.is_unix()) {
    return base::SocketAddress::from_unix_path(endpoint.unix_path);
  }
  std::string host = endpoint.host;
  if (host == "0.0.0.0") {
    host = "127.0.0.1";
  } else if (host == "::") {
    host = "::1";
  }
  const auto numeric = base::SocketAddress::from_ip(host, endpoint.port);
  if (numeric.length != 0) {
    return numeric;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) {
    reason = ::gai_strerror(error);
    return {};
  }
  base::SocketAddress out;
  out.length = found->ai_addrlen;
  std::copy_n(reinterpret_cast<const char*>(found->ai_addr),
              found->ai_addrlen,
              reinterpret_cast<char*>(&out.storage));
  ::freeaddrinfo(found);
  return out;
}

std::string connect(const Socket& socket,
                    const base::SocketAddress& address,
                    base::TimePoint deadline) {
  const auto* target = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::connect(socket.descriptor(), target, address.length) == 0) {
    return {};
  }
  if (errno != EINPROGRESS) {
    return errno_text(errno);
  }
  auto reason = wait_for(socket, POLLOUT, deadline);
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error != 0 ? errno_text(error) : reason;
}

// The whole answer, up to the end of the connection. Sets `reason` when there is none.
std::string ask(const Socket& socket, base::TimePoint deadline, std::string& reason) {
  constexpr std::string_view kRequest =
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  // So few bytes fit into the buffer of a socket that was just connected.
  const auto sent = ::send(socket.descriptor(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(kRequest.size())) {
    reason = errno_text(errno);
    return {};
  }
  std::string answer;
  std::array<char, 1024> piece{};
  while (answer.size() < kMaxAnswer) {
    reason = wait_for(socket, POLLIN, deadline);
    if (!reason.empty()) {
      return {};
    }
    const auto got = ::recv(socket.descriptor(), piece.data(), piece.size(), 0);
    if (got < 0) {
      reason = errno_text(errno);
      return {};
    }
    if (got == 0) {
      break;
    }
    answer.append(piece.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

// The first line of the body, for people.
std::string_view body_line(std::string_view answer) {
  const auto header_end = answer.find("\r\n\r\n");
  const auto body =
      header_end == std::string_view::npos ? std::string_view() : answer.substr(header_end + 4);
  return body.substr(0, body.find('\n'));
}

std::string unhealthy_because(const base::Endpoint& probe) {
  const auto deadline = base::Clock::now() + kBound;
  std::string reason;
  const auto address = address_of(probe, reason);
  if (address.length == 0) {
    return reason.empty() ? "not an address" : reason;
  }
  const Socket socket(address.family());
  reason = connect(socket, address, deadline);
  if (!reason.empty()) {
    return reason;
  }
  const auto answer = ask(socket, deadline, reason);
  if (!reason.empty()) {
    return reason;
  }
  if (answer.starts_with("HTTP/1.1 200 ")) {
    return {};
  }
  return answer.starts_with("HTTP/1.1 503 ") ? std::string(body_line(answer))
                                             : "something else than Pannier answered";
}

}  // namespace

int run_health(const base::Endpoint& probe) {
  const auto reason = unhealthy_because(probe);
  if (reason.empty()) {
    std::puts("ok");
    return 0;
  }
  std::printf("unhealthy: %s: %s\n", probe.to_string().c_str(), reason.c_str());
  return 1;
}

}  // namespace pannier::admin
