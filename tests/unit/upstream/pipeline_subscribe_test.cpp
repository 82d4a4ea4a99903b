#include "pannier/upstream/pipeline.hpp"

#include "pipeline_fixture.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

using pannier::test::bulk;
using pannier::test::Line;
using pannier::test::same_however_cut;
using Calls = std::vector<std::string>;

namespace {

// '*' in RESP2, '>' in RESP3.
std::string confirmation(char type, std::string_view kind, std::string_view name, int total) {
  return type + ("3\r\n" + bulk(kind)) + (name.empty() ? "$-1\r\n" : bulk(name)) + ":" +
         std::to_string(total) + "\r\n";
}

std::string message(char type, std::string_view channel, std::string_view text) {
  return type + ("3\r\n" + bulk("message")) + bulk(channel) + bulk(text);
}

std::string said(std::uint32_t place, char type, bool last, const std::string& bytes) {
  return "reply " + std::to_string(place) + " " + type + (last ? " last <" : " part <") + bytes;
}

}  // namespace

TEST_CASE("pipeline: SUBSCRIBE of n names completes after n confirmations", "[upstream]") {
  const char type = GENERATE('*', '>');
  const std::string a = confirmation(type, "subscribe", "a", 1);
  const std::string b = confirmation(type, "subscribe", "b", 2);
  const auto prepare = [](Line& line) {
    line.subscribe(2);
    line.ask();
  };
  const std::string stream = a + b + "+PONG\r\n";
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls ==
          Calls{said(0, type, false, a), said(0, type, true, b), said(1, '+', true, "+PONG\r\n")});
  REQUIRE(line.pipeline.subscriptions().channels == 2);
  REQUIRE_FALSE(line.pipeline.streaming());
}

TEST_CASE("pipeline: UNSUBSCRIBE without names completes after one confirmation per subscription",
          "[upstream]") {
  const char type = GENERATE('*', '>');
  Line line;
  line.subscribe(3);
  for (const auto* name : {"a", "b", "c"}) {
    REQUIRE(line.feed(confirmation(
        type, "subscribe", name, static_cast<int>(line.pipeline.subscriptions().channels) + 1)));
  }
  line.subscribe(0);
  line.calls.clear();
  REQUIRE(line.feed(confirmation(type, "unsubscribe", "b", 2)));
  REQUIRE(line.feed(confirmation(type, "unsubscribe", "a", 1)));
  REQUIRE(line.pipeline.size() == 1);
  REQUIRE(line.feed(confirmation(type, "unsubscribe", "c", 0)));
  REQUIRE(line.pipeline.empty());
  REQUIRE(line.calls.back() == said(1, type, true, confirmation(type, "unsubscribe", "c", 0)));
  REQUIRE_FALSE(line.pipeline.subscriptions().any());
}

TEST_CASE("pipeline: UNSUBSCRIBE without names and without subscriptions completes after one",
          "[upstream]") {
  const char type = GENERATE('*', '>');
  const auto* const kind = GENERATE("unsubscribe", "punsubscribe", "sunsubscribe");
  const std::string none = confirmation(type, kind, "", 0);
  Line line;
  line.subscribe(0);
  line.ask();
  REQUIRE(line.feed(none + "+PONG\r\n"));
  REQUIRE(line.calls == Calls{said(0, type, true, none), said(1, '+', true, "+PONG\r\n")});
}

TEST_CASE("pipeline: patterns and channels share a total, shard channels have their own",
          "[upstream]") {
  const char type = GENERATE('*', '>');
  Line line;
  line.subscribe(2);
  line.subscribe(1);
  line.subscribe(1);
  REQUIRE(line.feed(confirmation(type, "subscribe", "a", 1)));
  REQUIRE(line.feed(confirmation(type, "subscribe", "b", 2)));
  REQUIRE(line.feed(confirmation(type, "psubscribe", "p*", 3)));
  REQUIRE(line.feed(confirmation(type, "ssubscribe", "s", 1)));
  const auto& counts = line.pipeline.subscriptions();
  REQUIRE(counts.channels == 2);
  REQUIRE(counts.patterns == 1);
  REQUIRE(counts.shard_channels == 1);
  line.subscribe(0);  // PUNSUBSCRIBE: one confirmation, with the two channels as its total
  REQUIRE(line.feed(confirmation(type, "punsubscribe", "p*", 2)));
  REQUIRE(line.pipeline.empty());
  line.subscribe(0);  // SUNSUBSCRIBE
  REQUIRE(line.feed(confirmation(type, "sunsubscribe", "s", 0)));
  line.subscribe(0);  // UNSUBSCRIBE: two
  REQUIRE(line.feed(confirmation(type, "unsubscribe", "a", 1)));
  REQUIRE(line.pipeline.size() == 1);
  REQUIRE(line.feed(confirmation(type, "unsubscribe", "b", 0)));
  REQUIRE(line.pipeline.empty());
  REQUIRE_FALSE(line.pipeline.subscriptions().any());
}

TEST_CASE("pipeline: SUBSCRIBE twice to one name counts it once", "[upstream]") {
  Line line;
  line.subscribe(2);
  REQUIRE(
      line.feed(confirmation('*', "subscribe", "a", 1) + confirmation('*', "subscribe", "a", 1)));
  REQUIRE(line.pipeline.empty());
  REQUIRE(line.pipeline.subscriptions().channels == 1);
}

