#include "pannier/admin/http_server.hpp"

#include "http_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <deque>
#include <filesystem>
#include <stdexcept>

using namespace pannier::admin;
using pannier::base::Endpoint;

namespace {

RouteTable sample_routes() {
  RouteTable table;
  table.routes = {
      {"GET",
       "/hello",
       [](const Request&) {
         return Response{200, "text/plain", "hello\n", {}};
       }},
      {"POST",
       "/echo",
       [](const Request& request) {
         return Response{200, "text/plain", request.query + "|" + request.body, {}};
       }},
      {"GET",
       "/throws",
       [](const Request&) -> Response {
         throw std::runtime_error("secret words");
       }},
      {"GET",
       "/large",
       [](const Request&) {
         return Response{200, "text/plain", std::string(16 << 20, 'x'), {}};
       }},
  };
  return table;
}

std::string post(std::size_t length) {
  return "POST /echo?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n";
}

std::string unix_path(const char* name) {
  return (std::filesystem::temp_directory_path() /
          (std::string("pannier_") + name + std::to_string(::getpid()) + ".sock"))
      .string();
}

}  // namespace

TEST_CASE("http_server: a GET is answered, with its length and nothing to cache") {
  const RunningServer server(sample_routes());
  const auto answer = ask(server, "GET", "/hello");
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(contains(answer, "Content-Length: 6\r\n"));
  CHECK(contains(answer, "Cache-Control: no-store\r\n"));
  CHECK(contains(answer, "X-Content-Type-Options: nosniff\r\n"));
  CHECK(body_of(answer) == "hello\n");
}

TEST_CASE("http_server: port 0 becomes a real port") {
  const RunningServer server(sample_routes());
  CHECK(server.endpoint().port != 0);
  CHECK(server.endpoint().host == "127.0.0.1");
}

