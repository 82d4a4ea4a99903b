#include "pannier/policy/ttl_plan.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)
using pannier::command::CommandSpec;
using pannier::config::Milliseconds;
using pannier::config::Policy;
using pannier::config::PolicyClass;
using pannier::config::RuleMode;
using pannier::config::Scripts;
using pannier::config::Store;
using pannier::config::TtlRules;
using pannier::metrics::TtlAction;

namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

TtlRules times(long long preset, long long min, long long max, std::uint32_t jitter = 0) {
  TtlRules out;
  out.preset = Milliseconds(preset);
  out.min = Milliseconds(min);
  out.max = Milliseconds(max);
  out.jitter = jitter;
  return out;
}

PolicyClass ruled(std::string name, const TtlRules& ttl) {
  PolicyClass out;
  out.keys = {name + ":*"};
  out.name = std::move(name);
  out.ttl = ttl;
  return out;
}

// Classes: `d` has a default, `m` a maximum, `n` a minimum, `all` the three, `r` requires, `s`
// slides, `o` observes, `never` and `deny` what they say; `free:*` has none.
RulesPtr rules() {
  Policy policy;
  policy.classes = {ruled("d", times(60'000, 0, 0)),
                    ruled("m", times(0, 0, 30'000)),
                    ruled("n", times(0, 5'000, 0)),
                    ruled("all", times(60'000, 10'000, 100'000)),
                    ruled("r", times(0, 0, 0)),
                    ruled("s", times(60'000, 0, 100'000)),
                    ruled("o", times(60'000, 10'000, 100'000)),
                    ruled("odd", times(1'500, 0, 2'500)),
                    ruled("j", times(60'000, 50'000, 0, 50))};
  policy.classes[4].ttl->require = true;
  policy.classes[5].ttl->sliding = true;
  policy.classes[6].mode = RuleMode::Observe;
  PolicyClass never;
  never.name = "never";
  never.keys = {"never:*"};
  never.store = Store::Never;
  never.mode_given = true;
  policy.classes.push_back(never);
  never.name = "never2";
  never.keys = {"never2:*"};
  never.mode_given = false;
  policy.classes.push_back(never);
  PolicyClass deny;
  deny.name = "deny";
  deny.keys = {"deny:*"};
  deny.scripts = Scripts::Deny;
  policy.classes.push_back(deny);
  return compile(std::move(policy));
}

struct Options {
  bool in_multi = false;
  bool has_conditions = true;
  std::uint32_t random = 0;
  std::size_t announced = 0;
};

void plan(std::string_view text, TtlPlan& out, const Options& options = {}) {
  static const RulesPtr kRules = rules();
  const auto arguments = split(text);
  const CommandSpec* row = pannier::command::find(arguments);
  REQUIRE(row != nullptr);
  TtlRequest request;
  request.row = row;
  request.arguments = arguments;
  request.announced = options.announced;
  request.in_multi = options.in_multi;
  request.has_conditions = options.has_conditions;
  request.unix_now = kNow;
  request.random = options.random;
  plan_ttl(*kRules, request, out);
}

const char* word_of(TtlAction action) {
  static constexpr std::array<const char*, 9> kWords{"default",
                                                     "raised",
                                                     "shortened",
                                                     "jittered",
                                                     "required",
                                                     "not stored",
                                                     "not read",
                                                     "script",
                                                     "renewed"};
  return kWords.at(static_cast<std::size_t>(action));
}

// "pass", "refuse: required", or the rewritten request; then " + key ms NX" per addition, with
// "stored?" first where they wait for the reply.
std::string shown(std::string_view text, const Options& options = {}) {
  TtlPlan plan_of_it;
  plan(text, plan_of_it, options);
  std::string out;
  if (plan_of_it.outcome == TtlPlan::Outcome::Refuse) {
    return std::string("refuse: ") + word_of(plan_of_it.refusal);
  }
  if (plan_of_it.outcome == TtlPlan::Outcome::Rewrite) {
    for (const std::string_view word : plan_of_it.arguments) {
      out += (out.empty() ? "" : " ") + std::string(word);
    }
  } else {
    out = "pass";
  }
  out += plan_of_it.answers_integer ? " as integer" : "";
  out += plan_of_it.after_stored ? " stored?" : "";
  for (const TtlAddition& each : plan_of_it.additions) {
    out += " + " + std::string(each.key) + " " + std::to_string(each.ms) +
           (each.is_bound ? " LT" : " NX");
  }
  return out;
}

std::string counts(std::string_view text) {
  TtlPlan plan_of_it;
  plan(text, plan_of_it);
  std::string out;
  for (const TtlCount& each : plan_of_it.counts) {
    out +=
        (out.empty() ? "" : ", ") + std::string(word_of(each.action)) + (each.enforced ? "" : "?");
  }
  return out;
}

struct Row {
  std::string_view request;
  std::string_view expected;
};

template <std::size_t N>
void check(const Row (&rows)[N], const Options& options = {}) {
  for (const Row& row : rows) {
    CAPTURE(row.request);
    CHECK(shown(row.request, options) == row.expected);
  }
}

}  // namespace

TEST_CASE("ttl plan: SET in all its forms", "[policy]") {
  check({
      {"SET free:1 v", "pass"},
      {"SET all:1 v", "SET all:1 v PX 60000"},
      {"set all:1 v NX", "set all:1 v NX PX 60000"},
      {"SET all:1 v XX GET", "SET all:1 v XX GET PX 60000"},
      {"SET all:1 v EX 9", "SET all:1 v EX 10"},
      {"SET all:1 v ex 10", "pass"},
      {"SET all:1 v EX 50 NX", "pass"},
      {"SET all:1 v NX EX 101", "SET all:1 v NX EX 100"},
      {"SET all:1 v PX 9999", "SET all:1 v PX 10000"},
      {"SET all:1 v PX 100001 GET", "SET all:1 v PX 100000 GET"},
      {"SET all:1 v EXAT 1700000050", "pass"},
      {"SET all:1 v EXAT 1700000200", "SET all:1 v EX 100"},
      {"SET all:1 v PXAT 1700000001000", "SET all:1 v PX 10000"},
      {"SET all:1 v EXAT 1600000000", "pass"},
      {"SET all:1 v EX 0", "pass"},
      {"SET all:1 v EX -5", "pass"},
      {"SET all:1 v KEEPTTL", "pass + all:1 60000 NX + all:1 100000 LT"},
      {"SET all:1 v KEEPTTL XX", "pass stored? + all:1 60000 NX + all:1 100000 LT"},
      {"SET all:1 v KEEPTTL NX", "SET all:1 v NX PX 60000"},
      {"SET all:1 v KEEPTTL NX keepttl", "SET all:1 v NX PX 60000"},
      {"SET all:1 v EX 900 EX 900", "pass + all:1 60000 NX + all:1 100000 LT"},
      {"SET all:1 v PX 1 NX PX 900000", "pass stored? + all:1 60000 NX + all:1 100000 LT"},
      {"SET m:1 v KEEPTTL", "pass + m:1 30000 LT"},
      {"SET d:1 v KEEPTTL", "pass + d:1 60000 NX"},
      {"SET m:1 v", "SET m:1 v PX 30000"},
      {"SET m:1 v EX 31", "SET m:1 v EX 30"},
      {"SET n:1 v", "pass"},
      {"SET n:1 v EX 1", "SET n:1 v EX 5"},
      {"SET odd:1 v EX 9", "SET odd:1 v PX 2500"},
      {"SET r:1 v", "refuse: required"},
      {"SET r:1 v EX 5", "pass"},
      {"SET r:1 v KEEPTTL", "pass"},
      {"SET r:1 v NX", "refuse: required"},
      {"SET o:1 v", "pass"},
      {"SET o:1 v EX 1", "pass"},
  });
}

TEST_CASE("ttl plan: what the server refuses passes", "[policy]") {
  check({
      {"SET all:1", "pass"},
      {"SET all:1 v NX XX", "pass"},
      {"SET all:1 v EX", "pass"},
      {"SET all:1 v EX 5 PX 5", "pass"},
      {"SET all:1 v EX 5 EX 5 PX 5", "pass"},
      {"SET all:1 v EX 5 KEEPTTL", "pass"},
      {"SET all:1 v EX x", "pass"},
      {"SET all:1 v EX 9223372036854775807", "pass"},
      {"SET all:1 v PX 9223372036854775807", "pass"},
      {"SET all:1 v WHAT", "pass"},
      {"SETEX all:1 x v", "pass"},
      {"SETEX all:1 0 v", "pass"},
      {"EXPIRE all:1 x", "pass"},
      {"EXPIRE all:1", "pass"},
      {"GETEX all:1 EX 5 PX 6", "pass"},
      {"GETEX all:1 EX 0", "pass"},
      {"MSET all:1 v all:2", "pass"},
      {"HSET all:1", "pass"},
      {"RESTORE all:1 -1 x", "pass"},
  });
}

TEST_CASE("ttl plan: the other strings", "[policy]") {
  check({
      {"SETEX all:1 5 v", "SETEX all:1 10 v"},
      {"SETEX all:1 50 v", "pass"},
      {"SETEX all:1 500 v", "SETEX all:1 100 v"},
      {"SETEX odd:1 9 v", "PSETEX odd:1 2500 v"},
      {"PSETEX all:1 5 v", "PSETEX all:1 10000 v"},
      {"PSETEX all:1 500000 v", "PSETEX all:1 100000 v"},
      {"SETNX all:1 v", "SET all:1 v NX PX 60000 as integer"},
      {"SETNX n:1 v", "pass"},
      {"SETNX r:1 v", "pass"},
      {"GETSET all:1 v", "SET all:1 v PX 60000 GET"},
      {"GETSET m:1 v", "SET m:1 v PX 30000 GET"},
      {"MSET all:1 v free:1 v m:1 w", "pass + all:1 60000 NX + m:1 30000 NX"},
      {"MSETNX all:1 v m:1 w", "pass stored? + all:1 60000 NX + all:1 100000 LT + m:1 30000 LT"},
      {"APPEND all:1 v", "pass + all:1 60000 NX + all:1 100000 LT"},
      {"APPEND m:1 v", "pass + m:1 30000 LT"},
      {"INCR d:1", "pass + d:1 60000 NX"},
      {"INCR r:1", "pass"},
      {"INCR n:1", "pass"},
      {"INCR o:1", "pass"},
  });
}

TEST_CASE("ttl plan: EXPIRE, PERSIST and GETEX", "[policy]") {
  check({
      {"EXPIRE all:1 5", "pass"},  // the minimum is for stores
      {"EXPIRE all:1 100", "pass"},
      {"EXPIRE all:1 101", "EXPIRE all:1 100"},
      {"EXPIRE all:1 101 NX", "EXPIRE all:1 100 NX"},
      {"PEXPIRE all:1 100001 GT", "PEXPIRE all:1 100000 GT"},
      {"EXPIRE odd:1 9 LT", "PEXPIRE odd:1 2500 LT"},
      {"EXPIREAT all:1 1700000900", "EXPIRE all:1 100"},
      {"EXPIREAT all:1 1700000090 XX", "pass"},
      {"PEXPIREAT all:1 1700000900000 XX", "PEXPIRE all:1 100000 XX"},
      {"EXPIRE all:1 0", "pass"},
      {"EXPIRE all:1 -1", "pass"},
      {"EXPIREAT all:1 1600000000", "pass"},
      {"EXPIRE o:1 900", "pass"},
      {"PERSIST all:1", "PEXPIRE all:1 100000 XX"},
      {"PERSIST d:1", "pass"},
      {"GETEX all:1", "pass"},
      {"GETEX all:1 EX 5", "pass"},
      {"GETEX all:1 EX 500", "GETEX all:1 EX 100"},
      {"GETEX all:1 PXAT 1700000900000", "GETEX all:1 PX 100000"},
      {"GETEX all:1 PERSIST", "GETEX all:1 PX 100000"},
      {"GETEX d:1 PERSIST", "pass"},
      {"GETEX all:1 EX 900 EX 900", "pass stored? + all:1 100000 LT"},
      {"GETEX d:1 EX 900 EX 900", "pass"},
  });
  const std::string script = shown("PERSIST all:1", {false, false});
  CHECK(script.starts_with("EVAL local"));
  CHECK(script.ends_with(" 1 all:1 100000 XX"));
}

TEST_CASE("ttl plan: keys that cannot carry a TTL", "[policy]") {
  static constexpr std::string_view kBoth = "pass + all:1 60000 NX + all:1 100000 LT";
  static constexpr std::string_view kIfStored = "pass stored? + all:1 60000 NX + all:1 100000 LT";
  static constexpr std::string_view kFresh = "pass + all:1 60000 NX";
  check({
      {"HSET all:1 f v", kBoth},
      {"HMSET all:1 f v", kBoth},
      {"HSETNX all:1 f v", kIfStored},
      {"HINCRBY all:1 f 1", kBoth},
      {"HINCRBYFLOAT all:1 f 1", kBoth},
      {"LPUSH all:1 v", kBoth},
      {"RPUSH all:1 v", kBoth},
      {"LPUSHX all:1 v", kIfStored},
      {"RPUSHX all:1 v", kIfStored},
      {"LINSERT all:1 BEFORE p v", kIfStored},
      {"LSET all:1 0 v", kIfStored},
      {"LMOVE free:1 all:1 LEFT LEFT", kIfStored},
      {"RPOPLPUSH free:1 all:1", kIfStored},
      {"RPOPLPUSH all:1 free:1", "pass"},
      {"BLMOVE free:1 all:1 LEFT LEFT 0", kIfStored},
      {"BRPOPLPUSH free:1 all:1 0", kIfStored},
      {"SADD all:1 v", kBoth},
      {"SMOVE free:1 all:1 v", kIfStored},
      {"SUNIONSTORE all:1 free:1", kFresh},
      {"SINTERSTORE all:1 free:1", kFresh},
      {"SDIFFSTORE all:1 free:1", kFresh},
      {"ZADD all:1 1 v", kBoth},
      {"ZADD all:1 CH 1 v", kBoth},
      {"ZADD all:1 NX 1 v", kIfStored},
      {"ZADD all:1 ch gt 1 v", kIfStored},
      {"ZINCRBY all:1 1 v", kBoth},
      {"ZUNIONSTORE all:1 1 free:1", kFresh},
      {"ZINTERSTORE all:1 1 free:1", kFresh},
      {"ZDIFFSTORE all:1 1 free:1", kFresh},
      {"ZRANGESTORE all:1 free:1 0 -1", kFresh},
      {"XADD all:1 * f v", kBoth},
      {"XADD all:1 NOMKSTREAM * f v", kIfStored},
      {"XGROUP CREATE all:1 g $", "pass"},
      {"XGROUP CREATE all:1 g $ MKSTREAM", kBoth},
      {"GEOADD all:1 1 1 v", kBoth},
      {"GEOADD all:1 XX 1 1 v", kIfStored},
      {"GEOSEARCHSTORE all:1 free:1 FROMMEMBER m BYRADIUS 1 km", kFresh},
      {"GEORADIUS free:1 1 1 1 km STORE all:1", kFresh},
      {"GEORADIUS all:1 1 1 1 km", "pass"},
      {"GEORADIUSBYMEMBER free:1 m 1 km STOREDIST all:1", kFresh},
      {"PFADD all:1 v", kBoth},
      {"PFMERGE all:1 free:1", kBoth},
      {"SETBIT all:1 1 1", kBoth},
      {"SETRANGE all:1 1 v", kBoth},
      {"BITFIELD all:1 GET u8 0", "pass"},
      {"BITFIELD all:1 SET u8 0 1", kBoth},
      {"BITOP AND all:1 free:1", kFresh},
      {"INCRBY all:1 1", kBoth},
      {"DECR all:1", kBoth},
      {"INCRBYFLOAT all:1 1", kBoth},
      {"SORT free:1 STORE all:1", kFresh},
      {"SORT all:1", "pass"},
      {"RENAME free:1 all:1", kIfStored},
      {"RENAMENX free:1 all:1", kIfStored},
      {"RENAME all:1 free:1", "pass"},
      {"COPY free:1 all:1", kIfStored},
      {"COPY free:1 all:1 DB 1", "pass"},
      {"RESTORE all:1 0 x", "RESTORE all:1 60000 x"},
      {"RESTORE all:1 0 x ABSTTL", "RESTORE all:1 1700000060000 x ABSTTL"},
      {"RESTORE all:1 1 x REPLACE", "RESTORE all:1 10000 x REPLACE"},
      {"RESTORE all:1 50000 x", "pass"},
      {"RESTORE all:1 500000 x", "RESTORE all:1 100000 x"},
      {"RESTORE r:1 0 x", "refuse: required"},
      {"HSET r:1 f v", "pass"},
  });
  CHECK(shown("HSETNX all:1 f v", {true}) == kBoth);
  CHECK(shown("MSETNX all:1 v", {true}) == kBoth);
}

TEST_CASE("ttl plan: of a streamed request only its beginning is seen", "[policy]") {
  const auto streamed = [](std::string_view head, std::size_t announced) {
    Options options;
    options.announced = announced;
    return shown(head, options);
  };
  CHECK(streamed("SET all:1", 3) == "pass + all:1 60000 NX");
  CHECK(streamed("SET all:1", 5) == "pass stored? + all:1 60000 NX + all:1 100000 LT");
  CHECK(streamed("SET r:1", 3) == "refuse: required");
  CHECK(streamed("SET r:1", 5) == "pass");
  CHECK(streamed("SET never:1", 3) == "refuse: not stored");
  CHECK(streamed("SETEX all:1 50", 4) == "pass");
  CHECK(streamed("SETEX all:1 500", 4) == "pass + all:1 60000 NX + all:1 100000 LT");
  CHECK(streamed("SETNX all:1", 3) == "pass stored? + all:1 60000 NX");
  CHECK(streamed("GETSET all:1", 3) == "pass + all:1 60000 NX");
  CHECK(streamed("HSET all:1 f", 4) == "pass + all:1 60000 NX + all:1 100000 LT");
  CHECK(streamed("RESTORE all:1 0", 4) == "pass stored? + all:1 60000 NX");
  CHECK(streamed("SET", 3) == "pass");
  CHECK(streamed("SORT free:1", 9) == "pass");
}

TEST_CASE("ttl plan: store never, scripts denied", "[policy]") {
  check({
      {"SET never:1 v EX 5", "refuse: not stored"},
      {"INCR never:1", "refuse: not stored"},
      {"MSET free:1 v never:1 v", "refuse: not stored"},
      {"RENAME free:1 never:1", "refuse: not stored"},
      {"RENAME never:1 free:1", "pass"},
      {"DEL never:1", "pass"},
      {"UNLINK never:1", "pass"},
      {"EXPIRE never:1 5", "pass"},
      {"PERSIST never:1", "pass"},
      {"LPOP never:1", "pass"},
      {"SET never2:1 v", "pass"},
      {"EVAL s 1 deny:1", "refuse: script"},
      {"EVALSHA_RO s 2 free:1 deny:1", "refuse: script"},
      {"FCALL f 1 deny:1", "refuse: script"},
      {"EVAL s 1 free:1 deny:1", "pass"},
      {"SET deny:1 v", "pass"},
  });
  CHECK(counts("SET never2:1 v") == "not stored?");
}

TEST_CASE("ttl plan: what observing counts is what enforcing does", "[policy]") {
  CHECK(counts("SET o:1 v") == "default?");
  CHECK(counts("SET all:1 v") == "default");
  CHECK(counts("SET o:1 v EX 1") == "raised?");
  CHECK(counts("SET all:1 v EX 1") == "raised");
  CHECK(counts("SET o:1 v EX 500") == "shortened?");
  CHECK(counts("SET all:1 v EX 50").empty());
  CHECK(counts("HSET o:1 f v") == "default?, shortened?");
  CHECK(counts("HSET all:1 f v") == "default, shortened");
  CHECK(counts("SET r:1 v") == "required");
  CHECK(counts("PERSIST o:1") == "shortened?");
  CHECK(counts("SETNX o:1 v") == "default?");
  CHECK(counts("SET free:1 v").empty());
}

TEST_CASE("ttl plan: jitter only shortens, and not below the minimum", "[policy]") {
  Options options;
  CHECK(shown("SET j:1 v", options) == "SET j:1 v PX 60000");
  options.random = 0x20000000;  // an eighth: of 50 % that is 6.25 %
  CHECK(shown("SET j:1 v", options) == "SET j:1 v PX 56250");
  CHECK(shown("SET j:1 v EX 80", options) == "SET j:1 v EX 75");
  CHECK(shown("SET j:1 v EX 81", options) == "SET j:1 v PX 75938");
  CHECK(shown("EXPIRE j:1 80", options) == "pass");
  options.random = 0xFFFFFFFF;
  CHECK(shown("SET j:1 v", options) == "SET j:1 v PX 50000");
  CHECK(shown("INCR j:1", options) == "pass + j:1 50000 NX");
}

TEST_CASE("ttl plan: what sliding has to know", "[policy]") {
  const auto life = [](std::string_view text) {
    TtlPlan out;
    plan(text, out);
    return !out.life ? std::string("nothing")
                     : std::to_string(out.life->ms) + (out.life->is_explicit ? " explicit" : "") +
                           (out.life_if_stored ? " if stored" : "");
  };
  CHECK(life("SET s:1 v") == "60000");
  CHECK(life("SET s:1 v NX") == "nothing");
  CHECK(life("SET s:1 v EX 5") == "5000 explicit");
  CHECK(life("SET s:1 v NX EX 5") == "5000 explicit if stored");
  CHECK(life("SETEX s:1 500 v") == "100000 explicit");
  CHECK(life("EXPIRE s:1 5") == "5000 explicit");
  CHECK(life("EXPIRE s:1 5 NX") == "5000 explicit if stored");
  CHECK(life("PERSIST s:1") == "60000 explicit");
  CHECK(life("GETEX s:1 EX 7") == "7000 explicit");
  CHECK(life("GETEX s:1") == "nothing");
  CHECK(life("HSET s:1 f v") == "nothing");
  CHECK(life("SET all:1 v") == "nothing");
}
