#include "pannier/command/learned.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace pannier::command {

namespace {

using namespace std::chrono_literals;
using Status = LearnedCommands::Status;

constexpr base::TimePoint kStart{};

CommandInfo info(std::string name, std::vector<std::string> flags, std::int64_t first = 1) {
  CommandInfo made;
  made.name = std::move(name);
  made.arity = -2;
  made.flags = std::move(flags);
  made.first = first;
  made.last = first;
  made.step = first == 0 ? 0 : 1;
  return made;
}

KeyStatus keys_of(const CommandSpec& row,
                  const std::vector<std::string_view>& arguments,
                  std::vector<std::string_view>& keys) {
  keys.clear();
  return extract_keys(row, arguments, keys);
}

}  // namespace

TEST_CASE("learned commands: a new name is asked for, then known in any case", "[command]") {
  LearnedCommands learned;
  CHECK(learned.find("json.get", kStart).status == Status::Ask);

  const CommandSpec* row = learned.learn(info("JSON.GET", {"readonly", "module", "fast"}));
  REQUIRE(row != nullptr);
  CHECK(row->name == "json.get");
  CHECK(row->arity == -2);
  CHECK(row->flags == (kReadOnly | kFast));
  CHECK(row->handling == Handling::Forward);
  CHECK(index_of(*row) == table().size());

  const auto answer = learned.find("Json.Get", kStart);
  CHECK(answer.status == Status::Known);
  CHECK(answer.row == row);
  CHECK_FALSE(replica_safe(*row, std::vector<std::string_view>{"json.get", "k"}));

  std::vector<std::string_view> keys;
  CHECK(keys_of(*row, {"json.get", "k", "$"}, keys) == KeyStatus::Ok);
  CHECK(keys == std::vector<std::string_view>{"k"});
}

TEST_CASE("learned commands: rows and names stay where they are", "[command]") {
  LearnedCommands learned;
  const CommandSpec* first = learned.learn(info("a.first", {"write", "denyoom"}));
  for (int i = 0; i < 900; ++i) {
    REQUIRE(learned.learn(info("a." + std::to_string(i), {"write"})) != nullptr);
  }
  CHECK(learned.find("a.first", kStart).row == first);
  CHECK(first->name == "a.first");
  CHECK(first->has(kDenyOom));

  CHECK(learned.learn(info("A.FIRST", {"readonly"})) == first);
  CHECK(first->has(kReadOnly));
  CHECK_FALSE(first->has(kWrite));
}

TEST_CASE("learned commands: what blocks or subscribes gets a pinned connection", "[command]") {
  LearnedCommands learned;
  const CommandSpec* pops = learned.learn(info("m.bpop", {"write", "blocking"}));
  const CommandSpec* listens = learned.learn(info("m.listen", {"pubsub"}, 0));
  CHECK(pops->handling == Handling::Blocking);
  CHECK(listens->handling == Handling::Blocking);
  const std::vector<std::string_view> arguments{"m.bpop", "k", "5"};
  CHECK(may_block(*pops, arguments));
  // Nobody knows where its timeout stands.
  CHECK(block_milliseconds(*pops, arguments) == -1);
}

TEST_CASE("learned commands: keys that cannot be seen are unknown", "[command]") {
  LearnedCommands learned;
  std::vector<std::string_view> keys;
  const std::vector<std::string_view> arguments{"m.x", "a", "b"};

  const CommandSpec* movable = learned.learn(info("m.movable", {"write", "movablekeys"}));
  CHECK(keys_of(*movable, arguments, keys) == KeyStatus::Unknown);
  CHECK(movable->has(kUnknownKeys));

  const CommandSpec* reads = learned.learn(info("m.reads", {"readonly", "movablekeys"}, 0));
  CHECK(keys_of(*reads, arguments, keys) == KeyStatus::Unknown);
  CHECK_FALSE(reads->has(kUnknownKeys));

  const CommandSpec* hidden = learned.learn(info("m.hidden", {"write"}, 0));
  CHECK(keys_of(*hidden, arguments, keys) == KeyStatus::Unknown);
  CHECK(hidden->has(kUnknownKeys));

  CommandInfo far = info("m.far", {"readonly"});
  far.first = 100'000;
  const CommandSpec* too_far = learned.learn(far);
  CHECK(keys_of(*too_far, arguments, keys) == KeyStatus::Unknown);
}