TEST_CASE("http_server: HEAD has the length but no body, and the connection goes on") {
  const RunningServer server(sample_routes());
  RawClient client(server);
  client.send("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto head = client.receive(true);
  CHECK(status_of(head) == 200);
  CHECK(contains(head, "Content-Length: 6\r\n"));
  CHECK(body_of(head).empty());
  client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(body_of(client.receive()) == "hello\n");
}

TEST_CASE("http_server: one connection serves many requests, pipelined ones too") {
  const RunningServer server(sample_routes());
  RawClient client(server);
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  client.send(all);
  for (int i = 0; i < 20; ++i) {
    CHECK(body_of(client.receive()) == "hello\n");
  }
}

TEST_CASE("http_server: a request split at every byte is read") {
  const RunningServer server(sample_routes());
  const std::string request = post(5) + "12345";
  RawClient client(server);
  for (std::size_t cut = 1; cut < request.size(); cut += 1) {
    client.send(request.substr(0, cut));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    client.send(request.substr(cut));
    CHECK(body_of(client.receive()) == "a=1|12345");
  }
}

TEST_CASE("http_server: Connection: close and HTTP/1.0 end the connection") {
  const RunningServer server(sample_routes());
  RawClient closing(server);
  closing.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(status_of(closing.receive()) == 200);
  CHECK(closing.ended(1000));
  RawClient old(server);
  old.send("GET /hello HTTP/1.0\r\n\r\n");
  CHECK(status_of(old.receive()) == 200);
  CHECK(old.ended(1000));
}

TEST_CASE("http_server: unknown paths are 404, other methods 405 with what is allowed") {
  const RunningServer server(sample_routes());
  CHECK(status_of(ask(server, "GET", "/")) == 404);
  CHECK(status_of(ask(server, "GET", "/hello/")) == 404);
  CHECK(status_of(ask(server, "GET", "/hello?x=1")) == 200);
  const auto refused = ask(server, "DELETE", "/hello");
  CHECK(status_of(refused) == 405);
  CHECK(contains(refused, "Allow: GET, HEAD\r\n"));
  CHECK(contains(ask(server, "GET", "/echo"), "Allow: POST\r\n"));
  CHECK(status_of(ask(server, "BREW", "/hello")) == 405);
}

TEST_CASE("http_server: a handler that throws is a 500 that tells nothing") {
  const RunningServer server(sample_routes());
  const auto answer = ask(server, "GET", "/throws");
  CHECK(status_of(answer) == 500);
  CHECK_FALSE(contains(answer, "secret"));
  CHECK(status_of(ask(server, "GET", "/hello")) == 200);
}

TEST_CASE("http_server: what is not HTTP is 400 and ends the connection") {
  const RunningServer server(sample_routes());
  for (const char* bytes : {"*1\r\n$4\r\nPING\r\n",
                            "\x16\x03\x01\x02\x01 hello tls\r\n\r\n",
                            "GET /hello HTTP/3.7\r\n\r\n",
                            "GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
                            "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    INFO(bytes);
    RawClient client(server);
    client.send(bytes);
    CHECK(status_of(client.receive()) == 400);
    CHECK(client.ended(3000));
  }
}

TEST_CASE("http_server: a target that is no path and a second Host are 400") {
  const RunningServer server(sample_routes());
  CHECK(status_of(ask(server, "GET", "http://evil.example/hello")) == 400);
  CHECK(status_of(ask(server, "GET", "/hello", "Host: localhost\r\nHost: evil.example\r\n")) ==
        400);
}

TEST_CASE("http_server: a header above 8 KiB is 431") {
  const RunningServer server(sample_routes());
  const std::string filler(7000, 'a');
  CHECK(status_of(ask(server, "GET", "/hello", "Host: localhost\r\nX: " + filler + "\r\n")) == 200);
  for (const std::size_t size : {9000U, 40000U, 200000U}) {
    RawClient client(server);
    client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(size, 'a') +
                "\r\n\r\n");
    CHECK(status_of(client.receive()) == 431);
    CHECK(client.ended(3000));
  }
}

TEST_CASE("http_server: a body of 64 KiB is read, a larger one is 413") {
  const RunningServer server(sample_routes());
  RawClient client(server);
  client.send(post(65536) + std::string(65536, 'b'));
  CHECK(body_of(client.receive()).size() == 65536 + 4);
  client.send(post(65537) + std::string(65537, 'b'));
  CHECK(status_of(client.receive()) == 413);
  CHECK(client.ended(3000));
  RawClient chunked(server);
  chunked.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string piece = "4000\r\n" + std::string(0x4000, 'c') + "\r\n";
  for (int i = 0; i < 5; ++i) {
    chunked.send(piece);
  }
  CHECK(status_of(chunked.receive()) == 413);
}

TEST_CASE("http_server: a request that drips in, an idle and a silent connection end in time") {
  const HastyServer server(sample_routes());
  const auto start = std::chrono::steady_clock::now();
  RawClient silent(server);
  RawClient idle(server);
  idle.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(idle.receive()) == 200);
  RawClient slow(server);
  slow.send("GET /hello HTTP/1.1\r\n");
  // What it drips does not buy it time.
  while (!slow.ended(20) && std::chrono::steady_clock::now() - start < std::chrono::seconds(8)) {
    static_cast<void>(slow.send("X"));
  }
  CHECK(slow.ended(1000));
  CHECK(silent.ended(1000));
  CHECK(idle.ended(1000));
  CHECK(status_of(ask(server, "GET", "/hello")) == 200);
}

TEST_CASE("http_server: a client that does not read its answer is dropped, others go on") {
  const HastyServer server(sample_routes());
  RawClient lazy(server);
  lazy.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // Its time began before that of one who says nothing: when that one is gone, so is the lazy one.
  RawClient silent(server);
  CHECK(silent.ended());
  CHECK(status_of(ask(server, "GET", "/hello")) == 200);
  CHECK(lazy.ended());
}

