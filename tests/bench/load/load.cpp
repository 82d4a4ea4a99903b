#include "load.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace pannier::bench {
namespace {

constexpr std::size_t kReceive = 256 << 10;
constexpr int kTurnMs = 100;
constexpr int kIdleTurns = 100;  // ten seconds
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

[[noreturn]] void fail_errno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " +
                           std::error_code(errno, std::generic_category()).message());
}

}  // namespace

Load::Load(Options options, std::string_view padding)
    : options_(std::move(options)),
      padding_(padding),
      buffer_(kReceive, '\0'),
      epoll_(::epoll_create1(0)) {}

Load::~Load() {
  for (const Connection& connection : connections_) {
    ::close(connection.fd);
  }
  ::close(epoll_);
}

void Load::connect() {
  connections_.resize(options_.connections);
  for (Connection& connection : connections_) {
    open(connection);
  }
}

void Load::open(Connection& connection) {
  connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the sockets API
  if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail_errno("connect");
  }
  const int on = 1;
  ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &connection;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) {
    fail_errno("epoll_ctl");
  }
}

void Load::play(const std::vector<Batch>& batches) {
  once_ = true;
  begin(batches);
  drain();
  once_ = false;
}

void Load::begin(const std::vector<Batch>& batches) {
  batches_ = &batches;
  next_ = 0;
  allowed_ = kNoLimit;
  closed_loop_ = true;
  for (Connection& connection : connections_) {
    if (const Batch* batch = next_batch()) {
      send(connection, *batch, Clock::now());
    }
  }
}

const Batch* Load::next_batch() {
  if (allowed_ == 0 || (once_ && next_ == batches_->size())) {
    return nullptr;
  }
  if (next_ == batches_->size()) {
    next_ = 0;
  }
  const Batch* batch = &(*batches_)[next_++];
  allowed_ -= allowed_ == kNoLimit ? 0 : std::min<std::uint64_t>(allowed_, batch->requests);
  return batch;
}

void Load::run_for(std::chrono::duration<double> time) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  while (Clock::now() < end) {
    turn(kTurnMs);
  }
}

void Load::run_requests(std::uint64_t requests) {
  allowed_ = requests;
  closed_loop_ = true;
  for (Connection& connection : connections_) {
    if (connection.under_way.empty()) {
      if (const Batch* batch = next_batch()) {
        send(connection, *batch, Clock::now());
      }
    }
  }
  while (under_way_ > 0) {
    turn(kTurnMs);
  }
}

void Load::pace(const std::vector<Batch>& batches,
                double rate,
                std::chrono::duration<double> time) {
  batches_ = &batches;
  allowed_ = kNoLimit;
  closed_loop_ = false;
  const auto gap =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate));
  auto due = Clock::now() + gap;
  const auto end = due + std::chrono::duration_cast<Clock::duration>(time);
  for (std::size_t i = 0; due < end;) {
    if (Clock::now() < due) {
      turn(0);
      continue;
    }
    send(connections_[i++ % connections_.size()], *next_batch(), due);
    due += gap;
  }
  drain();
}

void Load::drain() {
  allowed_ = once_ ? kNoLimit : 0;
  while (under_way_ > 0) {
    turn(kTurnMs);
  }
}

void Load::reset_figures() {
  times_ = Histogram();
  answered_ = 0;
}

void Load::turn(int timeout_ms) {
  std::array<epoll_event, 256> events{};
  const int count =
      ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count < 0 && errno != EINTR) {
    fail_errno("epoll_wait");
  }
  idle_turns_ = count == 0 && timeout_ms > 0 ? idle_turns_ + 1 : 0;
  if (idle_turns_ == kIdleTurns) {
    throw std::runtime_error("no reply for ten seconds, " + std::to_string(under_way_) +
                             " batches are under way");
  }
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    auto& connection = *static_cast<Connection*>(event.data.ptr);
    if ((event.events & EPOLLOUT) != 0) {
      flush(connection);
    }
    if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      receive(connection);
    }
  }
}

void Load::send(Connection& connection, const Batch& batch, Clock::time_point from) {
  connection.under_way.push_back({&batch, from});
  ++under_way_;
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    sent_[i] += batch.commands[i];
  }
  if (!connection.waits_for_room) {
    flush(connection);
  }
}

void Load::flush(Connection& connection) {
  while (connection.next_to_send < connection.under_way.size()) {
    const std::string& bytes = connection.under_way[connection.next_to_send].batch->bytes;
    const ssize_t sent = ::send(connection.fd,
                                bytes.data() + connection.bytes_sent,
                                bytes.size() - connection.bytes_sent,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      fail_errno("send");
    }
    connection.bytes_sent += sent > 0 ? static_cast<std::size_t>(sent) : 0;
    if (connection.bytes_sent < bytes.size()) {
      watch(connection, true);
      return;
    }
    ++connection.next_to_send;
    connection.bytes_sent = 0;
  }
  watch(connection, false);
}

void Load::watch(Connection& connection, bool room_too) {
  if (connection.waits_for_room == room_too) {
    return;
  }
  connection.waits_for_room = room_too;
  epoll_event event{};
  event.events = room_too ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = &connection;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void Load::receive(Connection& connection) {
  const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (got <= 0) {
    throw std::runtime_error("the server closed a connection");
  }
  std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
  while (!bytes.empty()) {
    if (connection.under_way.empty()) {
      throw std::runtime_error("a reply that nobody asked for: " +
                               std::string(bytes.substr(0, 80)));
    }
    switch (connection.check.take(*connection.under_way.front().batch, padding_, bytes)) {
      case ReplyCheck::Status::More:
        return;
      case ReplyCheck::Status::Wrong:
        throw std::runtime_error("a wrong reply, about here: " + std::string(bytes.substr(0, 80)));
      case ReplyCheck::Status::Done:
        batch_done(connection);
    }
  }
}

void Load::batch_done(Connection& connection) {
  const auto now = Clock::now();
  const Sent& done = connection.under_way.front();
  times_.record(static_cast<std::uint64_t>((now - done.from).count()));
  answered_ += done.batch->requests;
  if (connection.next_to_send == 0) {
    throw std::runtime_error("a reply to a batch that was not sent whole");
  }
  connection.under_way.pop_front();
  --connection.next_to_send;
  --under_way_;
  if (closed_loop_) {
    if (const Batch* batch = next_batch()) {
      send(connection, *batch, now);
    }
  }
}

}  // namespace pannier::bench
