#pragma once

#include "pannier/command/command.hpp"

#include <cstdint>
#include <span>
#include <string_view>

// The ACL categories of commands, as Redis 7.0 has them and newer servers those of their own rows;
// and which commands rules leave alone. Pure functions, for when rules are compiled.
namespace pannier::command {

enum Category : std::uint32_t {
  // Told by a row's flags.
  kCatRead = 1U << 0,
  kCatWrite = 1U << 1,
  kCatAdmin = 1U << 2,
  kCatPubsub = 1U << 3,
  kCatFast = 1U << 4,
  kCatSlow = 1U << 5,
  kCatBlocking = 1U << 6,
  // Told by its column.
  kCatKeyspace = 1U << 7,
  kCatString = 1U << 8,
  kCatHash = 1U << 9,
  kCatList = 1U << 10,
  kCatSet = 1U << 11,
  kCatSortedSet = 1U << 12,
  kCatStream = 1U << 13,
  kCatBitmap = 1U << 14,
  kCatHyperLogLog = 1U << 15,
  kCatGeo = 1U << 16,
  kCatConnection = 1U << 17,
  kCatTransaction = 1U << 18,
  kCatScripting = 1U << 19,
  kCatDangerous = 1U << 20,  // and all of kCatAdmin

  kCatAll = (1U << 21) - 1
};

// All of them; of a learned row (learned.hpp) those that its flags tell. Never 0.
[[nodiscard]] std::uint32_t categories_of(const CommandSpec& row);

// "read", "sortedset" ..., sorted.
[[nodiscard]] std::span<const std::string_view> category_names();
// The bit of a name in lower case, without '@'; 0 when there is none of that name.
[[nodiscard]] std::uint32_t category_of(std::string_view name);

// What `name` means in a rule: "get" or "config get", a container for all that it contains, in
// lower case.
[[nodiscard]] bool is_named(const CommandSpec& row, std::string_view name);

// No rule denies these: client libraries send them of their own accord, or they only end what was
// begun (behaviour 6.3).
[[nodiscard]] bool is_handshake(const CommandSpec& row);
// No limit counts these, for they only end something or ask whether we are there (behaviour 7.1).
[[nodiscard]] bool is_unlimited(const CommandSpec& row);

}  // namespace pannier::command
