#include "pannier/proxy/session.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>
#include <sys/epoll.h>

#include <string>

using namespace pannier;
using proxy::Session;
using proxy::Sessions;

TEST_CASE("session: requests in one piece are answered in one piece", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  sessions.say("PING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n");
  session.on_events(EPOLLIN);
  session.flush();
  REQUIRE(sessions.heard() == "+PONG\r\n$2\r\nhi\r\n");
}

TEST_CASE("session: replies that are out of order leave in order", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  const auto first = session.open_place();
  const auto second = session.open_place();
  session.answer("+3\r\n");
  session.reply(second, "+2\r\n");
  session.flush();
  REQUIRE(sessions.heard().empty());
  session.reply(first, "+1\r\n");
  session.flush();
  REQUIRE(sessions.heard() == "+1\r\n+2\r\n+3\r\n");
}

TEST_CASE("session: every connection that it holds up is read again", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  upstream::Connection one(sessions.context.runtime, sessions.router, {.node = 0});
  upstream::Connection two(sessions.context.runtime, sessions.router, {.node = 0});
  upstream::Connection lost(sessions.context.runtime, sessions.router, {.node = 0});
  for (upstream::Connection* connection : {&one, &two, &lost}) {
    session.pause(*connection);
    REQUIRE(connection->paused());
  }
  session.forget(lost);
  session.flush();  // nothing is queued: the client reads
  REQUIRE_FALSE(one.paused());
  REQUIRE_FALSE(two.paused());
  REQUIRE(lost.paused());
}

TEST_CASE("session: closed, it holds no connection up", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  upstream::Connection one(sessions.context.runtime, sessions.router, {.node = 0});
  upstream::Connection two(sessions.context.runtime, sessions.router, {.node = 0});
  session.pause(one);
  session.pause(two);
  session.close(metrics::CloseReason::Killed);
  REQUIRE_FALSE(one.paused());
  REQUIRE_FALSE(two.paused());
  REQUIRE(sessions.context.runtime.metrics.sessions.value() == 0);
}

TEST_CASE("session: what a client said before it hung up is done", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  sessions.say("CLIENT SETNAME last-words\r\n");
  sessions.hang_up();
  session.on_events(EPOLLIN | EPOLLHUP | EPOLLRDHUP);
  REQUIRE(session.state.name == "last-words");
  if (!session.closed()) {
    session.on_events(EPOLLIN | EPOLLHUP | EPOLLRDHUP);
    session.flush();
  }
  REQUIRE(session.closed());
}

TEST_CASE("session: a client that hung up and says nothing is gone", "[proxy]") {
  Sessions sessions;
  Session& session = sessions.add();
  session.wait_for(proxy::Waiting::Order);
  sessions.hang_up();
  session.on_events(EPOLLHUP);
  REQUIRE(session.closed());
  REQUIRE(sessions.context.sessions.size() == 0);
  sessions.context.sessions.sweep();
}
