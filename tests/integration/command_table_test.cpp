#include "pannier/base/bytes.hpp"
#include "pannier/command/categories.hpp"
#include "pannier/command/command.hpp"
#include "pannier/command/learned.hpp"

#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The table against the server's own COMMAND and COMMAND GETKEYS.
namespace pannier::command {

namespace {

using Words = std::vector<std::string>;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

using Reply = std::unique_ptr<redisReply, FreeReply>;

class Connection {
 public:
  explicit Connection(int port) : context_(redisConnect("127.0.0.1", port)) {
    REQUIRE(context_);
    REQUIRE(context_->err == 0);
  }

  Reply run(const Words& words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      texts.push_back(word.data());
      sizes.push_back(word.size());
    }
    Reply reply(static_cast<redisReply*>(redisCommandArgv(
        context_.get(), static_cast<int>(words.size()), texts.data(), sizes.data())));
    REQUIRE(reply);
    return reply;
  }

 private:
  std::unique_ptr<redisContext, FreeContext> context_;
};

std::span<redisReply*> elements(const redisReply& reply) {
  return {reply.element, reply.elements};
}

std::string text(const redisReply& reply) {
  return {reply.str, reply.len};
}

std::string joined(const auto& parts) {
  std::string all;
  for (const auto& part : parts) {
    all += (all.empty() ? "" : " ") + std::string(part);
  }
  return all;
}

// What Pannier adds, and the one flag that COMMAND hides.
constexpr std::uint32_t kNotTold = kHeavy | kReplicaSafe | kUnknownKeys | kContainer |
                                   kMayReplicate | kCacheable | kTypedReply | kOwnReply;

std::uint32_t told_flags(const redisReply& flags) {
  std::uint32_t bits = 0;
  for (const redisReply* flag : elements(flags)) {
    INFO(text(*flag));
    CHECK(flag_of(text(*flag)) != 0);
    bits |= flag_of(text(*flag));
  }
  return bits;
}

std::uint32_t told_categories(const redisReply& categories) {
  std::uint32_t bits = 0;
  for (const redisReply* category : elements(categories)) {
    const std::string name = text(*category);
    INFO(name);
    CHECK(name.starts_with('@'));
    CHECK(category_of(std::string_view(name).substr(1)) != 0);
    bits |= category_of(std::string_view(name).substr(1));
  }
  return bits;
}

// One element of COMMAND, and its subcommands.
void compare(const redisReply& told, std::vector<std::string>& names) {
  const auto parts = elements(told);
  REQUIRE(parts.size() >= 10);
  const std::string name = text(*parts[0]);
  INFO(name);
  names.push_back(name);
  const CommandSpec* row = find(name);
  CHECK(row != nullptr);
  if (row != nullptr) {
    CHECK(row->arity == parts[1]->integer);
    CHECK((row->flags & ~kNotTold) == told_flags(*parts[2]));
    CHECK(row->has(kContainer) == (parts[9]->elements > 0));
    const bool by_count = row->rule == KeyRule::NumKeys;
    CHECK((by_count ? 0 : row->first) == parts[3]->integer);
    CHECK(row->last == parts[4]->integer);
    CHECK(row->step == parts[5]->integer);
    CHECK(categories_of(*row) == told_categories(*parts[6]));
  }
  for (const redisReply* subcommand : elements(*parts[9])) {
    compare(*subcommand, names);
  }
}

Words split(std::string_view request) {
  Words words;
  while (!request.empty()) {
    const std::size_t end = std::min(request.find(' '), request.size());
    const std::string_view word = request.substr(0, end);
    words.emplace_back(word == "''" ? std::string_view{} : word);
    request.remove_prefix(std::min(end + 1, request.size()));
  }
  return words;
}

struct Extracted {
  KeyStatus status;
  Words keys;
};

Extracted extract(const Words& request) {
  const std::vector<std::string_view> arguments(request.begin(), request.end());
  const CommandSpec* row = find(arguments);
  REQUIRE(row != nullptr);
  std::vector<std::string_view> keys;
  const KeyStatus status = extract_keys(*row, arguments, keys);
  return {status, Words(keys.begin(), keys.end())};
}

Reply ask_keys(Connection& connection, const Words& request) {
  Words question{"COMMAND", "GETKEYS"};
  question.insert(question.end(), request.begin(), request.end());
  return connection.run(question);
}

// What the server names; empty also when it refuses to look.
Words keys_told(Connection& connection, const Words& request) {
  const Reply reply = ask_keys(connection, request);
  Words keys;
  if (reply->type == REDIS_REPLY_ERROR) {
    INFO(text(*reply));
    CHECK(text(*reply).find("arity") == std::string::npos);
    CHECK(text(*reply).find("number of arguments") == std::string::npos);
    return keys;
  }
  for (const redisReply* key : elements(*reply)) {
    keys.push_back(text(*key));
  }
  return keys;
}

// The same keys in the same order; where the server sees none, we see none or do not know.
void compare_keys(Connection& connection, const Words& request) {
  INFO(joined(request));
  const Extracted ours = extract(request);
  const Words theirs = keys_told(connection, request);
  CHECK(ours.keys == theirs);
  if (!theirs.empty()) {
    CHECK(ours.status == KeyStatus::Ok);
  }
}

// A request of `count` arguments that are all different.
Words example(const CommandSpec& row, std::size_t count) {
  Words request;
  const std::size_t bar = row.name.find('|');
  request.emplace_back(row.name.substr(0, bar));
  if (bar != std::string_view::npos) {
    request.emplace_back(row.name.substr(bar + 1));
  }
  while (request.size() < count) {
    request.push_back("a" + std::to_string(request.size()));
  }
  return request;
}

// Requests whose keys depend on their words. One per command with movable keys, and more where
// the words can mislead.
constexpr std::string_view kExamples[] = {
    "EVAL s 2 a b c",
    "EVAL s 1 a",
    "EVAL_RO s 3 a b c",
    "EVALSHA s 1 a b",
    "EVALSHA_RO s 2 a b",
    "EVAL s 3 a b",
    "EVAL s -1 a",
    "FCALL f 2 a b c",
    "FCALL_RO f 1 a b",
    "XREAD STREAMS a 0",
    "XREAD COUNT 2 BLOCK 100 STREAMS a b c 0 0 $",
    "XREAD BLOCK 0 streams streams $",
    "XREADGROUP GROUP g c STREAMS a >",
    "XREADGROUP GROUP g c COUNT 1 BLOCK 5 NOACK STREAMS a b > 0",
    "XREADGROUP GROUP streams c STREAMS a >",
    "ZUNION 2 a b",
    "ZUNION 1 a WITHSCORES",
    "ZINTER 2 a b WEIGHTS 1 2 AGGREGATE MAX",
    "ZDIFF 3 a b c WITHSCORES",
    "ZINTERCARD 2 a b LIMIT 5",
    "SINTERCARD 2 a b LIMIT 5",
    "SINTERCARD 1 a",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
    "ZINTERSTORE d 1 a",
    "ZDIFFSTORE d 2 a b",
    "ZUNIONSTORE d 3 a b",
    "LMPOP 2 a b LEFT COUNT 2",
    "ZMPOP 1 a MIN",
    "BLMPOP 0 2 a b RIGHT",
    "BZMPOP 1.5 1 a MAX COUNT 2",
    "SORT k",
    "SORT k STORE d",
    "SORT k BY w_* LIMIT 0 5 GET # GET o_* DESC ALPHA STORE d",
    "SORT k BY store GET store STORE d",
    "SORT k LIMIT store store STORE d",
    "SORT k STORE a STORE b",
    "SORT k STORE",
    "SORT_RO k BY w_* GET #",
    "GEORADIUS k 1 2 3 km",
    "GEORADIUS k 1 2 3 km WITHDIST COUNT 3 ASC STORE d",
    "GEORADIUS k 1 2 3 km STOREDIST d",
    "GEORADIUS k 1 2 3 km STORE a STOREDIST b",
    "GEORADIUSBYMEMBER k m 3 km",
    "GEORADIUSBYMEMBER k m 3 km STORE d",
    "GEORADIUS_RO k 1 2 3 km",
    "GEORADIUSBYMEMBER_RO k m 3 km",
    "GEOSEARCH k FROMMEMBER m BYRADIUS 1 km",
    "GEOSEARCHSTORE d k FROMMEMBER m BYRADIUS 1 km",
    "MIGRATE 127.0.0.1 1 k 0 100",
    "MIGRATE 127.0.0.1 1 k 0 100 COPY REPLACE",
    "MIGRATE 127.0.0.1 1 '' 0 100 KEYS a b c",
    "MIGRATE 127.0.0.1 1 '' 0 100 COPY AUTH keys KEYS a",
    "MIGRATE 127.0.0.1 1 '' 0 100 AUTH2 u keys REPLACE KEYS a b",
    "SET k v",
    "SET k v NX GET EX 10",
    "SET k v KEEPTTL",
    "MSET a 1 b 2 c 3",
    "MSETNX a 1 b 2",
    "BITFIELD k GET u8 0 SET u8 0 1",
    "BITFIELD_RO k GET u8 0",
    "BITOP NOT d a",
    "BITOP AND d a b c",
    "COPY a b DB 1 REPLACE",
    "RENAME a b",
    "SMOVE a b m",
    "LMOVE a b LEFT RIGHT",
    "BLMOVE a b LEFT RIGHT 0",
    "RPOPLPUSH a b",
    "BRPOPLPUSH a b 0",
    "BLPOP a b c 0",
    "BZPOPMIN a b 1.5",
    "OBJECT ENCODING k",
    "OBJECT FREQ k",
    "MEMORY USAGE k SAMPLES 5",
    "XGROUP CREATE k g $ MKSTREAM",
    "XGROUP DESTROY k g",
    "XGROUP SETID k g 0",
    "XGROUP CREATECONSUMER k g c",
    "XGROUP DELCONSUMER k g c",
    "XINFO STREAM k FULL COUNT 3",
    "XINFO GROUPS k",
    "XINFO CONSUMERS k g",
    "XADD k MAXLEN ~ 10 * f v",
    "XAUTOCLAIM k g c 0 0",
    "PFCOUNT a b",
    "PFMERGE d a b",
    "PFDEBUG GETREG k",
    "SDIFFSTORE d a b",
    "SUNION a b c",
    "ZRANGESTORE d k 0 -1",
    "LCS a b LEN",
    "DEL a b c",
    "WATCH a b",
    "RESTORE k 0 v",
    "RESTORE-ASKING k 0 v",
    "MOVE k 1",
    "DUMP k",
};

}  // namespace

