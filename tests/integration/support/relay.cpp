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
#include <cerrno>
#include <deque>
#include <limits>
#include <list>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
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
  bool ended = false;  // nothing more is received
  bool told = false;   // the end was passed on

  void pop(std::size_t n) {
    held -= n;
    chunks.front().bytes.erase(0, n);
    if (chunks.front().bytes.empty()) {
      chunks.pop_front();
    }
  }
};

struct Link {
  std::size_t number = 0;
  int near = -1;  // who connected
  int far = -1;   // the target
  Direction requests;
  Direction replies;
  bool broken = false;  // to be closed with a reset
  bool closed = false;  // to be closed in good order
  bool silent = false;  // passes on nothing any more

  [[nodiscard]] bool is_over() const { return broken || closed || (requests.told && replies.told); }

  void end(Relay::Ending ending) {
    broken = broken || ending == Relay::Ending::Reset;
    closed = closed || ending == Relay::Ending::Close;
    silent = silent || ending == Relay::Ending::Silence;
  }
};

// What is wrong with one direction.
struct Fault {
  std::chrono::milliseconds delay{0};
  bool stalled = false;
};

void close_with_reset(int descriptor) {
  const linger now{1, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(descriptor);
}

}  // namespace

struct Relay::Impl {
  void run();
  void end_links();
  void add_wishes(const Link& link, std::vector<pollfd>& wishes, int& timeout) const;
  void serve(const std::vector<pollfd>& wishes);
  void accept_one();
  void receive(Link& link, Side side) const;
  void transmit(Link& link, Side side);

  [[nodiscard]] bool is_chosen(const Link& link) const { return !choice || choice(link.number); }

  [[nodiscard]] bool is_stalled(const Link& link, Side side) const {
    const bool stalled = partition || (side == Side::Replies ? replies : requests).stalled;
    return link.silent || (stalled && is_chosen(link));
  }

  template <typename Action>
  void locked(Action action) {
    const std::lock_guard lock(mutex);
    action();
  }

  int target = 0;
  int listener = -1;
  int port = 0;
  std::thread thread;
  mutable std::mutex mutex;  // of all that follows; not held while the thread waits
  std::list<Link> links;
  std::function<bool(std::size_t)> choice;
  Fault requests;
  Fault replies;
  bool partition = false;
  bool refuse = false;
  bool stopping = false;
  std::size_t left = kNoCut;  // bytes of replies until the cut
  Ending cut = Ending::Reset;
  std::size_t accepted = 0;
  std::size_t relayed = 0;
};

void Relay::Impl::run() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    end_links();
    std::vector<pollfd> wishes{{partition ? -1 : listener, POLLIN, 0}};
    int timeout = 10;
    for (const Link& link : links) {
      add_wishes(link, wishes, timeout);
    }
    lock.unlock();
    const int ready = ::poll(wishes.data(), wishes.size(), timeout);
    lock.lock();
    if (ready > 0) {
      serve(wishes);
    }
  }
  for (const Link& link : links) {
    ::close(link.near);
    ::close(link.far);
  }
}

void Relay::Impl::end_links() {
  for (auto link = links.begin(); link != links.end();) {
    if (!link->is_over()) {
      ++link;
    } else {
      for (const int descriptor : {link->near, link->far}) {
        if (link->broken) {
          close_with_reset(descriptor);
        } else {
          ::close(descriptor);
        }
      }
      link = links.erase(link);
    }
  }
}

// Two entries for each link, behind that of the listener.
void Relay::Impl::add_wishes(const Link& link, std::vector<pollfd>& wishes, int& timeout) const {
  const auto now = Clock::now();
  short near = 0;
  short far = 0;
  const auto add = [&](Side side, short& from, short& to) {
    const Direction& direction = side == Side::Replies ? link.replies : link.requests;
    if (is_stalled(link, side)) {
      return;
    }
    if (!direction.ended && direction.held < kHeld) {
      from |= POLLIN;
    }
    if (direction.chunks.empty()) {
      return;
    }
    const auto wait = direction.chunks.front().due - now;
    if (wait <= 0ms) {
      to |= POLLOUT;
    } else {
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count() + 1;
      timeout = std::min(timeout, static_cast<int>(ms));
    }
  };
  add(Side::Requests, near, far);
  add(Side::Replies, far, near);
  // Without a wish no end is reported either: what is stalled stays as it is.
  wishes.push_back({near == 0 ? -1 : link.near, near, 0});
  wishes.push_back({far == 0 ? -1 : link.far, far, 0});
}

