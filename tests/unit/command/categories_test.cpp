#include "pannier/command/categories.hpp"

#include "pannier/command/command.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::command {

namespace {

const CommandSpec& row(std::string_view name) {
  const CommandSpec* found = find(name);
  INFO(name);
  REQUIRE(found != nullptr);
  return *found;
}

bool has(std::string_view name, std::uint32_t categories) {
  return (categories_of(row(name)) & categories) == categories;
}

std::vector<std::string_view> rows_that(bool (*holds)(const CommandSpec&)) {
  std::vector<std::string_view> names;
  for (const CommandSpec& each : table()) {
    if (holds(each)) {
      names.push_back(each.name);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("categories: of commands, by flag and by column", "[command]") {
  CHECK(categories_of(row("get")) == (kCatRead | kCatString | kCatFast));
  CHECK(categories_of(row("set")) == (kCatWrite | kCatString | kCatSlow));
  CHECK(categories_of(row("hpexpire")) == (kCatWrite | kCatHash | kCatFast));
  CHECK(categories_of(row("config|set")) == (kCatAdmin | kCatSlow | kCatDangerous));
  CHECK(categories_of(row("publish")) == (kCatPubsub | kCatFast));
  CHECK(has("blpop", kCatWrite | kCatBlocking | kCatList));
  CHECK(has("keys", kCatRead | kCatKeyspace | kCatDangerous));
  CHECK(has("sort", kCatSet | kCatSortedSet | kCatList | kCatDangerous));
  CHECK(has("multi", kCatTransaction));
  CHECK(has("client|capa", kCatConnection));
}

TEST_CASE("categories: a read-only script is no read, as with Redis", "[command]") {
  CHECK(categories_of(row("eval_ro")) == (kCatScripting | kCatSlow));
}

TEST_CASE("categories: a learned command has those that its flags tell", "[command]") {
  CommandSpec learned;
  learned.name = "json.set";
  learned.flags = kWrite | kDenyOom;
  CHECK(categories_of(learned) == (kCatWrite | kCatSlow));
}

TEST_CASE("categories: each has a name, and each name its own bit", "[command]") {
  std::uint32_t seen = 0;
  for (const std::string_view name : category_names()) {
    INFO(name);
    CHECK(category_of(name) != 0);
    CHECK((seen & category_of(name)) == 0);
    seen |= category_of(name);
  }
  CHECK(seen == kCatAll);
  CHECK(category_of("sortedset") == kCatSortedSet);
  for (const std::string_view name : {"", "all", "@read", "READ", "rea", "zzz"}) {
    INFO(name);
    CHECK(category_of(name) == 0);
  }
}

TEST_CASE("categories: every row is in some, every category has rows", "[command]") {
  std::uint32_t seen = 0;
  for (const CommandSpec& each : table()) {
    INFO(each.name);
    CHECK(categories_of(each) != 0);
    seen |= categories_of(each);
  }
  CHECK(seen == kCatAll);
}

TEST_CASE("categories: a name in a rule is a command, a subcommand or all of a container's",
          "[command]") {
  CHECK(is_named(row("get"), "get"));
  CHECK_FALSE(is_named(row("getex"), "get"));
  CHECK_FALSE(is_named(row("get"), "getex"));
  CHECK(is_named(row("config"), "config"));
  CHECK(is_named(row("config|set"), "config"));
  CHECK(is_named(row("config|set"), "config set"));
  CHECK_FALSE(is_named(row("config|get"), "config set"));
  CHECK_FALSE(is_named(row("config"), "config set"));
  CHECK_FALSE(is_named(row("client|list"), "acl list"));
  CHECK_FALSE(is_named(row("get"), "get set"));
}

TEST_CASE("categories: what is never limited is what ends something, and PING", "[command]") {
  CHECK(rows_that(is_unlimited) == std::vector<std::string_view>{"discard",
                                                                 "exec",
                                                                 "ping",
                                                                 "punsubscribe",
                                                                 "quit",
                                                                 "reset",
                                                                 "sunsubscribe",
                                                                 "unsubscribe",
                                                                 "unwatch"});
}

TEST_CASE("categories: what no rule denies is in the table, and holds nobody's data", "[command]") {
  const auto names = rows_that(is_handshake);
  CHECK(names.size() == 39);
  for (const std::string_view name : names) {
    INFO(name);
    CHECK(row(name).rule == KeyRule::None);
    CHECK_FALSE(may_write(row(name)));
    CHECK_FALSE(row(name).has(kAdmin));
  }
  for (const std::string_view name :
       {"info", "role", "hello", "auth", "select", "exec", "discard", "client|setname"}) {
    INFO(name);
    CHECK(is_handshake(row(name)));
  }
  for (const std::string_view name :
       {"client|list", "client|kill", "config|get", "keys", "multi"}) {
    INFO(name);
    CHECK_FALSE(is_handshake(row(name)));
  }
}

}  // namespace pannier::command