TEST_CASE("pipeline: an error is the whole answer to SUBSCRIBE", "[upstream]") {
  Line line;
  line.subscribe(3);
  line.ask();
  REQUIRE(line.feed("-NOPERM no\r\n+PONG\r\n"));
  REQUIRE(line.calls ==
          Calls{said(0, '-', true, "-NOPERM no\r\n"), said(1, '+', true, "+PONG\r\n")});
  REQUIRE_FALSE(line.pipeline.subscriptions().any());
}

TEST_CASE("pipeline: SUBSCRIBE a b, UNSUBSCRIBE, PING in one go find their own replies",
          "[upstream]") {
  const char type = GENERATE('*', '>');
  const auto prepare = [](Line& line) {
    line.subscribe(2);
    line.subscribe(0);
    line.ask();
  };
  const std::string stream = confirmation(type, "subscribe", "a", 1) +
                             confirmation(type, "subscribe", "b", 2) +
                             confirmation(type, "unsubscribe", "a", 1) +
                             confirmation(type, "unsubscribe", "b", 0) + "+PONG\r\n";
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls.size() == 5);
  REQUIRE(line.calls[2] == said(1, type, false, confirmation(type, "unsubscribe", "a", 1)));
  REQUIRE(line.calls[3] == said(1, type, true, confirmation(type, "unsubscribe", "b", 0)));
  REQUIRE(line.calls[4] == said(2, '+', true, "+PONG\r\n"));
}

TEST_CASE("pipeline: messages between the confirmations of one SUBSCRIBE are pushes",
          "[upstream]") {
  const char type = GENERATE('*', '>');
  const auto prepare = [](Line& line) {
    line.subscribe(2);
  };
  const std::string early = message(type, "a", "subscribe");
  const std::string stream =
      confirmation(type, "subscribe", "a", 1) + early + confirmation(type, "subscribe", "b", 2);
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls.size() == 3);
  REQUIRE(line.calls[1] == "push <" + early);
  REQUIRE(line.calls[2] == said(0, type, true, confirmation(type, "subscribe", "b", 2)));
}

TEST_CASE("pipeline: to a RESP2 subscriber messages are pushes and PING's array is a reply",
          "[upstream]") {
  const std::string pmessage = "*4\r\n" + bulk("pmessage") + bulk("p*") + bulk("pa") + bulk("text");
  const std::string pong = "*2\r\n" + bulk("pong") + bulk("");
  Line line;
  line.subscribe(1);
  line.ask();
  REQUIRE(line.feed(confirmation('*', "subscribe", "a", 1)));
  line.calls.clear();
  const std::string stream = message('*', "a", "1") + pong + pmessage + message('*', "a", "2");
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls == Calls{"push <" + message('*', "a", "1"),
                              said(1, '*', true, pong),
                              "push <" + pmessage,
                              "push <" + message('*', "a", "2")});
}

TEST_CASE("pipeline: without a subscription an array that looks like a message is a reply",
          "[upstream]") {
  Line line;
  line.ask();
  REQUIRE(line.feed(message('*', "a", "from LRANGE")));
  REQUIRE(line.calls == Calls{said(0, '*', true, message('*', "a", "from LRANGE"))});
}

TEST_CASE("pipeline: to a RESP3 subscriber an array that looks like a message is a reply",
          "[upstream]") {
  Line line;
  line.subscribe(1);
  line.ask();
  REQUIRE(line.feed(confirmation('>', "subscribe", "a", 1)));
  line.calls.clear();
  REQUIRE(line.feed(message('>', "a", "1") + message('*', "a", "from LRANGE")));
  REQUIRE(line.calls == Calls{"push <" + message('>', "a", "1"),
                              said(1, '*', true, message('*', "a", "from LRANGE"))});
}

TEST_CASE("pipeline: a large message to a RESP2 subscriber is a push, whole", "[upstream]") {
  Line line;
  line.subscribe(1);
  line.ask();  // PING
  REQUIRE(line.feed(confirmation('*', "subscribe", "a", 1)));
  line.calls.clear();
  const std::string large = message('*', "a", std::string(300000, 'm'));
  for (std::size_t at = 0; at < large.size(); at += 50000) {
    REQUIRE(line.feed(large.substr(at, 50000)));
  }
  REQUIRE(line.calls == Calls{"push <" + large});
  REQUIRE(line.pipeline.size() == 1);
}

TEST_CASE("pipeline: lines of MONITOR are pushes once it was asked for, replies are not",
          "[upstream]") {
  const std::string monitored = "+1339518083.107412 [0 127.0.0.1:60866] \"get\" \"k\"\r\n";
  const auto prepare = [](Line& line) {
    line.ask();
    line.ask();
    line.pipeline.expect_monitor_lines();
  };
  const std::string stream = "+OK\r\n" + monitored + "+PONG [0]\r\n" + monitored;
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls == Calls{said(0, '+', true, "+OK\r\n"),
                              "push <" + monitored,
                              said(1, '+', true, "+PONG [0]\r\n"),
                              "push <" + monitored});
  Line other;
  other.ask();
  REQUIRE(other.feed(monitored));
  REQUIRE(other.calls == Calls{said(0, '+', true, monitored)});
}
