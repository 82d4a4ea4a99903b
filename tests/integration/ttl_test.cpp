#include "ttl_rig.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

// TTL rules on every storing command, through the whole program: the client's reply is the one that
// a server gives to the client's own command, and the key lives as long as the policy says.
namespace pannier::test {
namespace {

constexpr const char* kKey = "all:k";

// How the key is before the command.
enum class State {
  Absent,
  Endless,  // no TTL
  Within,   // 20 s
  Above     // 1000 s
};

enum class Style {
  Plain,
  Pipelined,
  Multi
};

// What decides whether the rules apply.
enum class Kind {
  Always,       // it stores
  Conditional,  // only if the reply says so; in MULTI, where nobody knows, always
  Carried,      // the same, but the TTL is part of the command
  Explicit      // as Carried; a minimum holds too
};

struct Row {
  Words words;
  Words create;  // makes the key
  Kind kind = Kind::Always;
};

const Words kString{"SET", kKey, "1"};
const Words kHash{"HSET", kKey, "f", "1"};
const Words kList{"RPUSH", kKey, "p"};
const Words kSet{"SADD", kKey, "p"};
const Words kZset{"ZADD", kKey, "5", "p"};
const Words kStream{"XADD", kKey, "0-1", "f", "v"};
const Words kGeo{"GEOADD", kKey, "1", "1", "p"};
const Words kLog{"PFADD", kKey, "p"};

std::vector<Row> string_rows() {
  using enum Kind;
  return {{{"SET", kKey, "v"}, kString},
          {{"SET", kKey, "v", "NX"}, kString, Carried},
          {{"SET", kKey, "v", "XX"}, kString, Carried},
          {{"SET", kKey, "v", "GET"}, kString},
          {{"SET", kKey, "v", "KEEPTTL"}, kString},
          {{"SET", kKey, "v", "XX", "KEEPTTL"}, kString, Conditional},
          {{"SET", kKey, "v", "NX", "KEEPTTL"}, kString, Carried},
          {{"SET", kKey, "v", "EX", "5"}, kString, Explicit},
          {{"SET", kKey, "v", "EX", "50"}, kString, Explicit},
          {{"SET", kKey, "v", "EX", "500", "GET"}, kString, Explicit},
          {{"SET", kKey, "v", "NX", "PX", "500000"}, kString, Explicit},
          {{"SET", kKey, "v", "EXAT", "4000000000"}, kString, Explicit},
          {{"SET", kKey, "v", "PXAT", "1"}, kString, Explicit},
          {{"SET", kKey, "v", "EX", "0"}, kString, Carried},
          {{"SET", kKey, "v", "EX", "9223372036854775807"}, kString, Carried},
          {{"SET", kKey, "v", "NX", "XX"}, kString, Carried},
          {{"SETEX", kKey, "5", "v"}, kString, Explicit},
          {{"SETEX", kKey, "500", "v"}, kString, Explicit},
          {{"PSETEX", kKey, "50000", "v"}, kString, Explicit},
          {{"SETNX", kKey, "v"}, kString, Carried},
          {{"GETSET", kKey, "v"}, kString},
          {{"MSET", kKey, "v", "free:m", "w"}, kString},
          {{"MSETNX", kKey, "v", "all:m", "w"}, kString, Conditional},
          {{"APPEND", kKey, "v"}, kString},
          {{"INCR", kKey}, kString},
          {{"DECRBY", kKey, "3"}, kString},
          {{"INCRBYFLOAT", kKey, "1.5"}, kString},
          {{"SETRANGE", kKey, "1", "v"}, kString},
          {{"SETBIT", kKey, "1", "1"}, kString},
          {{"BITFIELD", kKey, "SET", "u8", "0", "1"}, kString},
          {{"BITOP", "NOT", kKey, "free:str"}, kString},
          {{"PFADD", kKey, "v"}, kLog},
          {{"PFMERGE", kKey, "free:log"}, kLog},
          {{"RENAME", "free:str", kKey}, kString, Conditional},
          {{"RENAME", "free:nothing", kKey}, kString, Conditional},
          {{"RENAMENX", "free:str", kKey}, kString, Conditional},
          {{"COPY", "free:str", kKey}, kString, Conditional},
          {{"COPY", "free:str", kKey, "REPLACE"}, kString, Conditional}};
}

std::vector<Row> other_rows() {
  using enum Kind;
  return {{{"HSET", kKey, "f", "v", "g", "w"}, kHash},
          {{"HMSET", kKey, "f", "v"}, kHash},
          {{"HSETNX", kKey, "f", "v"}, kHash, Conditional},
          {{"HINCRBY", kKey, "f", "1"}, kHash},
          {{"HINCRBYFLOAT", kKey, "f", "1"}, kHash},
          {{"LPUSH", kKey, "v"}, kList},
          {{"RPUSH", kKey, "v"}, kList},
          {{"LPUSHX", kKey, "v"}, kList, Conditional},
          {{"RPUSHX", kKey, "v"}, kList, Conditional},
          {{"LINSERT", kKey, "BEFORE", "p", "v"}, kList, Conditional},
          {{"LINSERT", kKey, "BEFORE", "none", "v"}, kList, Conditional},
          {{"LSET", kKey, "0", "v"}, kList, Conditional},
          {{"LMOVE", "free:list", kKey, "LEFT", "LEFT"}, kList, Conditional},
          {{"RPOPLPUSH", "free:list", kKey}, kList, Conditional},
          {{"RPOPLPUSH", "free:nothing", kKey}, kList, Conditional},
          {{"BLMOVE", "free:list", kKey, "LEFT", "LEFT", "1"}, kList, Conditional},
          {{"BRPOPLPUSH", "free:list", kKey, "1"}, kList, Conditional},
          {{"SADD", kKey, "v"}, kSet},
          {{"SMOVE", "free:set", kKey, "a"}, kSet, Conditional},
          {{"SMOVE", "free:set", kKey, "none"}, kSet, Conditional},
          {{"SUNIONSTORE", kKey, "free:set"}, kSet},
          {{"SINTERSTORE", kKey, "free:set", "free:nothing"}, kSet},
          {{"SDIFFSTORE", kKey, "free:set", "free:nothing"}, kSet},
          {{"ZADD", kKey, "1", "v"}, kZset},
          {{"ZADD", kKey, "NX", "1", "p"}, kZset, Conditional},
          {{"ZADD", kKey, "XX", "CH", "1", "p"}, kZset, Conditional},
          {{"ZADD", kKey, "GT", "CH", "9", "p"}, kZset, Conditional},
          {{"ZINCRBY", kKey, "1", "p"}, kZset},
          {{"ZUNIONSTORE", kKey, "1", "free:zset"}, kZset},
          {{"ZINTERSTORE", kKey, "1", "free:zset"}, kZset},
          {{"ZDIFFSTORE", kKey, "1", "free:zset"}, kZset},
          {{"ZRANGESTORE", kKey, "free:zset", "0", "-1"}, kZset},
          {{"XADD", kKey, "9-9", "f", "v"}, kStream},
          {{"XADD", kKey, "NOMKSTREAM", "9-9", "f", "v"}, kStream, Conditional},
          {{"XGROUP", "CREATE", kKey, "g", "$", "MKSTREAM"}, kStream},
          {{"GEOADD", kKey, "2", "2", "v"}, kGeo},
          {{"GEOADD", kKey, "NX", "2", "2", "p"}, kGeo, Conditional},
          {{"GEOSEARCHSTORE", kKey, "free:geo", "FROMMEMBER", "a", "BYRADIUS", "1", "km"}, kGeo},
          {{"GEORADIUS", "free:geo", "1", "1", "9", "km", "STORE", kKey}, kGeo},
          {{"SORT", "free:list", "ALPHA", "STORE", kKey}, kList}};
}

void prepare(TtlRig& rig, const Row& row, State state) {
  rig.both({"FLUSHALL"});
  rig.both({"SET", "free:str", "s"});
  rig.both({"RPUSH", "free:list", "a", "b"});
  rig.both({"SADD", "free:set", "a", "b"});
  rig.both({"ZADD", "free:zset", "1", "a"});
  rig.both({"GEOADD", "free:geo", "1", "1", "a"});
  rig.both({"PFADD", "free:log", "a"});
  if (state == State::Absent) {
    return;
  }
  rig.both(row.create);
  if (state != State::Endless) {
    rig.both({"EXPIRE", kKey, state == State::Within ? "20" : "1000"});
  }
}

// What the client sees of the command, in this style.
std::string run(RawClient& client, const Words& words, Style style) {
  switch (style) {
    case Style::Plain:
      return client.call(words);
    case Style::Pipelined:
      client.send(request({"SET", "free:before", "1"}) + request(words) +
                  request({"GET", "free:before"}));
      return client.read(3);
    case Style::Multi:
      client.send(request({"MULTI"}) + request({"SET", "free:before", "1"}) + request(words) +
                  request({"GET", "free:before"}) + request({"EXEC"}));
      return client.read(5);
  }
  return {};
}

bool is_nothing(const std::string& reply) {
  return reply.starts_with('-') || reply.starts_with("$-1") || reply.starts_with("*-1") ||
         reply.starts_with(":0") || reply.starts_with(":-1");
}

// How long it is to live, in seconds, when on a server without rules it lives so long after the
// same command.
long long ruled(long long pttl, bool applies, bool is_explicit) {
  if (pttl < 0) {
    return pttl == -1 && applies ? kDefault : pttl;
  }
  const long long seconds = (pttl + 999) / 1000;
  if (!applies) {
    return seconds;
  }
  return std::min(is_explicit ? std::max(seconds, kMin) : seconds, kMax);
}

void check_row(TtlRig& rig, RawClient& client, const Row& row, State state, Style style) {
  std::string shown;
  for (const std::string_view word : row.words) {
    shown += std::string(word) + " ";
  }
  CAPTURE(shown, static_cast<int>(state), static_cast<int>(style));
  prepare(rig, row, state);
  const std::string plain = rig.twin_client.call(row.words);
  prepare(rig, row, state);
  const std::string expected = run(rig.twin_client, row.words, style);
  CHECK(run(client, row.words, style) == expected);
  const bool did = row.kind == Kind::Always || row.words.back() == "GET" || !is_nothing(plain);
  const bool applies = did || (row.kind == Kind::Conditional && style == Style::Multi);
  const long long pttl = rig.twin_client.call_integer({"PTTL", kKey});
  check_ttl(client.call_integer({"PTTL", kKey}), ruled(pttl, applies, row.kind == Kind::Explicit));
  rig.both({"TYPE", kKey});
  rig.both({"GET", kKey});
}

void check_rows(const std::vector<Row>& rows) {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  for (const Row& row : rows) {
    for (const State state : {State::Absent, State::Endless, State::Within, State::Above}) {
      for (const Style style : {Style::Plain, Style::Pipelined, Style::Multi}) {
        check_row(rig, client, row, state, style);
      }
    }
  }
}

}  // namespace

TEST_CASE("ttl: strings, by every command, state and style") {
  check_rows(string_rows());
}

TEST_CASE("ttl: other types, by every command, state and style") {
  check_rows(other_rows());
}

TEST_CASE("ttl: RESTORE") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  static_cast<void>(rig.direct.call({"SET", "free:a", "v"}));
  const std::string payload = text_of(rig.direct.call({"DUMP", "free:a"}));

