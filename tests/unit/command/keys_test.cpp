#include "pannier/command/command.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::command {

namespace {

// `''` stands for an empty argument.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    found.push_back(word == "''" ? std::string_view{} : word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

// The keys joined by spaces, or "?" when they are not to be known.
std::string keys_of(std::string_view request) {
  const auto arguments = words(request);
  const CommandSpec* row = find(arguments);
  REQUIRE(row != nullptr);
  std::vector<std::string_view> keys{"before"};
  if (extract_keys(*row, arguments, keys) == KeyStatus::Unknown) {
    CHECK(keys.size() == 1);
    return "?";
  }
  std::string joined;
  for (std::size_t i = 1; i < keys.size(); ++i) {
    joined += (i == 1 ? "" : " ") + std::string(keys[i]);
  }
  return joined;
}

bool blocks(std::string_view request) {
  const auto arguments = words(request);
  return may_block(*find(arguments), arguments);
}

std::int64_t block_time(std::string_view request) {
  const auto arguments = words(request);
  return block_milliseconds(*find(arguments), arguments);
}

bool safe_on_replica(std::string_view request) {
  const auto arguments = words(request);
  return replica_safe(*find(arguments), arguments);
}

}  // namespace

TEST_CASE("keys: a range counts from the front, from the end and in steps", "[command]") {
  CHECK(keys_of("GET k") == "k");
  CHECK(keys_of("SET k v EX 10 GET") == "k");
  CHECK(keys_of("DEL a b c") == "a b c");
  CHECK(keys_of("MSET a 1 b 2") == "a b");
  CHECK(keys_of("BLPOP a b 0") == "a b");
  CHECK(keys_of("BITOP AND d a b") == "d a b");
  CHECK(keys_of("OBJECT ENCODING k") == "k");
  CHECK(keys_of("MEMORY USAGE k SAMPLES 5") == "k");
  CHECK(keys_of("XGROUP CREATE k g $") == "k");
  CHECK(keys_of("XINFO STREAM k FULL") == "k");
  CHECK(keys_of("PANNIER INVALIDATE a b") == "a b");
  CHECK(keys_of("CL.THROTTLE k 15 30 60") == "k");
}

TEST_CASE("keys: requests without keys have none", "[command]") {
  CHECK(keys_of("PING") == "");
  CHECK(keys_of("CONFIG GET maxmemory") == "");
  CHECK(keys_of("COMMAND") == "");
  CHECK(keys_of("PUBLISH channel x") == "");
  CHECK(keys_of("SPUBLISH channel x") == "");
  CHECK(keys_of("SSUBSCRIBE channel") == "");
  CHECK(keys_of("SCAN 0") == "");
}

TEST_CASE("keys: a request that is too short has unknown keys", "[command]") {
  CHECK(keys_of("GET") == "?");
  CHECK(keys_of("BLPOP k") == "?");
  CHECK(keys_of("OBJECT ENCODING") == "?");
  CHECK(keys_of("SORT") == "?");
  CHECK(keys_of("GEORADIUS") == "?");
  CHECK(keys_of("MIGRATE h p") == "?");
  CHECK(keys_of("EVAL x") == "?");
  CHECK(keys_of("XREAD STREAMS") == "?");
}

TEST_CASE("keys: what may touch any key has unknown keys", "[command]") {
  CHECK(keys_of("FLUSHALL") == "?");
  CHECK(keys_of("FLUSHDB ASYNC") == "?");
  CHECK(keys_of("SWAPDB 0 1") == "?");
  CHECK(keys_of("DEBUG RELOAD") == "?");
  CHECK(keys_of("OBJECT NEWER k") == "?");
}

TEST_CASE("keys: numkeys says how many follow", "[command]") {
  CHECK(keys_of("EVAL s 2 a b c") == "a b");
  CHECK(keys_of("FCALL f 1 a x") == "a");
  CHECK(keys_of("ZUNION 2 a b WITHSCORES") == "a b");
  CHECK(keys_of("LMPOP 2 a b LEFT") == "a b");
  CHECK(keys_of("BLMPOP 0 2 a b LEFT COUNT 3") == "a b");
  CHECK(keys_of("BZMPOP 0.5 1 a MIN") == "a");
  CHECK(keys_of("SINTERCARD 2 a b LIMIT 4") == "a b");
  CHECK(keys_of("ZUNIONSTORE d 2 a b WEIGHTS 1 2") == "d a b");
  CHECK(keys_of("ZDIFFSTORE d 1 a") == "d a");
}

TEST_CASE("keys: a wrong numkeys makes them unknown", "[command]") {
  CHECK(keys_of("EVAL s 3 a b") == "?");
  CHECK(keys_of("EVAL s -1 a b") == "?");
  CHECK(keys_of("EVAL s x a b") == "?");
  CHECK(keys_of("EVAL s 18446744073709551617 a b") == "?");
  CHECK(keys_of("ZUNION 0 a") == "?");
  CHECK(keys_of("ZUNIONSTORE d 0 a") == "?");
  CHECK(keys_of("ZUNIONSTORE d 9223372036854775807 a") == "?");
  CHECK(keys_of("LMPOP 0 LEFT") == "?");
}

TEST_CASE("keys: a script without keys is unknown unless it can only read", "[command]") {
  CHECK(keys_of("EVAL s 0") == "?");
  CHECK(keys_of("EVALSHA s 0 x") == "?");
  CHECK(keys_of("FCALL f 0") == "?");
  CHECK(keys_of("EVAL_RO s 0") == "");
  CHECK(keys_of("FCALL_RO f 0 x") == "");
}

