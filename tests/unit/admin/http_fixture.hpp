#pragma once

#include "pannier/admin/http_server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>

// An HttpServer on a control thread of its own, and a client that speaks bytes.
class RunningServer {
 public:
  explicit RunningServer(
      pannier::admin::RouteTable routes,
      const pannier::base::Endpoint& endpoint = pannier::base::Endpoint{"127.0.0.1", 0, ""},
      std::chrono::milliseconds patience = pannier::admin::HttpServer::kPatience)
      : server_(std::in_place, io_, endpoint, "test", std::move(routes), patience) {
    server_->start();
    thread_ = std::thread([this] { io_.run(); });
  }

  ~RunningServer() {
    on_control_thread([this] { server_.reset(); });
    work_.reset();
    thread_.join();
  }

  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  void stop() {
    on_control_thread([this] { server_->stop(); });
  }

  [[nodiscard]] pannier::base::Endpoint endpoint() const { return server_->endpoint(); }

  [[nodiscard]] pannier::base::SocketAddress address() const {
    const auto where = endpoint();
    return where.is_unix() ? pannier::base::SocketAddress::from_unix_path(where.unix_path)
                           : pannier::base::SocketAddress::from_ip(where.host, where.port);
  }

 private:
  template <typename Action>
  void on_control_thread(Action action) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::optional<pannier::admin::HttpServer> server_;
  std::thread thread_;
};

// Gives up on its clients soon.
class HastyServer : public RunningServer {
 public:
  explicit HastyServer(pannier::admin::RouteTable routes)
      : RunningServer(std::move(routes), {"127.0.0.1", 0, ""}, std::chrono::milliseconds(300)) {}
};

class RawClient {
 public:
  explicit RawClient(const pannier::base::SocketAddress& address)
      : descriptor_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    connected_ =
        ::connect(
            descriptor_, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0;
  }

  explicit RawClient(const RunningServer& server) : RawClient(server.address()) {}

  ~RawClient() { ::close(descriptor_); }

  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // One answer by its Content-Length; what has come when the connection ends or 8 s pass.
  std::string receive(bool head = false) {
    while (!complete(head) && receive_some()) {
    }
    const auto size = std::min(received_.size(), wanted(head));
    auto out = received_.substr(0, size);
    received_.erase(0, size);
    return out;
  }

  // True when something has come that was not received.
  [[nodiscard]] bool has_input() const {
    pollfd one{descriptor_, POLLIN, 0};
    return !received_.empty() || ::poll(&one, 1, 0) > 0;
  }

  // True when the server ends the connection within `timeout_ms`.
  bool ended(int timeout_ms = 8000) {
    while (receive_some(timeout_ms)) {
    }
    return ended_;
  }

 private:
  bool receive_some(int timeout_ms = 8000) {
    pollfd one{descriptor_, POLLIN, 0};
    if (::poll(&one, 1, timeout_ms) <= 0) {
      return false;
    }
    std::array<char, 16384> piece{};
    const auto n = ::recv(descriptor_, piece.data(), piece.size(), 0);
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    received_.append(piece.data(), static_cast<std::size_t>(n));
    return true;
  }

  [[nodiscard]] std::size_t wanted(bool head) const {
    const auto header_end = received_.find("\r\n\r\n");
    if (header_end == std::string::npos) {
      return std::string::npos;
    }
    constexpr std::string_view kLength = "Content-Length: ";
    const auto length = received_.find(kLength);
    const auto body = head || length == std::string::npos
                          ? 0
                          : std::stoul(received_.substr(length + kLength.size(), 12));
    return header_end + 4 + body;
  }

  [[nodiscard]] bool complete(bool head) const { return received_.size() >= wanted(head); }

  int descriptor_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

// A connection, a request, its answer. `headers` end in CRLF each.
inline std::string ask(const RunningServer& server,
                       const std::string& method,
                       const std::string& target,
                       const std::string& headers = "Host: localhost\r\n") {
  RawClient client(server);
  client.send(method + " " + target + " HTTP/1.1\r\n" + headers + "\r\n");
  return client.receive(method == "HEAD");
}

inline int status_of(const std::string& answer) {
  return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}

inline std::string body_of(const std::string& answer) {
  const auto end = answer.find("\r\n\r\n");
  return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