TEST_CASE("command table: says what the server's own COMMAND says", "[command]") {
  const test::RedisServer server;
  Connection connection(server.port());
  const Reply reply = connection.run({"COMMAND"});
  REQUIRE(reply->type == REDIS_REPLY_ARRAY);
  REQUIRE(reply->elements > 200);
  std::vector<std::string> names;
  for (const redisReply* told : elements(*reply)) {
    compare(*told, names);
  }
  WARN("compared " << names.size() << " commands of the server with " << table().size() << " rows");
}

TEST_CASE("command table: the categories are those that the server has", "[command]") {
  const test::RedisServer server;
  Connection connection(server.port());
  const Reply reply = connection.run({"ACL", "CAT"});
  REQUIRE(reply->type == REDIS_REPLY_ARRAY);
  Words told;
  for (const redisReply* name : elements(*reply)) {
    told.push_back(text(*name));
  }
  std::sort(told.begin(), told.end());
  CHECK(told == Words(category_names().begin(), category_names().end()));
}

TEST_CASE("keys: as COMMAND GETKEYS gives them, for every command by its arity", "[command]") {
  const test::RedisServer server;
  Connection connection(server.port());
  std::size_t compared = 0;
  for (const CommandSpec& row : table()) {
    const bool by_words = row.rule != KeyRule::None && row.rule != KeyRule::Range;
    const Reply told = connection.run({"COMMAND", "INFO", std::string(row.name)});
    if (by_words || told->elements != 1 || told->element[0]->type != REDIS_REPLY_ARRAY) {
      continue;
    }
    const auto least = static_cast<std::size_t>(row.arity < 0 ? -row.arity : row.arity);
    const auto step = static_cast<std::size_t>(std::max<std::int16_t>(row.step, 1));
    const std::size_t most = row.arity < 0 ? least + 3 * step : least;
    for (std::size_t count = least; count <= most; count += step) {
      const Words request = example(row, count);
      // COMMAND GETKEYS takes no container, nor a command alone, nor PFMERGE without sources,
      // although that creates its destination.
      if (!row.has(kContainer) && request.size() > 1 && (row.name != "pfmerge" || count > 2)) {
        compare_keys(connection, request);
        ++compared;
      }
    }
  }
  CHECK(compared > 500);
}

