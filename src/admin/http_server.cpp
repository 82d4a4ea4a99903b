#include "pannier/admin/http_server.hpp"

#include "pannier/base/log.hpp"

#include "dispatch.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>

namespace pannier::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
using Stream = beast::basic_stream<Protocol>;
using Parser = http::request_parser<http::string_body>;
using Reply = http::response<http::string_body>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kLinger{1};
constexpr std::size_t kLingerBytes = 256 * 1024;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr unsigned kAdminSocketMode = 0660;

[[noreturn]] void fail(const base::Endpoint& endpoint, const std::string& reason) {
  throw std::runtime_error("cannot listen on " + endpoint.to_string() + ": " + reason);
}

asio::ip::tcp::endpoint resolve(asio::io_context& io, const base::Endpoint& endpoint) {
  beast::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  if (!error) {
    return {address, endpoint.port};
  }
  asio::ip::tcp::resolver resolver(io);
  const auto found = resolver.resolve(endpoint.host, std::to_string(endpoint.port), error);
  if (error || found.empty()) {
    fail(endpoint, "the name does not resolve: " + error.message());
  }
  return found.begin()->endpoint();
}

// A path that is left over from a dead process must go; one that somebody answers on must stay.
void remove_stale_socket(asio::io_context& io, const base::Endpoint& endpoint) {
  asio::local::stream_protocol::socket probe(io);
  beast::error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(endpoint.unix_path), error);
  if (!error) {
    fail(endpoint, "another process listens on it");
  }

  struct stat status {};

  if (::stat(endpoint.unix_path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
    ::unlink(endpoint.unix_path.c_str());
  }
}

Protocol::endpoint local_endpoint(asio::io_context& io, const base::Endpoint& endpoint) {
  if (!endpoint.is_unix()) {
    return resolve(io, endpoint);
  }
  if (base::SocketAddress::from_unix_path(endpoint.unix_path).length == 0) {
    fail(endpoint, "the path is longer than 107 bytes");
  }
  remove_stale_socket(io, endpoint);
  return asio::local::stream_protocol::endpoint(endpoint.unix_path);
}

void check(const beast::error_code& error, const base::Endpoint& endpoint) {
  if (error) {
    fail(endpoint, error.message());
  }
}

Acceptor listen(asio::io_context& io, const base::Endpoint& endpoint) {
  const auto local = local_endpoint(io, endpoint);
  Acceptor acceptor(io);
  beast::error_code error;
  acceptor.open(local.protocol(), error);
  check(error, endpoint);
  if (!endpoint.is_unix()) {
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
    check(error, endpoint);
  }
  acceptor.bind(local, error);
  check(error, endpoint);
  // Before anyone can connect.
  if (endpoint.is_unix() && ::chmod(endpoint.unix_path.c_str(), kAdminSocketMode) != 0) {
    fail(endpoint, "the mode of the socket's file cannot be set");
  }
  acceptor.listen(asio::socket_base::max_listen_connections, error);
  check(error, endpoint);
  return acceptor;
}

std::uint16_t port_of(const Acceptor& acceptor) {
  const auto bound = acceptor.local_endpoint();
  asio::ip::tcp::endpoint out;
  out.resize(bound.size());
  std::copy_n(reinterpret_cast<const char*>(bound.data()),
              bound.size(),
              reinterpret_cast<char*>(out.data()));
  return out.port();
}

Request to_request(Parser& parser) {
  auto message = parser.release();
  Request out;
  out.method = std::string(message.method_string());
  out.target = std::string(message.target());
  const auto question = out.target.find('?');
  out.path = out.target.substr(0, question);
  if (question != std::string::npos) {
    out.query = out.target.substr(question + 1);
  }
  for (const auto& field : message) {
    out.headers.emplace_back(field.name_string(), field.value());
  }
  out.body = std::move(message.body());
  return out;
}

