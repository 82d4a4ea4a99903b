#pragma once

#include "pannier/net/socket.hpp"
#include "pannier/upstream/connection.hpp"
#include "pannier/upstream/runtime.hpp"

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::test {

// The server's end of one connection: blocking, every wait bounded.
class Peer {
 public:
  explicit Peer(int descriptor) : descriptor_(descriptor) {
    const timeval patience{10, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  }

  ~Peer() { close(); }

  Peer(Peer&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

  Peer& operator=(Peer&& other) = delete;

  // The next `n` bytes; fewer when the other end closed.
  std::string hear(std::size_t n) {
    std::string out(n, '\0');
    std::size_t have = 0;
    while (have < n) {
      const ssize_t got = ::recv(descriptor_, out.data() + have, n - have, 0);
      if (got <= 0) {
        break;
      }
      have += static_cast<std::size_t>(got);
    }
    out.resize(have);
    return out;
  }

  void say(std::string_view bytes) {
    REQUIRE(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }

  void close() {
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    }
  }

  [[nodiscard]] std::size_t available() const {
    int n = 0;
    ::ioctl(descriptor_, FIONREAD, &n);
    return static_cast<std::size_t>(n);
  }

  // The other end is told by RST.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close();
  }

 private:
  int descriptor_;
};

// A listening socket on loopback; the kernel completes connections before they are accepted, so
// that test and server share a thread.
class Server {
 public:
  explicit Server(int backlog = 64) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const auto any = base::SocketAddress::from_ip("127.0.0.1", 0);
    REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&any.storage), any.length) == 0);
    REQUIRE(::listen(descriptor_, backlog) == 0);
    const timeval patience{10, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  ~Server() { stop(); }

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] base::SocketAddress address() const { return net::local_address(descriptor_); }

  Peer accept() {
    const int peer = ::accept(descriptor_, nullptr, nullptr);
    REQUIRE(peer >= 0);
    return Peer(peer);
  }

  // From now on connections are refused.
  void stop() {
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    }
  }

 private:
  int descriptor_;
};

// What a worker is to upstream connections, with a clock that stands still unless told. Writes down
// events as "opened", "reply + last <bytes", "push <bytes", "lost 3 sent", "closed", "drained".
class Upstream final : public net::TurnHooks, public upstream::ConnectionEvents {
 public:
  explicit Upstream(config::Config configuration = {})
      : config(std::move(configuration)),
        runtime(*this, config) {}

  ~Upstream() = default;
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  void begin_turn() override {}

  void end_turn() override { flush(); }

  void flush() {
    while (!runtime.unflushed.empty()) {
      upstream::Connection* connection = runtime.unflushed.back();
      runtime.unflushed.pop_back();
      connection->flush();
    }
  }

  // Turns until `done`; false when that takes longer than any machine needs.
  [[nodiscard]] bool run_until(const std::function<bool()>& done) {
    const auto patience = base::Clock::now() + std::chrono::seconds(10);
    flush();
    while (!done() && base::Clock::now() < patience) {
      turn_within(std::chrono::milliseconds(100));
    }
    return done();
  }

  // Turns until nothing is ready.
  void settle() {
    flush();
    while (turn_within(std::chrono::milliseconds(5)) > 0) {
    }
  }

  // Returns how many were ready.
  std::size_t turn_within(base::Duration time) {
    return runtime.poller.run_turn(base::Clock::now() + time);
  }

  void pass(base::Duration time) {
    runtime.now += time;
    runtime.timers.run(runtime.now);
    flush();
  }

  upstream::SlotIndex make_slot() {
    const upstream::SlotIndex index = runtime.slots.take();
    runtime.slots[index].start = runtime.now;
    runtime.slots[index].place = next_place++;
    return index;
  }

  upstream::SlotIndex ask(upstream::Connection& connection, std::string_view request) {
    const upstream::SlotIndex index = make_slot();
    REQUIRE(connection.send(index, request));
    return index;
  }

  [[nodiscard]] std::size_t count(std::string_view event) const {
    return static_cast<std::size_t>(std::count(events.begin(), events.end(), event));
  }

  [[nodiscard]] metrics::NodeMetrics& node(std::size_t id = 0) {
    return runtime.metrics.nodes.at(id);
  }