TEST_CASE("http_server: the 65th connection ends the one that was silent for the longest") {
  const RunningServer server(sample_routes());
  std::deque<RawClient> clients;
  const auto speak = [](RawClient& client) {
    client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return status_of(client.receive());
  };
  for (std::size_t i = 0; i < HttpServer::kMaxConnections; ++i) {
    clients.emplace_back(server);
    REQUIRE(speak(clients.back()) == 200);
  }
  // The first one speaks again: now the second is the oldest.
  CHECK(speak(clients[0]) == 200);
  CHECK(status_of(ask(server, "GET", "/hello")) == 200);
  CHECK(clients[1].ended(1000));
  CHECK_FALSE(clients[0].ended(50));
  CHECK_FALSE(clients[2].ended(50));
  CHECK(speak(clients[2]) == 200);
}

TEST_CASE("http_server: three hundred connections that come and go") {
  const RunningServer server(sample_routes());
  for (int i = 0; i < 300; ++i) {
    RawClient gone(server);
    gone.send("GET /hel");
    CHECK(status_of(ask(server, "GET", "/hello")) == 200);
  }
}

TEST_CASE("http_server: a port in use is named in the error") {
  const RunningServer first(sample_routes());
  boost::asio::io_context io;
  try {
    const HttpServer second(io, first.endpoint(), "second", sample_routes());
    FAIL("the port was taken twice");
  } catch (const std::runtime_error& e) {
    CHECK(std::string(e.what()) ==
          "cannot listen on " + first.endpoint().to_string() + ": Address already in use");
  }
}

TEST_CASE("http_server: a name that does not resolve is named in the error") {
  boost::asio::io_context io;
  const Endpoint nowhere{"no-such-host.invalid", 1, ""};
  CHECK_THROWS_WITH(HttpServer(io, nowhere, "x", sample_routes()),
                    Catch::StartsWith("cannot listen on no-such-host.invalid:1: the name"));
}

TEST_CASE("http_server: a Unix socket is served, replaced when stale, refused when alive") {
  const Endpoint endpoint{"", 0, unix_path("stale")};
  {
    const RunningServer server(sample_routes(), endpoint);
    CHECK(status_of(ask(server, "GET", "/hello")) == 200);
    CHECK((std::filesystem::status(endpoint.unix_path).permissions() &
           std::filesystem::perms::others_all) == std::filesystem::perms::none);
    boost::asio::io_context io;
    CHECK_THROWS_WITH(HttpServer(io, endpoint, "x", sample_routes()),
                      Catch::Contains("another process listens on it"));
    CHECK(status_of(ask(server, "GET", "/hello")) == 200);
  }
  CHECK_FALSE(std::filesystem::exists(endpoint.unix_path));
  // What a process that was killed leaves behind.
  const auto address = pannier::base::SocketAddress::from_unix_path(endpoint.unix_path);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(dead, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0);
  ::close(dead);
  const RunningServer server(sample_routes(), endpoint);
  CHECK(status_of(ask(server, "GET", "/hello")) == 200);
}

TEST_CASE("http_server: a file that is no socket is not removed") {
  const Endpoint endpoint{"", 0, unix_path("file")};
  std::filesystem::create_directory(endpoint.unix_path);
  boost::asio::io_context io;
  CHECK_THROWS(HttpServer(io, endpoint, "x", sample_routes()));
  CHECK(std::filesystem::remove(endpoint.unix_path));
}

TEST_CASE("http_server: stop closes the listener and what is connected") {
  RunningServer server(sample_routes());
  RawClient idle(server);
  idle.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(idle.receive()) == 200);
  server.stop();
  CHECK(idle.ended(1000));
  const RawClient late(server);
  CHECK_FALSE(late.connected());
  server.stop();
}

TEST_CASE("http_server: destroyed while its io_context still holds connections") {
  boost::asio::io_context io;
  std::optional<HttpServer> server(
      std::in_place, io, Endpoint{"127.0.0.1", 0, ""}, "test", sample_routes());
  server->start();
  io.poll();
  const auto where = server->endpoint();
  RawClient client(pannier::base::SocketAddress::from_ip(where.host, where.port));
  client.send("GET /hel");
  io.poll();
  server.reset();
  SECTION("and it runs on") {
    io.run();
  }
  SECTION("and it never runs again") {}
}
