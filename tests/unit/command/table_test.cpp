#include "pannier/base/bytes.hpp"
#include "pannier/command/command.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::command {

namespace {

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    found.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

const CommandSpec& row(std::string_view name) {
  const CommandSpec* found = find(name);
  INFO(name);
  REQUIRE(found != nullptr);
  return *found;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  });
  return out;
}

std::string mixed(std::string_view text) {
  std::string out = upper(text);
  for (std::size_t i = 0; i < out.size(); i += 2) {
    out[i] = base::lower(out[i]);
  }
  return out;
}

void check_handling(Handling handling, std::string_view names) {
  for (const std::string_view name : words(names)) {
    INFO(name);
    CHECK(row(name).handling == handling);
  }
}

}  // namespace

TEST_CASE("command table: every row is found by its own name in any case", "[command]") {
  for (const CommandSpec& expected : table()) {
    INFO(expected.name);
    CHECK(find(expected.name) == &expected);
    CHECK(find(upper(expected.name)) == &expected);
    CHECK(find(mixed(expected.name)) == &expected);
    CHECK(table()[index_of(expected)].name == expected.name);
  }
}

TEST_CASE("command table: every subcommand is found from two arguments", "[command]") {
  for (const CommandSpec& expected : table()) {
    const std::size_t bar = expected.name.find('|');
    if (bar == std::string_view::npos) {
      continue;
    }
    INFO(expected.name);
    const std::string container = upper(expected.name.substr(0, bar));
    const std::string subcommand = mixed(expected.name.substr(bar + 1));
    const std::vector<std::string_view> arguments{container, subcommand, "x"};
    CHECK(find(arguments) == &expected);
    CHECK(row(container).has(kContainer));
  }
}

TEST_CASE("command table: a name that differs in one byte or in length is another name",
          "[command]") {
  for (const CommandSpec& expected : table()) {
    INFO(expected.name);
    for (std::size_t i = 0; i < expected.name.size(); ++i) {
      std::string other(expected.name);
      other[i] = static_cast<char>(other[i] ^ '\x80');
      CHECK(find(other) == nullptr);
    }
    CHECK(find(std::string(expected.name) + std::string(1, '\0')) == nullptr);
    CHECK(find(std::string(expected.name) + ' ') == nullptr);
  }
}