  void on_opened(upstream::Connection& connection) override {
    events.emplace_back("opened");
    if (opened) {
      opened(connection);
    }
  }

  void on_reply(upstream::Connection& connection,
                upstream::SlotIndex index,
                std::string_view bytes,
                char type,
                bool last) override {
    events.push_back("reply " + std::to_string(runtime.slots[index].place) + " " + type +
                     (last ? " last <" : " part <") + std::string(bytes));
    if (replied) {
      replied(connection);
    }
  }

  void on_push(upstream::Connection&, std::string_view bytes) override {
    events.push_back("push <" + std::string(bytes));
  }

  void on_lost(upstream::Connection& connection,
               upstream::SlotIndex index,
               bool was_sent) override {
    events.push_back("lost " + std::to_string(runtime.slots[index].place) +
                     (was_sent ? " sent" : " not sent"));
    if (lost) {
      lost(connection);
    }
  }

  void on_closed(upstream::Connection& connection) override {
    events.emplace_back("closed");
    if (closed) {
      closed(connection);
    }
  }

  void on_drained(upstream::Connection&) override { events.emplace_back("drained"); }

  config::Config config;
  upstream::Runtime runtime;
  std::uint32_t next_place = 0;
  std::vector<std::string> events;
  std::function<void(upstream::Connection&)> opened;
  std::function<void(upstream::Connection&)> replied;
  std::function<void(upstream::Connection&)> lost;
  std::function<void(upstream::Connection&)> closed;
};

inline route::Node node_at(const base::SocketAddress& address) {
  route::Node node;
  node.id = 0;
  node.name = "cache:6379";
  node.address = address;
  node.reachable = true;
  return node;
}

inline std::string handshake_bytes(const upstream::ConnectionSpec& spec,
                                   const config::Config& config) {
  std::string out;
  for (const auto& request : upstream::make_handshake(spec, config)) {
    out += request.bytes;
  }
  return out;
}

// What a server says to each step.
inline std::string usual_answer(upstream::HandshakeStep step) {
  switch (step) {
    case upstream::HandshakeStep::Hello:
      return "%1\r\n$5\r\nproto\r\n:3\r\n";
    case upstream::HandshakeStep::SetInfo:
      return "-ERR unknown subcommand\r\n";
    case upstream::HandshakeStep::ClientId:
      return ":77\r\n";
    default:
      return "+OK\r\n";
  }
}

// Accepts the connection and hears its handshake.
inline Peer meet(Upstream& up, Server& server, const upstream::Connection& connection) {
  REQUIRE(
      up.run_until([&] { return connection.state() == upstream::Connection::State::Handshaking; }));
  Peer peer = server.accept();
  const std::string expected = handshake_bytes(connection.spec(), up.config);
  REQUIRE(peer.hear(expected.size()) == expected);
  return peer;
}

inline void answer_handshake(Peer& peer,
                             const upstream::ConnectionSpec& spec,
                             const config::Config& config) {
  for (const auto& request : upstream::make_handshake(spec, config)) {
    peer.say(usual_answer(request.step));
  }
}

// As `meet`, and answers so that the connection is ready.
inline Peer welcome(Upstream& up, Server& server, const upstream::Connection& connection) {
  Peer peer = meet(up, server, connection);
  answer_handshake(peer, connection.spec(), up.config);
  REQUIRE(up.run_until([&] { return connection.is_open() || connection.is_closed(); }));
  return peer;
}

// The same for a connection that a pool opened by itself.
inline Peer welcome_next(Upstream& up, Server& server, const upstream::ConnectionSpec& spec) {
  Peer peer = server.accept();
  const std::string expected = handshake_bytes(spec, up.config);
  REQUIRE(up.run_until([&] { return peer.available() >= expected.size(); }));
  REQUIRE(peer.hear(expected.size()) == expected);
  const std::size_t before = up.count("opened");
  answer_handshake(peer, spec, up.config);
  REQUIRE(up.run_until([&] { return up.count("opened") > before; }));
  return peer;
}

// One primary at `address`, as a probe saw it.
inline route::TopologyPtr topology_of(const base::SocketAddress& address) {
  auto topology = std::make_shared<route::Topology>();
  topology->generation = 1;
  topology->nodes.push_back(node_at(address));
  topology->primary = 0;
  return topology;
}

}  // namespace pannier::test