TEST_CASE("keys: streams are the first half behind STREAMS", "[command]") {
  CHECK(keys_of("XREAD STREAMS a b 0 0") == "a b");
  CHECK(keys_of("XREAD COUNT 2 BLOCK 0 streams block $") == "block");
  CHECK(keys_of("XREADGROUP GROUP streams c COUNT 1 NOACK STREAMS a >") == "a");
  CHECK(keys_of("XREADGROUP GROUP g streams STREAMS a >") == "a");
  CHECK(keys_of("XREAD STREAMS a b 0") == "?");
  CHECK(keys_of("XREAD NEWER 3 STREAMS a 0") == "?");
  CHECK(keys_of("XREAD COUNT 2 BLOCK") == "?");
}

TEST_CASE("keys: SORT and GEORADIUS name where they store", "[command]") {
  CHECK(keys_of("SORT k") == "k");
  CHECK(keys_of("SORT k BY store LIMIT 0 10 GET store GET # ALPHA STORE d") == "k d");
  CHECK(keys_of("SORT k STORE a STORE b") == "k b");
  CHECK(keys_of("SORT k STORE") == "k");
  CHECK(keys_of("SORT_RO k BY w_*") == "k");
  CHECK(keys_of("GEORADIUS k 1 2 3 km STORE d") == "k d");
  CHECK(keys_of("GEORADIUSBYMEMBER k m 3 km STOREDIST d") == "k d");
  CHECK(keys_of("GEORADIUS k 1 2 3 km") == "k");
  CHECK(keys_of("GEORADIUS_RO k 1 2 3 km") == "k");
  CHECK(keys_of("GEOSEARCHSTORE d k FROMMEMBER m BYRADIUS 1 km") == "d k");
}

TEST_CASE("keys: MIGRATE names one key or many", "[command]") {
  CHECK(keys_of("MIGRATE h 1 k 0 100") == "k");
  CHECK(keys_of("MIGRATE h 1 k 0 100 COPY AUTH keys REPLACE") == "k");
  CHECK(keys_of("MIGRATE h 1 '' 0 100 AUTH2 keys keys KEYS a b") == "a b");
  CHECK(keys_of("MIGRATE h 1 k 0 100 KEYS a b") == "?");
  CHECK(keys_of("MIGRATE h 1 '' 0 100 KEYS") == "?");
}

TEST_CASE("blocking: only a request that waits is one that may block", "[command]") {
  CHECK(blocks("BLPOP k 0"));
  CHECK(blocks("WAIT 1 100"));
  CHECK(blocks("XREAD BLOCK 0 STREAMS a $"));
  CHECK(blocks("XREADGROUP GROUP g c BLOCK 5 STREAMS a >"));
  CHECK_FALSE(blocks("XREAD COUNT 5 STREAMS block 0"));
  CHECK_FALSE(blocks("XREADGROUP GROUP block c STREAMS a >"));
  CHECK_FALSE(blocks("GET block"));
  CHECK_FALSE(blocks("SUBSCRIBE c"));
}

TEST_CASE("blocking: a stream read with options we do not know is taken to block", "[command]") {
  CHECK(blocks("XREAD NEWER BLOCK 0 STREAMS a 0"));
  CHECK(blocks("XREAD BLOCK"));
}

TEST_CASE("blocking: seconds may have a fraction and are rounded up", "[command]") {
  CHECK(block_time("BLPOP a b 5") == 5000);
  CHECK(block_time("BRPOP a 0") == 0);
  CHECK(block_time("BZPOPMIN a 0.25") == 250);
  CHECK(block_time("BZPOPMAX a 0.0001") == 1);
  CHECK(block_time("BRPOPLPUSH a b 1e1") == 10'000);
  CHECK(block_time("BLMOVE a b LEFT RIGHT 2") == 2000);
  CHECK(block_time("BLMPOP 1.5 1 a LEFT") == 1500);
  CHECK(block_time("BZMPOP +3 1 a MIN") == 3000);
}

TEST_CASE("blocking: milliseconds of streams and WAIT", "[command]") {
  CHECK(block_time("XREAD COUNT 2 BLOCK 1500 STREAMS a $") == 1500);
  CHECK(block_time("XREADGROUP GROUP g c BLOCK 0 STREAMS a >") == 0);
  CHECK(block_time("WAIT 1 250") == 250);
  CHECK(block_time("WAITAOF 1 1 0") == 0);
}

TEST_CASE("blocking: a time that cannot be read is -1", "[command]") {
  for (const std::string_view request : {"BLPOP a x",
                                         "BLPOP a -1",
                                         "BLPOP a nan",
                                         "BLPOP a inf",
                                         "BLPOP a 1e300",
                                         "BLPOP a 1x",
                                         "BLPOP a ''",
                                         "BLPOP a",
                                         "XREAD BLOCK x STREAMS a 0",
                                         "XREAD BLOCK -1 STREAMS a 0",
                                         "XREAD STREAMS a 0",
                                         "WAIT 1",
                                         "GET 5"}) {
    INFO(request);
    CHECK(block_time(request) == -1);
  }
}

TEST_CASE("replicas: XREAD is safe there without $ among its ids", "[command]") {
  CHECK(safe_on_replica("GET k"));
  CHECK(safe_on_replica("XREAD STREAMS $ 0"));
  CHECK(safe_on_replica("XREAD COUNT 5 STREAMS a b 0 1-1"));
  CHECK_FALSE(safe_on_replica("XREAD STREAMS a b 0 $"));
  CHECK_FALSE(safe_on_replica("XREAD BLOCK 5 STREAMS a $"));
  CHECK_FALSE(safe_on_replica("XREAD nonsense"));
  CHECK_FALSE(safe_on_replica("XREADGROUP GROUP g c STREAMS a >"));
  CHECK_FALSE(safe_on_replica("SET k v"));
  CHECK_FALSE(safe_on_replica("SCAN 0"));
}

}  // namespace pannier::command
