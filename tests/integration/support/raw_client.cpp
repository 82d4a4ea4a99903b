#include "raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kChunk = 256UL * 1024;

[[noreturn]] void fail(const char* what) {
  if (errno == EAGAIN || errno == EINPROGRESS) {
    throw std::runtime_error(std::string("client: ") + what + ": not in time");
  }
  throw std::runtime_error(std::string("client: ") + what + ": " +
                           std::generic_category().message(errno));
}

timeval to_timeval(std::chrono::milliseconds limit) {
  return {limit.count() / 1000, (limit.count() % 1000) * 1000};
}

void set_limits(int descriptor, std::chrono::milliseconds limit) {
  const timeval value = to_timeval(limit);
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value));
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof(value));
}

int connect_to(const sockaddr* address, socklen_t length, std::chrono::milliseconds limit) {
  const int descriptor = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    fail("socket");
  }
  set_limits(descriptor, limit);
  if (::connect(descriptor, address, length) != 0) {
    const int error = errno;
    ::close(descriptor);
    errno = error;
    fail("connect");
  }
  return descriptor;
}

int connect_to(const std::string& host, int port, std::chrono::milliseconds limit) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  const int descriptor =
      connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), limit);
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return descriptor;
}

// The end of the elements that follow a header, or 0.
std::size_t elements_end(std::string_view bytes, std::size_t at, long long count) {
  for (long long i = 0; i < count; ++i) {
    const std::size_t length = frame_end(bytes.substr(at));
    if (length == 0) {
      return 0;
    }
    at += length;
  }
  return at;
}

}  // namespace

std::string request(const Words& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string_view word : words) {
    out += bulk(word);
  }
  return out;
}

std::string bulk(std::string_view text) {
  std::string out = "$" + std::to_string(text.size()) + "\r\n";
  out += text;
  out += "\r\n";
  return out;
}

std::size_t frame_end(std::string_view bytes) {
  const std::size_t line = bytes.find("\r\n");
  if (line == std::string_view::npos) {
    return 0;
  }
  const std::size_t after = line + 2;
  const std::string digits(bytes.substr(1, line - 1));
  switch (bytes[0]) {
    case '$':
    case '=':
    case '!': {
      const long long length = std::stoll(digits);
      const std::size_t end = length < 0 ? after : after + static_cast<std::size_t>(length) + 2;
      return end <= bytes.size() ? end : 0;
    }
    case '*':
    case '~':
    case '>':
      return elements_end(bytes, after, std::stoll(digits));
    case '%':
    case '|':
      return elements_end(bytes, after, 2 * std::stoll(digits));
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '_':
    case '(':
      return after;
    default:
      throw std::runtime_error("client: not a reply: " + std::string(bytes.substr(0, 100)));
  }
}

std::string text_of(std::string_view frame) {
  const std::size_t start = frame.find('$');
  if (start == std::string_view::npos) {
    return {};
  }
  const std::size_t line = frame.find("\r\n", start);
  const long long length = std::stoll(std::string(frame.substr(start + 1, line - start - 1)));
  return length < 0 ? std::string{}
                    : std::string(frame.substr(line + 2, static_cast<std::size_t>(length)));
}

RawClient::RawClient(int port, std::chrono::milliseconds limit)
    : descriptor_(connect_to("127.0.0.1", port, limit)) {}

RawClient::RawClient(const std::string& host, int port)
    : descriptor_(connect_to(host, port, kLimit)) {}

RawClient::RawClient(const std::string& unix_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  descriptor_ = connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), kLimit);
}

RawClient::~RawClient() {
  close();
}

RawClient::RawClient(RawClient&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      input_(std::move(other.input_)),
      start_(std::exchange(other.start_, 0)) {}

RawClient& RawClient::operator=(RawClient&& other) noexcept {
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  input_ = std::move(other.input_);
  start_ = std::exchange(other.start_, 0);
  return *this;
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      fail("send");
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool RawClient::fill() {
  input_.erase(0, std::exchange(start_, 0));
  const std::size_t before = input_.size();
  input_.resize(before + kChunk);
  const ssize_t n = ::recv(descriptor_, input_.data() + before, kChunk, 0);
  input_.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
  if (n < 0) {
    fail("read");
  }
  return n > 0;
}

std::string RawClient::take(std::size_t count) {
  std::string taken(input().substr(0, count));
  start_ += count;
  return taken;
}

std::string RawClient::read() {
  std::size_t end = 0;
  while (input().empty() || (end = frame_end(input())) == 0) {
    if (!fill()) {
      throw std::runtime_error("client: closed by the other side behind \"" +
                               std::string(input().substr(0, 200)) + "\"");
    }
  }
  return take(end);
}

std::string RawClient::read(std::size_t frames) {
  std::string all;
  for (std::size_t i = 0; i < frames; ++i) {
    all += read();
  }
  return all;
}

std::string RawClient::read_line() {
  std::size_t end = std::string::npos;
  while ((end = input().find("\r\n")) == std::string::npos) {
    if (!fill()) {
      throw std::runtime_error("client: closed by the other side");
    }
  }
  return take(end + 2);
}

void RawClient::read_bytes(std::size_t count, const std::function<void(std::string_view)>& take) {
  while (count > 0) {
    if (input().empty() && !fill()) {
      throw std::runtime_error("client: closed by the other side within a reply");
    }
    const std::size_t part = std::min(count, input().size());
    take(input().substr(0, part));
    start_ += part;
    count -= part;
  }
}

std::string RawClient::call(const Words& words) {
  ask(words);
  return read();
}

long long RawClient::call_integer(const Words& words) {
  const std::string reply = call(words);
  if (!reply.starts_with(':')) {
    throw std::runtime_error("client: not an integer: " + reply.substr(0, 200));
  }
  return std::stoll(reply.substr(1));
}

bool RawClient::has_input(std::chrono::milliseconds within) {
  if (!input().empty()) {
    return true;
  }
  pollfd wanted{descriptor_, POLLIN, 0};
  if (::poll(&wanted, 1, static_cast<int>(within.count())) <= 0) {
    return false;
  }
  char byte = 0;
  return ::recv(descriptor_, &byte, 1, MSG_PEEK) > 0;
}

std::string RawClient::read_to_end() {
  try {
    while (fill()) {
    }
  } catch (const std::runtime_error&) {
    if (errno != ECONNRESET) {
      throw;
    }
  }
  return take(input().size());
}

void RawClient::set_limit(std::chrono::milliseconds limit) {
  set_limits(descriptor_, limit);
}

void RawClient::finish() const {
  ::shutdown(descriptor_, SHUT_WR);
}

void RawClient::close() {
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
  }
  input_.clear();
  start_ = 0;
}

void RawClient::reset() {
  const linger now{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

int RawClient::release() {
  return std::exchange(descriptor_, -1);
}

bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

}  // namespace pannier::test
