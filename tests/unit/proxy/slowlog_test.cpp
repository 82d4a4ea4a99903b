#include "pannier/proxy/slowlog.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

namespace pannier::proxy {

namespace {

std::vector<std::string> remembered(const std::vector<std::string_view>& arguments) {
  return slow_arguments(*command::find(arguments), arguments);
}

SlowEntry entry_at(std::int64_t seconds) {
  SlowEntry entry;
  entry.unix_seconds = seconds;
  return entry;
}

}  // namespace

TEST_CASE("slowlog: keys are remembered, values are not", "[proxy]") {
  CHECK(remembered({"SET", "k", "value", "EX", "10"}) ==
        std::vector<std::string>{"SET", "k", "(5 bytes)", "(2 bytes)", "(2 bytes)"});
  CHECK(remembered({"AUTH", "user", "secret"}) ==
        std::vector<std::string>{"AUTH", "(4 bytes)", "(6 bytes)"});
  const std::string key(200, 'k');
  CHECK(remembered({"GET", key})[1] == std::string(64, 'k') + "... (136 more bytes)");
}

TEST_CASE("slowlog: at most 32 arguments are remembered", "[proxy]") {
  const std::string key = "x";
  std::vector<std::string_view> arguments(32, key);
  arguments[0] = "DEL";
  CHECK(remembered(arguments).size() == 32);
  CHECK(remembered(arguments).back() == "x");
  arguments.resize(61, key);
  const auto cut = remembered(arguments);
  CHECK(cut.size() == 32);
  CHECK(cut.back() == "... (30 more arguments)");
}

TEST_CASE("slowlog: the oldest leave first, and ids go on after a reset", "[proxy]") {
  Slowlog log(2);
  for (int i = 1; i <= 3; ++i) {
    log.add(entry_at(i));
  }
  const auto entries = log.entries();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].unix_seconds == 3);
  CHECK(entries[1].unix_seconds == 2);
  CHECK(entries[0].id == entries[1].id + 1);
  log.reset();
  CHECK(log.size() == 0);
  log.add(entry_at(4));
  CHECK(log.entries()[0].id > entries[0].id);
}

TEST_CASE("slowlog: with room for none it keeps none", "[proxy]") {
  Slowlog log(0);
  log.add(entry_at(1));
  CHECK(log.entries().empty());
}

TEST_CASE("slowlog: entries of several workers are merged newest first", "[proxy]") {
  Slowlog one(8);
  Slowlog two(8);
  one.add(entry_at(1));
  two.add(entry_at(2));
  one.add(entry_at(3));
  const auto all = merge_slow_entries({one.entries(), two.entries(), {}});
  REQUIRE(all.size() == 3);
  CHECK(all[0].unix_seconds == 3);
  CHECK(all[1].unix_seconds == 2);
  CHECK(all[2].unix_seconds == 1);
  CHECK(merge_slow_entries({}).empty());
}

TEST_CASE("slowlog: GET is Redis's reply with where the time went", "[proxy]") {
  SlowEntry entry;
  entry.id = 4;
  entry.unix_seconds = 1795246782;
  entry.total = std::chrono::microseconds(12000);
  entry.queue = std::chrono::microseconds(1500);
  entry.upstream = std::chrono::microseconds(10500);
  entry.arguments = {"GET", "k"};
  entry.client_address = "127.0.0.1:39206";
  entry.client_name = "me";
  entry.node = "10.0.0.1:6379";
  const std::vector<SlowEntry> entries{entry, entry, entry};
  const std::string one =
      "*6\r\n:4\r\n:1795246782\r\n:12000\r\n*5\r\n$3\r\nGET\r\n$1\r\nk\r\n$13\r\nqueue_us=1500\r\n"
      "$17\r\nupstream_us=10500\r\n$18\r\nnode=10.0.0.1:6379\r\n$15\r\n127.0.0.1:39206\r\n"
      "$2\r\nme\r\n";
  std::string out;
  append_slowlog(out, entries, 2);
  CHECK(out == "*2\r\n" + one + one);
  out.clear();
  append_slowlog(out, entries, -1);
  CHECK(out == "*3\r\n" + one + one + one);
  out.clear();
  append_slowlog(out, entries, 0);
  CHECK(out == "*0\r\n");
}

}  // namespace pannier::proxy
