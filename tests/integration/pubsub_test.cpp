#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// Subscriptions and client-side caching: what the server says on its own account.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kPatient = "timeouts: { connect: 5s, read: 20s, write: 20s }";

struct Setup {
  RedisServer server;
  PannierProcess pannier{{upstream_of({server.address()}, kPatient), "", {}}};
};

std::string say_hello(RawClient& client, bool resp3) {
  return resp3 ? client.call({"HELLO", "3"}) : std::string{};
}

std::string id_of(RawClient& client) {
  return std::to_string(client.call_integer({"CLIENT", "ID"}));
}

std::string message(bool resp3, const std::string& channel, const std::string& text) {
  return std::string(resp3 ? ">" : "*") + "3\r\n" + bulk("message") + bulk(channel) + bulk(text);
}

}  // namespace

TEST_CASE("pubsub: subscriptions are confirmed and counted as the server does", "[proxy]") {
  const bool resp3 = GENERATE(false, true);
  const Setup setup;
  RawClient direct(setup.server.port());
  RawClient client(setup.pannier.port());
  static_cast<void>(say_hello(direct, resp3));
  static_cast<void>(say_hello(client, resp3));
  const std::vector<Words> steps{
      {"UNSUBSCRIBE"},
      {"SUBSCRIBE", "a", "b", "a", "c"},
      {"PSUBSCRIBE", "x*", "y*"},
      {"PING"},
      {"PING", "text"},
      {"UNSUBSCRIBE", "b", "c", "never"},
      {"SUBSCRIBE"},
      {"SSUBSCRIBE", "shard"},
      {"UNSUBSCRIBE"},
      {"PUNSUBSCRIBE", "y*"},
      {"PUNSUBSCRIBE"},
      {"SUNSUBSCRIBE"},
      {"PING"},
      {"GET", "k"},
      {"SUBSCRIBE", "a"},
      {"UNSUBSCRIBE", "a"},
      {"STRLEN", "k"},
  };
  std::string all;
  for (const Words& step : steps) {
    all += request(step);
  }
  all += request({"ECHO", "the end"});
  std::string wanted;
  std::string got;
  direct.send(all);
  while (!wanted.ends_with(bulk("the end"))) {
    wanted += direct.read();
  }
  client.send(all);
  while (!got.ends_with(bulk("the end"))) {
    got += client.read();
  }
  CHECK(got == wanted);
  CHECK(wait_until(
      [&] { return setup.pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0; }));
}

TEST_CASE("pubsub: UNSUBSCRIBE without names is over after one confirmation for each", "[proxy]") {
  const bool resp3 = GENERATE(false, true);
  const Setup setup;
  RawClient client(setup.pannier.port());
  static_cast<void>(say_hello(client, resp3));
  for (int i = 0; i < 20; ++i) {
    client.send(request({"SUBSCRIBE", "a", "b", "c"}) + request({"PSUBSCRIBE", "x*"}) +
                request({"UNSUBSCRIBE"}) + request({"PUNSUBSCRIBE"}) + request({"UNSUBSCRIBE"}) +
                request({"ECHO", "after"}));
    for (const char* count : {"1", "2", "3", "4", "3", "2", "1", "0", "0"}) {
      CHECK(client.read().ends_with(std::string(":") + count + "\r\n"));
    }
    CHECK(client.read() == bulk("after"));
  }
}

TEST_CASE("pubsub: a thousand messages arrive in order, between replies", "[proxy]") {
  const bool resp3 = GENERATE(false, true);
  const Setup setup;
  RawClient subscriber(setup.pannier.port());
  RawClient publisher(setup.pannier.port());
  static_cast<void>(say_hello(subscriber, resp3));
  static_cast<void>(subscriber.call({"SUBSCRIBE", "news"}));
  constexpr int kMessages = 1000;
  std::string published;
  std::string pings;
  for (int i = 0; i < kMessages; ++i) {
    published += request({"PUBLISH", "news", std::to_string(i)});
    pings += request({"PING", std::to_string(i)});
  }
  publisher.send(published);
  subscriber.send(pings);
  int messages = 0;
  int pongs = 0;
  while (messages < kMessages || pongs < kMessages) {
    const std::string frame = subscriber.read();
    if (frame == message(resp3, "news", std::to_string(messages))) {
      ++messages;
      continue;
    }
    const std::string text = std::to_string(pongs);
    REQUIRE(frame == (resp3 ? bulk(text) : "*2\r\n" + bulk("pong") + bulk(text)));
    ++pongs;
  }
  for (int i = 0; i < kMessages; ++i) {
    REQUIRE(publisher.read() == ":1\r\n");
  }
}

TEST_CASE("pubsub: a RESP3 subscriber works on, and hears itself", "[proxy]") {
  const Setup setup;
  RawClient client(setup.pannier.port());
  static_cast<void>(say_hello(client, true));
  static_cast<void>(client.call({"SUBSCRIBE", "news"}));
  for (int i = 0; i < 100; ++i) {
    const std::string text = std::to_string(i);
    client.send(request({"SET", "k", text}) + request({"PUBLISH", "news", text}) +
                request({"GET", "k"}));
    CHECK(client.read(4) == "+OK\r\n" + message(true, "news", text) + ":1\r\n" + bulk(text));
  }
}