void Relay::Impl::serve(const std::vector<pollfd>& wishes) {
  constexpr short kCame = POLLIN | POLLHUP | POLLERR;
  std::size_t i = 1;
  for (Link& link : links) {
    const pollfd& near = wishes[i];
    const pollfd& far = wishes[i + 1];
    i += 2;
    if ((near.revents & kCame) != 0 && (near.events & POLLIN) != 0) {
      receive(link, Side::Requests);
    }
    if ((far.revents & kCame) != 0 && (far.events & POLLIN) != 0) {
      receive(link, Side::Replies);
    }
    if ((near.revents & POLLOUT) != 0) {
      transmit(link, Side::Replies);
    }
    if ((far.revents & POLLOUT) != 0) {
      transmit(link, Side::Requests);
    }
  }
  if ((wishes[0].revents & POLLIN) != 0 && !partition) {
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
  Link link;
  link.number = ++accepted;
  link.near = near;
  link.far = far;
  links.push_back(std::move(link));
}

void Relay::Impl::receive(Link& link, Side side) const {
  if (is_stalled(link, side)) {
    return;  // since poll() was called
  }
  std::array<char, 64 * 1024> buffer;
  Direction& direction = side == Side::Replies ? link.replies : link.requests;
  const int from = side == Side::Replies ? link.far : link.near;
  const ssize_t n = ::recv(from, buffer.data(), buffer.size(), 0);
  if (n < 0) {
    link.broken = link.broken || errno != EAGAIN;
    return;
  }
  const auto delay = is_chosen(link) ? (side == Side::Replies ? replies : requests).delay : 0ms;
  // No bytes: the end, which takes its time as well.
  direction.ended = n == 0;
  direction.held += static_cast<std::size_t>(n);
  direction.chunks.push_back(
      {Clock::now() + delay, std::string(buffer.data(), static_cast<std::size_t>(n))});
}

void Relay::Impl::transmit(Link& link, Side side) {
  Direction& direction = side == Side::Replies ? link.replies : link.requests;
  const int to = side == Side::Replies ? link.near : link.far;
  const bool counted = side == Side::Replies && left != kNoCut && is_chosen(link);
  while (!is_stalled(link, side) && !direction.chunks.empty() &&
         direction.chunks.front().due <= Clock::now()) {
    const std::string& bytes = direction.chunks.front().bytes;
    if (bytes.empty()) {
      direction.chunks.clear();
      direction.told = true;
      ::shutdown(to, SHUT_WR);
      return;
    }
    const std::size_t allowed = counted ? std::min(bytes.size(), left) : bytes.size();
    const ssize_t n = ::send(to, bytes.data(), allowed, MSG_NOSIGNAL);
    if (n < 0) {
      link.broken = link.broken || errno != EAGAIN;
      return;
    }
    const auto sent = static_cast<std::size_t>(n);
    direction.pop(sent);
    relayed += side == Side::Replies ? sent : 0;
    if (counted && (left -= sent) == 0) {
      left = kNoCut;
      link.end(cut);
      return;
    }
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
  impl_->locked([this] { impl_->stopping = true; });
  impl_->thread.join();
  ::close(impl_->listener);
}

int Relay::port() const {
  return impl_->port;
}

void Relay::choose(std::function<bool(std::size_t)> choice) {
  impl_->locked([&] { impl_->choice = std::move(choice); });
}

void Relay::delay_replies(std::chrono::milliseconds delay) {
  impl_->locked([&] { impl_->replies.delay = delay; });
}

void Relay::delay_requests(std::chrono::milliseconds delay) {
  impl_->locked([&] { impl_->requests.delay = delay; });
}

void Relay::stall_replies(bool on) {
  impl_->locked([&] { impl_->replies.stalled = on; });
}

void Relay::stall_requests(bool on) {
  impl_->locked([&] { impl_->requests.stalled = on; });
}

void Relay::partition(bool on) {
  impl_->locked([&] { impl_->partition = on; });
}

void Relay::cut_after(std::size_t bytes, Ending ending) {
  impl_->locked([&] {
    impl_->left = bytes;
    impl_->cut = ending;
  });
}

void Relay::end_all(Ending ending) {
  impl_->locked([&] {
    for (Link& link : impl_->links) {
      if (impl_->is_chosen(link)) {
        link.end(ending);
      }
    }
  });
}

void Relay::half_close(Side side) {
  impl_->locked([&] {
    for (Link& link : impl_->links) {
      Direction& direction = side == Side::Replies ? link.replies : link.requests;
      if (impl_->is_chosen(link) && !direction.ended) {
        direction.ended = true;
        direction.chunks.push_back({Clock::now(), {}});
      }
    }
  });
}

void Relay::refuse(bool on) {
  impl_->locked([&] { impl_->refuse = on; });
}

std::size_t Relay::connections() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->links.size();
}

std::size_t Relay::accepted() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->accepted;
}

std::size_t Relay::relayed_replies() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->relayed;
}

}  // namespace pannier::test
