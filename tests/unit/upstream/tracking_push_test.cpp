#include "tracking_push.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using pannier::upstream::PushReader;
using Kind = PushReader::Kind;

namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string array(const std::vector<std::string>& keys) {
  std::string out = "*" + std::to_string(keys.size()) + "\r\n";
  for (const std::string& key : keys) {
    out += bulk(key);
  }
  return out;
}

std::string push(const std::string& payload) {
  return ">2\r\n" + bulk("invalidate") + payload;
}

std::string message(const std::string& channel, const std::string& payload) {
  return "*3\r\n" + bulk("message") + bulk(channel) + payload;
}

// The keys, and at the end what the reader makes of the frame.
std::vector<std::string> keys_of(const std::string& frame, Kind expected = Kind::Keys) {
  PushReader reader(frame);
  std::vector<std::string> out;
  while (const auto key = reader.next(frame)) {
    out.emplace_back(*key);
  }
  REQUIRE(reader.kind() == expected);
  REQUIRE(reader.at_end());
  return out;
}

Kind kind_of(const std::string& frame) {
  return PushReader(frame).kind();
}

}  // namespace

TEST_CASE("tracking_push: keys are bytes: empty, with line ends, a megabyte long", "[upstream]") {
  const std::vector<std::string> keys{
      "a", "", std::string("\0\r\n*1\xff", 6), std::string(1 << 20, 'k')};
  REQUIRE(keys_of(push(array(keys))) == keys);
  REQUIRE(keys_of(message("__redis__:invalidate", array(keys))) == keys);
  REQUIRE(keys_of(">3" + message("__redis__:invalidate", array(keys)).substr(2)) == keys);
  REQUIRE(keys_of(push(array({}))).empty());
}

TEST_CASE("tracking_push: one key may come without an array around it", "[upstream]") {
  REQUIRE(keys_of(message("__redis__:invalidate", bulk("k"))) == std::vector<std::string>{"k"});
  REQUIRE(keys_of(message("pannier:invalidate", bulk("k"))) == std::vector<std::string>{"k"});
  REQUIRE(keys_of(message("pannier:invalidate", bulk(""))) == std::vector<std::string>{""});
}

TEST_CASE("tracking_push: null means everything, in every encoding", "[upstream]") {
  for (const std::string null : {"_\r\n", "$-1\r\n", "*-1\r\n"}) {
    REQUIRE(kind_of(push(null)) == Kind::Flush);
    REQUIRE(kind_of(message("__redis__:invalidate", null)) == Kind::Flush);
  }
  REQUIRE(kind_of(message("pannier:flush", bulk(""))) == Kind::Flush);
  REQUIRE(kind_of(message("pannier:flush", bulk("anything"))) == Kind::Flush);
}

TEST_CASE("tracking_push: a message on the canary's channel has its value", "[upstream]") {
  const std::string frame = message("pannier:canary", bulk("7-1"));
  const PushReader reader(frame);
  REQUIRE(reader.kind() == Kind::Canary);
  REQUIRE(reader.payload(frame) == "7-1");
}

TEST_CASE("tracking_push: other kinds are ignored", "[upstream]") {
  REQUIRE(kind_of(">3\r\n" + bulk("foo") + bulk("a") + bulk("b")) == Kind::Ignored);
  REQUIRE(kind_of(">1\r\n" + bulk("foo")) == Kind::Ignored);
  REQUIRE(kind_of(message("news", bulk("x"))) == Kind::Ignored);
  REQUIRE(kind_of("*4\r\n" + bulk("pmessage") + bulk("p*") + bulk("c") + bulk("x")) ==
          Kind::Ignored);
  REQUIRE(kind_of("*2\r\n" + bulk("invalidate") + array({"k"})) == Kind::Ignored);
  REQUIRE(kind_of(">1\r\n" + bulk("tracking-redir-broken")) == Kind::RedirectBroken);
}

TEST_CASE("tracking_push: what is not understood is malformed, never keys", "[upstream]") {
  const std::string frame = GENERATE(std::string(">0\r\n"),
                                     std::string(">1\r\n:1\r\n"),
                                     std::string("+OK\r\n"),
                                     std::string("|1\r\n+a\r\n+b\r\n"),
                                     push("") + ":1\r\n",
                                     push("+key\r\n"),
                                     push(bulk("key")),
                                     push("*-2\r\n"),
                                     push("*-1\r\n") + "x",
                                     std::string(">2\r\n$10\r\ninvalidate\r\n"),
                                     std::string(">3\r\n$10\r\ninvalidate\r\n*0\r\n*0\r\n"),
                                     message("pannier:invalidate", array({"k"})),
                                     message("pannier:invalidate", "$-1\r\n"),
                                     message("pannier:canary", ":1\r\n"),
                                     std::string("*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n"));
  INFO(frame);
  REQUIRE(kind_of(frame) == Kind::Malformed);
}

TEST_CASE("tracking_push: a fault behind some keys is found when it is reached", "[upstream]") {
  REQUIRE(keys_of(push("*2\r\n" + bulk("a") + ":1\r\n"), Kind::Malformed) ==
          std::vector<std::string>{"a"});
  REQUIRE(keys_of(push("*2\r\n" + bulk("a") + "$-1\r\n"), Kind::Malformed).size() == 1);
  REQUIRE(keys_of(push("*1\r\n" + bulk("a") + "x"), Kind::Malformed).empty());
}
