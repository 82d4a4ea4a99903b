#include "relay.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <limits>
#include <list>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeld = 256UL * 1024;  // bytes per direction that wait to be written
constexpr std::size_t kNoCut = std::numeric_limits<std::size_t>::max();

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void no_delay(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

struct Chunk {
  Clock::time_point due;
  std::string bytes;
};

struct Direction {
  std::deque<Chunk> chunks;
  std::size_t held = 0;
  bool ended = false;

  void pop(std::size_t n) {
    held -= n;
    chunks.front().bytes.erase(0, n);
    if (chunks.front().bytes.empty()) {
      chunks.pop_front();
    }
  }
};

struct Link {
  int near = -1;  // who connected
  int far = -1;   // the target
  Direction requests;
  Direction replies;
  bool broken = false;

  [[nodiscard]] bool is_over() const {
    return requests.ended && replies.ended && requests.chunks.empty() && replies.chunks.empty();
  }
};

void close_with_reset(int descriptor) {
  const linger now{1, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(descriptor);
}

}  // namespace

struct Relay::Impl {
  void run();
  void turn();
  void accept_one();
  void receive(Link& link, bool replies);
  void transmit(Link& link, bool replies);
  void add_wishes(Link& link, std::vector<pollfd>& wishes, int& timeout) const;

  int target = 0;
  int listener = -1;
  int port = 0;
  std::list<Link> links;
  std::atomic<std::int64_t> delay_ms{0};
  std::atomic<bool> stall_replies{false};
  std::atomic<bool> stall_requests{false};
  std::atomic<bool> refuse{false};
  std::atomic<bool> drop{false};
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> left{kNoCut};  // bytes of replies until the cut
  std::atomic<std::size_t> count{0};
  std::atomic<std::size_t> relayed{0};
  std::thread thread;
};

void Relay::Impl::run() {
  while (!stopping) {
    if (drop.exchange(false)) {
      for (Link& link : links) {
        link.broken = true;
      }
    }
    for (auto link = links.begin(); link != links.end();) {
      if (!link->broken && !link->is_over()) {
        ++link;
        continue;
      }
      close_with_reset(link->near);
      close_with_reset(link->far);
      link = links.erase(link);
    }
    count = links.size();
    turn();
  }
  for (const Link& link : links) {
    ::close(link.near);
    ::close(link.far);
  }
}

// Two entries for each link, behind that of the listener.
void Relay::Impl::add_wishes(Link& link, std::vector<pollfd>& wishes, int& timeout) const {
  const auto now = Clock::now();
  short near = 0;
  short far = 0;
  if (!link.requests.ended && link.requests.held < kHeld && !stall_requests) {
    near |= POLLIN;
  }
  if (!link.replies.ended && link.replies.held < kHeld && !stall_replies) {
    far |= POLLIN;
  }
  if (!link.requests.chunks.empty()) {
    far |= POLLOUT;
  }
  if (!link.replies.chunks.empty()) {
    const auto wait = link.replies.chunks.front().due - now;
    if (wait <= 0ms) {
      near |= POLLOUT;
    } else {
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count() + 1;
      timeout = std::min(timeout, static_cast<int>(ms));
    }
  }
  // Without a wish no end is reported either: what is stalled stays as it is.
  wishes.push_back({near == 0 ? -1 : link.near, near, 0});
  wishes.push_back({far == 0 ? -1 : link.far, far, 0});
}

void Relay::Impl::turn() {
  std::vector<pollfd> wishes{{listener, POLLIN, 0}};
  int timeout = 10;
  for (Link& link : links) {
    add_wishes(link, wishes, timeout);
  }
  if (::poll(wishes.data(), wishes.size(), timeout) <= 0) {
    return;
  }
  std::size_t i = 1;
  for (Link& link : links) {
    const short near = wishes[i].revents;
    const short far = wishes[i + 1].revents;
    i += 2;
    if ((near & (POLLIN | POLLHUP | POLLERR)) != 0 && (wishes[i - 2].events & POLLIN) != 0) {
      receive(link, false);
    }
    if ((far & (POLLIN | POLLHUP | POLLERR)) != 0 && (wishes[i - 1].events & POLLIN) != 0) {
      receive(link, true);
    }
    if ((near & POLLOUT) != 0) {
      transmit(link, true);
    }
    if ((far & POLLOUT) != 0) {
      transmit(link, false);
    }
  }
  if ((wishes[0].revents & POLLIN) != 0) {
    accept_one();
  }
}

void Relay::Impl::accept_one() {
  const int near = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (near < 0) {
    return;
  }
  const int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(target);
  if (refuse || ::connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(far);
    close_with_reset(near);
    return;
  }
  ::fcntl(far, F_SETFL, O_NONBLOCK);
  no_delay(near);
  no_delay(far);
  links.push_back({near, far, {}, {}, false});
}

void Relay::Impl::receive(Link& link, bool replies) {
  if (replies ? stall_replies : stall_requests) {
    return;  // since poll() was called
  }
  std::array<char, 64 * 1024> buffer;
  Direction& direction = replies ? link.replies : link.requests;
  const ssize_t n = ::recv(replies ? link.far : link.near, buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EAGAIN) {
    return;
  }
  if (n <= 0) {
    direction.ended = true;
    if (n < 0) {
      link.broken = true;
    } else if (direction.chunks.empty()) {
      ::shutdown(replies ? link.near : link.far, SHUT_WR);
    }
    return;
  }
  const auto due = Clock::now() + (replies ? std::chrono::milliseconds(delay_ms) : 0ms);
  direction.chunks.push_back({due, std::string(buffer.data(), static_cast<std::size_t>(n))});
  direction.held += static_cast<std::size_t>(n);
}

void Relay::Impl::transmit(Link& link, bool replies) {
  Direction& direction = replies ? link.replies : link.requests;
  const int to = replies ? link.near : link.far;
  while (!direction.chunks.empty() && (!replies || direction.chunks.front().due <= Clock::now())) {
    const std::string& bytes = direction.chunks.front().bytes;
    const std::size_t allowed = replies ? std::min(bytes.size(), left.load()) : bytes.size();
    const ssize_t n = ::send(to, bytes.data(), allowed, MSG_NOSIGNAL);
    if (n < 0) {
      link.broken = errno != EAGAIN;
      return;
    }
    const auto sent = static_cast<std::size_t>(n);
    direction.pop(sent);
    if (!replies) {
      continue;
    }
    relayed += sent;
    if (left != kNoCut && (left -= sent) == 0) {
      left = kNoCut;
      link.broken = true;
      return;
    }
  }
  if (direction.ended && direction.chunks.empty()) {
    ::shutdown(to, SHUT_WR);
  }
}

Relay::Relay(int target_port) : impl_(std::make_unique<Impl>()) {
  impl_->target = target_port;
  impl_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof(address);
  if (::bind(impl_->listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(impl_->listener, 128) != 0 ||
      ::getsockname(impl_->listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::system_error(errno, std::generic_category(), "relay");
  }
  impl_->port = ntohs(address.sin_port);
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Relay::~Relay() {
  impl_->stopping = true;
  impl_->thread.join();
  ::close(impl_->listener);
}

int Relay::port() const {
  return impl_->port;
}

void Relay::delay_replies(std::chrono::milliseconds delay) {
  impl_->delay_ms = delay.count();
}

void Relay::stall_replies(bool on) {
  impl_->stall_replies = on;
}

void Relay::stall_requests(bool on) {
  impl_->stall_requests = on;
}

void Relay::cut_after(std::size_t bytes) {
  impl_->left = bytes;
}

void Relay::drop_all() {
  impl_->drop = true;
}

void Relay::refuse(bool on) {
  impl_->refuse = on;
}

std::size_t Relay::connections() const {
  return impl_->count;
}

std::size_t Relay::relayed_replies() const {
  return impl_->relayed;
}

}  // namespace pannier::test