  struct Case {
    Words words;
    long long seconds;
  };

  const std::vector<Case> cases{{{"RESTORE", kKey, "0", payload}, kDefault},
                                {{"RESTORE", kKey, "5000", payload}, kMin},
                                {{"RESTORE", kKey, "50000", payload}, 50},
                                {{"RESTORE", kKey, "500000", payload}, kMax},
                                {{"RESTORE", kKey, "4000000000000", payload, "ABSTTL"}, kMax},
                                {{"RESTORE", kKey, "0", payload, "ABSTTL"}, kDefault}};
  for (const Case& each : cases) {
    static_cast<void>(rig.direct.call({"DEL", kKey}));
    CHECK(client.call(each.words) == "+OK\r\n");
    check_ttl(client.call_integer({"PTTL", kKey}), each.seconds);
    CHECK(client.call({"GET", kKey}) == bulk("v"));
  }
  static_cast<void>(rig.direct.call({"PERSIST", kKey}));
  CHECK(client.call({"RESTORE", kKey, "0", payload}).starts_with("-BUSYKEY"));
  check_ttl(client.call_integer({"PTTL", kKey}), -1);
}

TEST_CASE("ttl: EXPIRE, PERSIST and GETEX keep their meaning below the maximum") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  const std::vector<Words> commands{{"EXPIRE", kKey, "5"},
                                    {"EXPIRE", kKey, "500"},
                                    {"EXPIRE", kKey, "500", "NX"},
                                    {"EXPIRE", kKey, "500", "XX"},
                                    {"EXPIRE", kKey, "500", "GT"},
                                    {"EXPIRE", kKey, "500", "LT"},
                                    {"PEXPIRE", kKey, "500000", "LT"},
                                    {"EXPIREAT", kKey, "4000000000"},
                                    {"PEXPIREAT", kKey, "4000000000000", "XX"},
                                    {"EXPIREAT", kKey, "1"},
                                    {"EXPIRE", kKey, "-1"},
                                    {"EXPIRE", kKey, "x"},
                                    {"EXPIRE", kKey, "5", "NX", "XX"},
                                    {"PERSIST", kKey},
                                    {"GETEX", kKey},
                                    {"GETEX", kKey, "EX", "5"},
                                    {"GETEX", kKey, "PX", "500000"},
                                    {"GETEX", kKey, "EXAT", "4000000000"},
                                    {"GETEX", kKey, "PERSIST"},
                                    {"GETEX", kKey, "EX", "0"}};
  for (const Words& words : commands) {
    for (const State state : {State::Absent, State::Endless, State::Within, State::Above}) {
      for (const Style style : {Style::Plain, Style::Pipelined, Style::Multi}) {
        CAPTURE(words[0], words.back(), static_cast<int>(state), static_cast<int>(style));
        prepare(rig, {words, kString}, state);
        const long long before = rig.twin_client.call_integer({"PTTL", kKey});
        const std::string plain = rig.twin_client.call(words);
        const long long after = rig.twin_client.call_integer({"PTTL", kKey});
        prepare(rig, {words, kString}, state);
        CHECK(run(client, words, style) == run(rig.twin_client, words, style));
        const bool persists = words.back() == "PERSIST" && state != State::Absent;
        const bool acts = std::abs(after - before) > 5000 || persists;
        const long long wanted = persists || (words[0] == "PERSIST" && acts) ? kMax
                                 : after < 0                                 ? after
                                 : acts ? std::min((after + 999) / 1000, kMax)
                                        : (after + 999) / 1000;
        check_ttl(client.call_integer({"PTTL", kKey}), wanted);
      }
    }
  }
}