TEST_CASE("command table: odd names are unknown", "[command]") {
  CHECK(find(std::string_view{}) == nullptr);
  CHECK(find("|") == nullptr);
  CHECK(find("config|") == nullptr);
  CHECK(find("|get") == nullptr);
  CHECK(find("get|x") == nullptr);
  CHECK(find("client|get") == nullptr);
  CHECK(find("set\rx") == nullptr);
  CHECK(find(std::string(24, 'a')) == nullptr);
  CHECK(find(std::string(100'000, 'a')) == nullptr);
  // Bytes that become letters when bit 5 is set without looking.
  CHECK(find("\x07\x05\x14") == nullptr);
}

TEST_CASE("command table: a container without a known subcommand gives its own row", "[command]") {
  const CommandSpec* config = find("config");
  CHECK(find(words("CONFIG")) == config);
  CHECK(find(words("CONFIG nonsense")) == config);
  CHECK(find(words("CONFIG count-failure-reports-and-more-than-24")) == config);
  const std::vector<std::string_view> empty{"config", ""};
  CHECK(find(empty) == config);
  // A request cannot name a subcommand with the bar.
  CHECK(find(words("config|get x")) == nullptr);
  CHECK(find(words("get config")) == find("get"));
}

TEST_CASE("command table: subcommands with one name in two containers are told apart",
          "[command]") {
  CHECK(find(words("acl list"))->name == "acl|list");
  CHECK(find(words("client list"))->name == "client|list");
  CHECK(find(words("COMMAND LIST"))->name == "command|list");
  CHECK(find(words("commandlog get"))->name == "commandlog|get");
}

TEST_CASE("command table: commands of newer servers are there", "[command]") {
  for (const std::string_view name :
       words("hexpire hpexpire hexpireat hpexpireat hpersist httl hpttl hexpiretime hpexpiretime "
             "client|no-touch client|setinfo client|capa client|import-source cluster|myshardid "
             "cluster|slot-stats script|show commandlog|get commandlog|len commandlog|reset "
             "waitaof hgetex hsetex hgetdel")) {
    row(name);
  }
}

TEST_CASE("command table: a row's index is its place, outside of the table the one behind the last",
          "[command]") {
  for (std::size_t place = 0; place < table().size(); ++place) {
    CHECK(index_of(table()[place]) == place);
  }
  constexpr CommandSpec kOutside{"my.module"};
  CHECK(index_of(kOutside) == table().size());
}

TEST_CASE("command table: handling is as the house rules say", "[command]") {
  check_handling(Handling::Local,
                 "hello auth select ping echo quit reset client client|list command command|docs "
                 "role cluster cluster|slots slowlog slowlog|get monitor acl|setuser acl|whoami "
                 "acl|load pannier pannier|explain cl.throttle");
  check_handling(Handling::Transaction, "multi exec discard watch unwatch");
  check_handling(Handling::Blocking,
                 "blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop xread xreadgroup");
  check_handling(Handling::Subscribe,
                 "subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe");
  check_handling(Handling::Wait, "wait waitaof");
  check_handling(Handling::Refused, "sync psync replconf script|debug");
  check_handling(Handling::Forward,
                 "get set info acl|cat publish readonly readwrite asking debug config|get "
                 "commandlog|get script|load eval");
}

TEST_CASE("command table: every command that blocks has a place for it", "[command]") {
  for (const CommandSpec& spec : table()) {
    INFO(spec.name);
    if (spec.has(kBlocking)) {
      CHECK((spec.handling == Handling::Blocking || spec.handling == Handling::Wait));
    }
    CHECK_FALSE((spec.has(kReplicaSafe) && !spec.has(kReadOnly)));
    CHECK_FALSE((spec.has(kWrite) && spec.has(kReadOnly)));
  }
}

TEST_CASE("command table: reads that differ between nodes are not replica safe", "[command]") {
  for (const std::string_view name :
       words("scan hscan sscan zscan evalsha_ro fcall_ro evalsha fcall eval randomkey "
             "object|encoding object|freq touch getex set info lolwut memory|usage ping")) {
    INFO(name);
    CHECK_FALSE(row(name).has(kReplicaSafe));
  }
  for (const std::string_view name : words("get mget hgetall exists ttl zrange eval_ro keys xrange "
                                           "httl pfcount sort_ro bitfield_ro dbsize")) {
    INFO(name);
    CHECK(row(name).has(kReplicaSafe));
  }
}

TEST_CASE("command table: scripts may write although the server does not flag them", "[command]") {
  for (const std::string_view name :
       words("set eval evalsha fcall flushall swapdb debug function|restore")) {
    INFO(name);
    CHECK(may_write(row(name)));
  }
  for (const std::string_view name :
       words("get eval_ro evalsha_ro fcall_ro publish pfcount ping")) {
    INFO(name);
    CHECK_FALSE(may_write(row(name)));
  }
}

TEST_CASE("table: what may be kept is a deterministic read of its first argument") {
  for (const CommandSpec& row : table()) {
    INFO(row.name);
    if (!row.has(kCacheable)) {
      CHECK_FALSE(row.has(kTypedReply));
      continue;
    }
    CHECK(row.has(kReadOnly));
    CHECK(row.has(kReplicaSafe));
    CHECK_FALSE(row.has(kWrite | kBlocking | kUnknownKeys | kMovableKeys));
    CHECK(row.rule == KeyRule::Range);
    CHECK(row.first == 1);
  }
  for (const char* never : {"srandmember",
                            "randomkey",
                            "ttl",
                            "pttl",
                            "expiretime",
                            "hrandfield",
                            "zrandmember",
                            "scan",
                            "hscan",
                            "getex",
                            "object|idletime",
                            "xread",
                            "eval_ro",
                            "mget",
                            "touch",
                            "xinfo|stream",
                            "hpttl",
                            "dump"}) {
    INFO(never);
    const CommandSpec* row = find(std::string_view(never));
    REQUIRE(row != nullptr);
    CHECK_FALSE(row->has(kCacheable));
  }
}

TEST_CASE("command table: arity is exact or a minimum", "[command]") {
  CHECK(arity_fits(row("get"), 2));
  CHECK_FALSE(arity_fits(row("get"), 1));
  CHECK_FALSE(arity_fits(row("get"), 3));
  CHECK(arity_fits(row("set"), 3));
  CHECK(arity_fits(row("set"), 9));
  CHECK_FALSE(arity_fits(row("set"), 2));
  CHECK(arity_fits(row("ping"), 1));
}

}  // namespace pannier::command