TEST_CASE("learned commands: a module's command without flags is taken for a write", "[command]") {
  LearnedCommands learned;
  CHECK(may_write(*learned.learn(info("m.silent", {"module"}))));
  CHECK(learned.learn(info("m.nokeys", {"module"}, 0))->has(kUnknownKeys));
  // A newer server's own command says so when it writes.
  CHECK_FALSE(may_write(*learned.learn(info("newcommand", {"loading", "stale"}, 0))));
}

TEST_CASE("learned commands: a container may do anything", "[command]") {
  LearnedCommands learned;
  CommandInfo container = info("m.config", {}, 0);
  container.has_subcommands = true;
  const CommandSpec* row = learned.learn(container);
  CHECK(row->has(kContainer));
  CHECK(may_write(*row));
  std::vector<std::string_view> keys;
  CHECK(keys_of(*row, {"m.config", "set", "x"}, keys) == KeyStatus::Unknown);
}

TEST_CASE("learned commands: a command that is not fast may take long", "[command]") {
  LearnedCommands learned;
  CHECK(learned.learn(info("ft.search", {"readonly"}))->has(kHeavy));
  CHECK_FALSE(learned.learn(info("bf.exists", {"readonly", "fast"}))->has(kHeavy));
}

TEST_CASE("learned commands: odd numbers do no harm", "[command]") {
  LearnedCommands learned;
  CommandInfo odd = info("m.odd", {"write", "no_such_flag", ""});
  odd.arity = 1'000'000;
  odd.last = -1'000'000;
  odd.step = -3;
  const CommandSpec* row = learned.learn(odd);
  CHECK(arity_fits(*row, 5));
  CHECK(row->rule == KeyRule::None);
  CHECK(row->has(kUnknownKeys));
}

TEST_CASE("learned commands: an unknown name is not asked for again within 60 s", "[command]") {
  LearnedCommands learned;
  learned.learn_unknown("nonsense", kStart);
  CHECK(learned.find("NONSENSE", kStart + 59s).status == Status::Unknown);
  CHECK(learned.find("nonsense", kStart + 60s).status == Status::Ask);
  // A module was loaded meanwhile.
  REQUIRE(learned.learn(info("nonsense", {"readonly"})) != nullptr);
  CHECK(learned.find("nonsense", kStart + 1s).status == Status::Known);
  CHECK(learned.unknown_count() == 0);
}

TEST_CASE("learned commands: unknown names are bounded and the oldest goes first", "[command]") {
  LearnedCommands learned;
  for (int i = 0; i < 1500; ++i) {
    learned.learn_unknown("x" + std::to_string(i), kStart + std::chrono::milliseconds(i));
  }
  CHECK(learned.unknown_count() == 1000);
  CHECK(learned.find("x0", kStart + 2s).status == Status::Ask);
  CHECK(learned.find("x499", kStart + 2s).status == Status::Ask);
  CHECK(learned.find("x500", kStart + 2s).status == Status::Unknown);
  CHECK(learned.find("x1499", kStart + 2s).status == Status::Unknown);

  learned.learn_unknown("late", kStart + 10min);
  CHECK(learned.unknown_count() == 1);
}

TEST_CASE("learned commands: known names are bounded", "[command]") {
  LearnedCommands learned(2);
  CHECK(learned.learn(info("a", {"write"})) != nullptr);
  CHECK(learned.learn(info("b", {"write"})) != nullptr);
  CHECK(learned.learn(info("c", {"write"})) == nullptr);
  CHECK(learned.learn(info("A", {"write"})) != nullptr);
  CHECK(learned.known_count() == 2);
}

TEST_CASE("learned commands: a name that no command has is never asked for", "[command]") {
  LearnedCommands learned;
  const std::string name(LearnedCommands::kMaxNameLength + 1, 'x');
  CHECK(learned.find(name, kStart).status == Status::Unknown);
  learned.learn_unknown(name, kStart);
  CHECK(learned.unknown_count() == 0);
  CHECK(learned.learn(info(name, {"write"})) == nullptr);
}

}  // namespace pannier::command