TEST_CASE("ttl: no added reply ever reaches the client") {
  TtlRig rig(kAllClass);
  RawClient client = rig.connect();
  std::vector<Row> rows = string_rows();
  const std::vector<Row> others = other_rows();
  rows.insert(rows.end(), others.begin(), others.end());
  std::string requests;
  std::size_t frames = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    const Row& row = rows[(i * 7) % rows.size()];
    // Blocking ones take another connection and wait; XADD's times and BITFIELD's errors are alike.
    if (row.words[0].starts_with('B')) {
      continue;
    }
    const bool in_multi = i % 5 == 0;
    requests += request({"DEL", kKey});
    requests += in_multi ? request({"MULTI"}) : "";
    requests += request(row.words);
    requests += in_multi ? request(row.words) + request({"EXEC"}) : "";
    requests += request({"TYPE", kKey});
    frames += in_multi ? 6 : 3;
  }
  for (const int version : {2, 3}) {
    rig.both({"FLUSHALL"});
    RawClient plain(rig.twin.port());
    const Words hello{"HELLO", version == 2 ? "2" : "3"};
    static_cast<void>(client.call(hello));
    static_cast<void>(plain.call(hello));
    client.send(requests);
    plain.send(requests);
    for (std::size_t i = 0; i < frames; ++i) {
      CAPTURE(i);
      REQUIRE(client.read() == plain.read());
    }
    CHECK_FALSE(client.has_input(std::chrono::milliseconds(20)));
  }
}

}  // namespace pannier::test
