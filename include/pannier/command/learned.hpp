#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/command/command.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// Commands that the table does not have: modules' and newer servers', learned from COMMAND INFO.
namespace pannier::command {

// One element of COMMAND INFO's reply. A name that the server does not know gives a null element
// and no CommandInfo.
struct CommandInfo {
  std::string name;
  std::int64_t arity = 0;
  std::vector<std::string> flags;
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t step = 0;
  bool has_subcommands = false;
};

// The bit of a flag as COMMAND writes it ("write", "denyoom", "no_multi" ...); 0 for any other.
[[nodiscard]] std::uint32_t flag_of(std::string_view name);

// What was learned, and which names the server refused. Pure; not thread-safe: each worker owns
// one. Rows stay where they are as long as this object lives; learning a name again overwrites its
// row.
class LearnedCommands {
 public:
  // Names longer than this are never asked for: nobody names a command so.
  static constexpr std::size_t kMaxNameLength = 128;

  explicit LearnedCommands(std::size_t max_names = 1000,
                           base::Duration unknown_for = std::chrono::seconds(60));

  enum class Status : std::uint8_t {
    Known,
    Unknown,  // the server does not have it: forward it for the server's own error, do not ask
    Ask,      // send COMMAND INFO
  };

  struct Answer {
    Status status = Status::Ask;
    const CommandSpec* row = nullptr;  // set when Known
  };

  // `name` in any case. Allocates nothing.
  [[nodiscard]] Answer find(std::string_view name, base::TimePoint now) const;

  // The row, or null when there is no room for another name.
  const CommandSpec* learn(const CommandInfo& info);
  void learn_unknown(std::string_view name, base::TimePoint now);

  [[nodiscard]] std::size_t known_count() const { return known_.size(); }

  [[nodiscard]] std::size_t unknown_count() const { return unknown_.size(); }

 private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's name
    std::size_t operator()(std::string_view name) const;
  };

  struct Equal {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's name
    bool operator()(std::string_view a, std::string_view b) const;
  };

  void make_room(base::TimePoint now);

  std::size_t max_names_;
  base::Duration unknown_for_;
  // Node based: a row's name is a view of its map key.
  std::unordered_map<std::string, CommandSpec, Hash, Equal> known_;
  std::unordered_map<std::string, base::TimePoint, Hash, Equal> unknown_;  // until when
};

}  // namespace pannier::command