TEST_CASE("pubsub: a subscriber is closed when the node that held its subscription is lost",
          "[proxy]") {
  Setup setup;
  RawClient subscriber(setup.pannier.port());
  RawClient pattern(setup.pannier.port());
  RawClient plain(setup.pannier.port());
  static_cast<void>(subscriber.call({"SUBSCRIBE", "news"}));
  static_cast<void>(pattern.call({"PSUBSCRIBE", "n*"}));
  CHECK(plain.call({"SET", "k", "v"}) == "+OK\r\n");
  setup.server.kill();
  CHECK(subscriber.read_to_end().empty());
  CHECK(pattern.read_to_end().empty());
  CHECK(plain.call({"PING"}) == "+PONG\r\n");  // it holds nothing that was lost
  setup.server.restart();
  CHECK(wait_until([&] { return plain.call({"SET", "k", "v"}) == "+OK\r\n"; }));
}

TEST_CASE("pubsub: a subscriber that is gone is gone upstream too", "[proxy]") {
  const Setup setup;
  RawClient asker(setup.server.port());
  for (const bool with_reset : {false, true}) {
    RawClient subscriber(setup.pannier.port());
    static_cast<void>(subscriber.call({"SUBSCRIBE", "news"}));
    CHECK(asker.call({"PUBSUB", "NUMSUB", "news"}) == "*2\r\n" + bulk("news") + ":1\r\n");
    if (with_reset) {
      subscriber.reset();
    } else {
      subscriber.close();
    }
    CHECK(wait_until([&] {
      return asker.call({"PUBSUB", "NUMSUB", "news"}) == "*2\r\n" + bulk("news") + ":0\r\n";
    }));
  }
}

TEST_CASE("pubsub: RESET ends a subscription and leaves a session that works", "[proxy]") {
  const Setup setup;
  RawClient client(setup.pannier.port());
  static_cast<void>(client.call({"SUBSCRIBE", "news"}));
  CHECK(client.call({"GET", "k"}).starts_with("-ERR Can't execute 'get'"));
  CHECK(client.call({"CLIENT", "ID"}).starts_with("-ERR Can't execute 'client|id'"));
  CHECK(client.call({"RESET"}) == "+RESET\r\n");
  CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
  RawClient publisher(setup.pannier.port());
  CHECK(publisher.call({"PUBLISH", "news", "x"}) == ":0\r\n");
}

TEST_CASE("tracking: a RESP3 client hears of keys that it read and others change", "[proxy]") {
  const Setup setup;
  RawClient tracker(setup.pannier.port());
  RawClient writer(setup.pannier.port());
  static_cast<void>(say_hello(tracker, true));
  CHECK(tracker.call({"CLIENT", "TRACKING", "ON"}) == "+OK\r\n");
  for (int i = 0; i < 50; ++i) {
    const std::string key = "key:" + std::to_string(i);
    CHECK(tracker.call({"GET", key}) == "_\r\n");
    CHECK(writer.call({"SET", key, "v"}) == "+OK\r\n");
    CHECK(tracker.read() == ">2\r\n" + bulk("invalidate") + "*1\r\n" + bulk(key));
  }
  CHECK(writer.call({"SET", "unread", "v"}) == "+OK\r\n");
  CHECK(tracker.call({"CLIENT", "TRACKING", "OFF"}) == "+OK\r\n");
  CHECK(tracker.call({"GET", "key:0"}) == bulk("v"));
  CHECK(writer.call({"SET", "key:0", "w"}) == "+OK\r\n");
  CHECK(tracker.call({"PING"}) == "+PONG\r\n");
  CHECK(wait_until(
      [&] { return setup.pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0; }));
}

TEST_CASE("tracking: a RESP2 client redirects invalidations to another session", "[proxy]") {
  const Setup setup;
  RawClient listener(setup.pannier.port());
  RawClient tracker(setup.pannier.port());
  RawClient writer(setup.pannier.port());
  const std::string id = id_of(listener);
  static_cast<void>(listener.call({"SUBSCRIBE", "__redis__:invalidate"}));
  CHECK(tracker.call({"CLIENT", "TRACKING", "ON", "REDIRECT", "999999"}).starts_with("-ERR "));
  CHECK(tracker.call({"CLIENT", "TRACKING", "ON", "REDIRECT", id}) == "+OK\r\n");
  CHECK(tracker.call({"GET", "k"}) == "$-1\r\n");
  CHECK(writer.call({"SET", "k", "v"}) == "+OK\r\n");
  CHECK(listener.read() ==
        "*3\r\n" + bulk("message") + bulk("__redis__:invalidate") + "*1\r\n" + bulk("k"));
}

TEST_CASE("tracking: a tracking client is closed when its node is lost", "[proxy]") {
  Setup setup;
  RawClient tracker(setup.pannier.port());
  static_cast<void>(say_hello(tracker, true));
  CHECK(tracker.call({"CLIENT", "TRACKING", "ON", "BCAST"}) == "+OK\r\n");
  setup.server.kill();
  CHECK(tracker.read_to_end().empty());
}

}  // namespace pannier::test
