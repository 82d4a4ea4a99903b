#pragma once

#include "pannier/base/address.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::admin {

struct Request {
  std::string method;  // "GET", "POST"; a HEAD request reaches its handler as "GET"
  std::string target;  // as sent: path and query
  std::string path;    // as sent, not decoded
  std::string query;   // without '?'
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // The first value of a header, name in any case; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  // A value in the query; empty text for "?name". Not decoded: the values asked for are plain
  // words.
  [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

using Handler = std::function<Response(const Request&)>;

// To be called once, on the control thread, now or later.
using Answer = std::function<void(Response)>;
// Asks others first. Without an answer within the server's patience the client is told 503.
using LateHandler = std::function<void(const Request&, Answer)>;

struct Route {
  std::string method;  // "GET" also serves HEAD
  std::string path;    // exact
  Handler handler;
  LateHandler late = {};  // instead of `handler`
};

struct RouteTable {
  std::vector<Route> routes;
  // Asked before any route, known or not; its answer, if any, is final. May be empty.
  std::function<std::optional<Response>(const Request&)> guard = {};
};

// A small HTTP/1.1 server for probes and administration: plain requests with plain answers, all
// bounded. One per port, owned by the application; lives on the control thread, where handlers run
// too: they must not block.
class HttpServer {
 public:
  static constexpr std::size_t kMaxHeader = 8 * 1024;  // bytes
  static constexpr std::size_t kMaxBody = 64 * 1024;   // bytes
  // One more closes the connection that has been silent for the longest.
  static constexpr std::size_t kMaxConnections = 64;
  // To send a whole request, to read a whole answer, and for a LateHandler's.
  static constexpr std::chrono::milliseconds kPatience{5000};

  // Listens at once: throws std::runtime_error with endpoint and reason when that fails. `name` is
  // for the log. A port of 0 takes a free one.
  HttpServer(boost::asio::io_context& io,
             const base::Endpoint& endpoint,
             std::string name,
             RouteTable routes,
             std::chrono::milliseconds patience = kPatience);
  // As stop(); also fine when the io_context runs no more.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  // Closes the listener and all connections. On the control thread, or when it has ended.
  void stop();
  // Where it listens, with the real port.
  [[nodiscard]] const base::Endpoint& endpoint() const;

 private:
  struct Impl;
  // Shared with the coroutines that the io_context still holds when the server goes.
  std::shared_ptr<Impl> impl_;
};

}  // namespace pannier::admin