TEST_CASE("keys: as COMMAND GETKEYS gives them, where words decide", "[command]") {
  const test::RedisServer server;
  Connection connection(server.port());
  for (const std::string_view request : kExamples) {
    compare_keys(connection, split(request));
  }
}

TEST_CASE("keys: none that the server sees is missed, whatever the words", "[command]") {
  constexpr const char* kWords[] = {
      "a",     "b",     "",      "0",     "1",       "2",     "-1",    "3",       "STORE",
      "store", "BY",    "LIMIT", "GET",   "STREAMS", "BLOCK", "COUNT", "streams", "KEYS",
      "AUTH",  "AUTH2", "GROUP", "NOACK", "COPY",    "#",     ">",     "$",       "STOREDIST"};
  const test::RedisServer server;
  Connection connection(server.port());
  std::mt19937 random{20240607};
  const auto below = [&random](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  for (int round = 0; round < 100; ++round) {
    for (const CommandSpec& row : table()) {
      if (row.rule == KeyRule::None || row.rule == KeyRule::Range) {
        continue;
      }
      Words request{std::string(row.name)};
      const std::size_t count = static_cast<std::size_t>(-row.arity) + below(8);
      while (request.size() < count) {
        request.emplace_back(kWords[below(std::size(kWords))]);
      }
      // COMMAND GETKEYS takes SORT's "STORE store x" for two options; SORT itself refuses it.
      if (row.rule == KeyRule::Sort &&
          base::to_lower(joined(request)).find("store store") != std::string::npos) {
        continue;
      }
      const Extracted ours = extract(request);
      for (const std::string& key : keys_told(connection, request)) {
        INFO(joined(request) << " has " << key);
        const bool seen = std::find(ours.keys.begin(), ours.keys.end(), key) != ours.keys.end();
        CHECK((seen || ours.status == KeyStatus::Unknown));
      }
    }
  }
}

TEST_CASE("keys: every rule of the table has an example", "[command]") {
  for (const CommandSpec& row : table()) {
    if (row.rule == KeyRule::None || row.rule == KeyRule::Range) {
      continue;
    }
    INFO(row.name);
    CHECK(std::any_of(std::begin(kExamples), std::end(kExamples), [&row](std::string_view text) {
      return base::to_lower(split(text)[0]) == row.name;
    }));
  }
}

TEST_CASE("keys: a script without keys has none for the server and may be any for us",
          "[command]") {
  const test::RedisServer server;
  Connection connection(server.port());
  for (const std::string_view request : {"EVAL s 0", "EVALSHA s 0", "FCALL f 0 x"}) {
    INFO(request);
    CHECK(extract(split(request)).status == KeyStatus::Unknown);
    CHECK(ask_keys(connection, split(request))->elements == 0);
  }
  for (const std::string_view request : {"EVAL_RO s 0", "EVALSHA_RO s 0", "FCALL_RO f 0 x"}) {
    INFO(request);
    CHECK(extract(split(request)).status == KeyStatus::Ok);
    CHECK(ask_keys(connection, split(request))->elements == 0);
  }
}

}  // namespace pannier::command