Reply to_reply(Response response, unsigned version, bool keep_alive) {
  Reply out;
  out.version(version);
  out.result(response.status);
  out.set(http::field::server, "pannier");
  out.set(http::field::content_type, response.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  out.set("X-Frame-Options", "DENY");
  // The status page is one piece: whatever got into it could load and run nothing.
  out.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
  for (const auto& [name, value] : response.headers) {
    out.set(name, value);
  }
  out.body() = std::move(response.body);
  out.keep_alive(keep_alive);
  out.prepare_payload();
  return out;
}

// What to tell a client whose request cannot be read; status 0: nothing, it is gone or too slow.
Response refusal_of(const beast::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return text_response(431, "the header is larger than 8 KiB");
  }
  if (error == http::error::body_limit) {
    return text_response(413, "the body is larger than 64 KiB");
  }
  const bool gone = error == http::error::end_of_stream || error == http::error::partial_message ||
                    error.category() != make_error_code(http::error::bad_method).category();
  return gone ? Response{0, {}, {}} : text_response(400, "this is not an HTTP/1.1 request");
}

struct Connection {
  Connection(asio::any_io_executor executor, std::chrono::milliseconds time)
      : stream(std::move(executor)),
        patience(time) {}

  Stream stream;
  std::chrono::milliseconds patience;
  beast::flat_buffer buffer{HttpServer::kMaxHeader * 2};
};

using ConnectionPtr = std::shared_ptr<Connection>;  // the list's and the coroutine's

// An answer that may come later. The coroutine's; whoever answers may find it gone.
struct Pending {
  Pending(asio::io_context& io, std::chrono::milliseconds patience) : come(io, patience) {}

  asio::steady_timer come;  // cancelled by the answer
  std::optional<Response> response;
};

asio::awaitable<bool> write_reply(ConnectionPtr connection, Reply reply) {
  connection->stream.expires_after(connection->patience);
  const auto written = co_await http::async_write(connection->stream, reply, kToken);
  co_return !std::get<0>(written) && reply.keep_alive();
}

// Closing with unread bytes resets the connection, and the client may never see the answer.
asio::awaitable<void> linger(ConnectionPtr connection) {
  beast::error_code ignored;
  connection->stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  connection->stream.expires_after(kLinger);
  connection->buffer.clear();
  for (std::size_t dropped = 0; dropped < kLingerBytes;) {
    const auto space = connection->buffer.prepare(connection->buffer.max_size());
    const auto got = co_await connection->stream.async_read_some(space, kToken);
    if (std::get<0>(got)) {
      break;
    }
    dropped += std::get<1>(got);
  }
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  Impl(asio::io_context& io_context,
       const base::Endpoint& configured,
       std::string server_name,
       RouteTable table,
       std::chrono::milliseconds time)
      : io(io_context),
        acceptor(listen(io_context, configured)),
        pause(io_context),
        endpoint(configured),
        name(std::move(server_name)),
        routes(std::move(table)),
        patience(time) {
    if (!endpoint.is_unix()) {
      endpoint.port = port_of(acceptor);
    }
  }

  void stop() {
    if (stopped) {
      return;
    }
    stopped = true;
    beast::error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    if (endpoint.is_unix()) {
      ::unlink(endpoint.unix_path.c_str());
    }
    for (const auto& connection : connections) {
      connection->stream.close();
    }
  }

  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(io, std::move(work), [who = name](std::exception_ptr failure) {
      if (!failure) {
        return;
      }
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        base::log_error("admin", "{}: {}", who, e.what());
      }
    });
  }

  void serve(Protocol::socket socket);
  static asio::awaitable<void> accept_all(std::shared_ptr<Impl> self);
  static asio::awaitable<void> converse(std::shared_ptr<Impl> self, ConnectionPtr connection);
  static asio::awaitable<Response> respond(std::shared_ptr<Impl> self, Request request);
  // False when it was the connection's last request.
  static asio::awaitable<bool> serve_one(std::shared_ptr<Impl> self, ConnectionPtr connection);

  // Moves a connection to the place of the one that spoke last.
  void spoke(const ConnectionPtr& connection) {
    connections.remove(connection);
    connections.push_back(connection);
  }

  asio::io_context& io;
  Acceptor acceptor;
  asio::steady_timer pause;
  base::Endpoint endpoint;
  std::string name;
  RouteTable routes;
  std::chrono::milliseconds patience;
  std::list<ConnectionPtr> connections;  // the one that has been silent for the longest first
  bool stopped = false;
};

