#include "pannier/admin/http_server.hpp"

#include "http_fixture.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace pannier::admin;

namespace {

Response text(const char* body) {
  return {200, "text/plain", body, {}};
}

// GET /late is answered when GET /release comes; used on the control thread only.
RouteTable late_routes() {
  const auto waiting = std::make_shared<std::vector<Answer>>();
  RouteTable table;
  table.routes = {
      {"GET",
       "/late",
       {},
       [waiting](const Request&, Answer answer) {
         waiting->push_back(std::move(answer));
       }},
      {"GET",
       "/release",
       [waiting](const Request&) {
         for (const Answer& answer : std::exchange(*waiting, {})) {
           answer(text("at last\n"));
         }
         return text("released\n");
       }},
      {"GET",
       "/at-once",
       {},
       [](const Request&, const Answer& answer) {
         answer(text("now\n"));
       }},
      {"GET",
       "/throws",
       {},
       [](const Request&, const Answer&) {
         throw std::runtime_error("secret words");
       }},
  };
  return table;
}

const std::string kGetLate = "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n";

void release(const RunningServer& server) {
  CHECK(body_of(ask(server, "GET", "/release")) == "released\n");
}

}  // namespace

TEST_CASE("http_late: an answer at once, and an error, are as any other") {
  const RunningServer server(late_routes());
  CHECK(body_of(ask(server, "GET", "/at-once")) == "now\n");
  const auto failed = ask(server, "GET", "/throws");
  CHECK(status_of(failed) == 500);
  CHECK_FALSE(contains(failed, "secret"));
  CHECK(status_of(ask(server, "POST", "/late")) == 405);
}

TEST_CASE("http_late: others are served meanwhile, and the connection goes on") {
  const RunningServer server(late_routes());
  RawClient client(server);
  client.send(kGetLate);
  while (!client.has_input()) {  // the first release may come before the request was read
    release(server);
  }
  CHECK(body_of(client.receive()) == "at last\n");
  client.send("GET /at-once HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(body_of(client.receive()) == "now\n");
}

TEST_CASE("http_late: without an answer the client is told") {
  const HastyServer server(late_routes());
  RawClient client(server);
  client.send(kGetLate);
  const auto answer = client.receive();
  CHECK(status_of(answer) == 503);
  release(server);  // for nobody
  client.send("GET /at-once HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(body_of(client.receive()) == "now\n");
}

TEST_CASE("http_late: the server goes while a client waits") {
  const HastyServer server(late_routes());
  RawClient client(server);
  client.send(kGetLate);
  CHECK(body_of(ask(server, "GET", "/at-once")) == "now\n");
}