asio::awaitable<Response> HttpServer::Impl::respond(std::shared_ptr<Impl> self, Request request) {
  const auto pending = std::make_shared<Pending>(self->io, self->patience);
  const Answer answer = [weak = std::weak_ptr(pending)](Response response) {
    if (const auto waiting = weak.lock()) {
      waiting->response = std::move(response);
      waiting->come.cancel();
    }
  };
  dispatch(self->routes, std::move(request), answer);
  if (!pending->response) {
    co_await pending->come.async_wait(kToken);
  }
  if (!pending->response) {
    pending->response = text_response(503, "the workers did not answer in time");
  }
  co_return std::move(*pending->response);
}

asio::awaitable<bool> HttpServer::Impl::serve_one(std::shared_ptr<Impl> self,
                                                  ConnectionPtr connection) {
  Parser parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(kMaxBody);
  connection->stream.expires_after(connection->patience);
  const auto got =
      co_await http::async_read(connection->stream, connection->buffer, parser, kToken);
  const auto error = std::get<0>(got);
  if (error) {
    auto refusal = refusal_of(error);
    if (refusal.status != 0) {
      auto reply = to_reply(std::move(refusal), 11, false);
      co_await write_reply(connection, std::move(reply));
      co_await linger(connection);
    }
    co_return false;
  }
  self->spoke(connection);
  const unsigned version = parser.get().version();
  const bool keep_alive = parser.keep_alive();
  const bool head = parser.get().method() == http::verb::head;
  auto request = to_request(parser);
  auto response = co_await respond(self, std::move(request));
  auto reply = to_reply(std::move(response), version, keep_alive);
  if (head) {
    reply.body().clear();  // the header keeps its length
  }
  const bool more = co_await write_reply(connection, std::move(reply));
  co_return more;
}

asio::awaitable<void> HttpServer::Impl::converse(std::shared_ptr<Impl> self,
                                                 ConnectionPtr connection) {
  bool more = true;
  while (more) {
    more = co_await serve_one(self, connection);
  }
  connection->stream.close();
  self->connections.remove(connection);
}

asio::awaitable<void> HttpServer::Impl::accept_all(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    auto accepted = co_await self->acceptor.async_accept(kToken);
    const auto error = std::get<0>(accepted);
    if (self->stopped) {
      co_return;
    }
    if (error) {
      // No descriptors left, most likely: trying again at once would only burn the processor.
      base::log_warn("admin", "{}: accept: {}", self->name, error.message());
      self->pause.expires_after(kAcceptPause);
      co_await self->pause.async_wait(kToken);
      continue;
    }
    self->serve(std::move(std::get<1>(accepted)));
  }
}

void HttpServer::Impl::serve(Protocol::socket socket) {
  if (connections.size() >= kMaxConnections) {
    connections.front()->stream.close();
    connections.pop_front();
  }
  auto connection = std::make_shared<Connection>(io.get_executor(), patience);
  connection->stream.socket() = std::move(socket);
  connections.push_back(connection);
  spawn(converse(shared_from_this(), connection));
}

HttpServer::HttpServer(asio::io_context& io,
                       const base::Endpoint& endpoint,
                       std::string name,
                       RouteTable routes,
                       std::chrono::milliseconds patience)
    : impl_(std::make_shared<Impl>(io, endpoint, std::move(name), std::move(routes), patience)) {}

HttpServer::~HttpServer() {
  impl_->stop();
}

void HttpServer::start() {
  impl_->spawn(Impl::accept_all(impl_));
}

void HttpServer::stop() {
  impl_->stop();
}

const base::Endpoint& HttpServer::endpoint() const {
  return impl_->endpoint;
}

}  // namespace pannier::admin
