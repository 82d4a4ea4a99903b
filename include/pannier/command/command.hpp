#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What Pannier knows of each command: one constexpr row per command and subcommand of Redis 7.0-7.4
// and Valkey 8, checked by a test against the server's own COMMAND. Immutable, shared by all
// threads.
namespace pannier::command {

enum Flag : std::uint32_t {
  kWrite = 1U << 0,
  kReadOnly = 1U << 1,
  kDenyOom = 1U << 2,
  kAdmin = 1U << 3,
  kPubsub = 1U << 4,
  kNoScript = 1U << 5,
  kBlocking = 1U << 6,
  kLoading = 1U << 7,
  kStale = 1U << 8,
  kSkipMonitor = 1U << 9,
  kSkipSlowlog = 1U << 10,
  kAsking = 1U << 11,
  kFast = 1U << 12,
  kMovableKeys = 1U << 13,
  kNoAuth = 1U << 14,
  kMayReplicate = 1U << 15,
  kNoMulti = 1U << 16,
  kAllowBusy = 1U << 17,
  kNoAsyncLoading = 1U << 18,
  kNoMandatoryKeys = 1U << 19,
  // Pannier's own columns.
  kHeavy = 1U << 20,        // may take long upstream: EVAL*, FCALL*, SORT, KEYS, set algebra ...
  kReplicaSafe = 1U << 21,  // behaviour 3.3: may be served by a replica
  kUnknownKeys = 1U << 22,  // may write keys that its arguments do not name (FLUSH*, SWAPDB, ...)
  kContainer = 1U << 23,    // has subcommands
  kCacheable = 1U << 24,    // deterministic read of one key, its first argument: may be kept
  kTypedReply = 1U << 25,   // encoded differently in RESP2 and RESP3, not only when it is null
  kOwnReply = 1U << 26,     // what the client gets is made by Pannier of upstream's reply
};

// How Pannier serves a command; see src/README.md.
enum class Handling : std::uint8_t {
  Forward,      // to a lane
  Local,        // answered by Pannier (HELLO, AUTH, CLIENT *, SELECT, PING, PANNIER *, ...)
  Transaction,  // MULTI EXEC DISCARD WATCH UNWATCH: a pinned connection
  Blocking,     // may block (BLPOP, XREAD BLOCK, ...): a pinned connection while it does
  Subscribe,    // (P|S)SUBSCRIBE and (P|S)UNSUBSCRIBE: a pinned connection
  Wait,         // WAIT, WAITAOF
  Refused       // would break a shared connection: SYNC, PSYNC, REPLCONF
};

// Where a command's keys stand among its arguments.
enum class KeyRule : std::uint8_t {
  None,
  Range,         // first, last, step; last < 0 counts from the end
  NumKeys,       // first = index of numkeys, keys follow it (EVAL, ZUNION, LMPOP ...)
  StoreNumKeys,  // destination at 1, then numkeys at 2 (ZUNIONSTORE ...)
  Streams,       // after STREAMS: half keys, half ids (XREAD, XREADGROUP)
  Sort,          // 1, and STORE's argument
  GeoStore,      // 1, and STORE/STOREDIST's argument (GEORADIUS*)
  Migrate        // 3, or after KEYS when that is ""
};

inline constexpr std::uint16_t kTableSize = 401;

struct CommandSpec {
  std::string_view name;   // lower case; a subcommand is "config|get"
  std::int16_t arity = 0;  // as COMMAND tells: negative = at least
  std::uint32_t flags = 0;
  KeyRule rule = KeyRule::None;
  std::int16_t first = 0;
  std::int16_t last = 0;
  std::int16_t step = 0;
  Handling handling = Handling::Forward;
  std::uint32_t categories = 0;      // those that its flags do not tell (categories.hpp)
  std::uint16_t index = kTableSize;  // of the row in the table

  [[nodiscard]] constexpr bool has(std::uint32_t mask) const { return (flags & mask) != 0; }
};

// All rows, sorted by name. A row's place is its id in metrics.
[[nodiscard]] std::span<const CommandSpec> table();

// kTableSize for a row that is not in the table (learned.hpp).
[[nodiscard]] inline std::uint16_t index_of(const CommandSpec& row) {
  return row.index;
}

// The row of `arguments` (name and, for containers, subcommand, in any case). Null when unknown. A
// container without or with an unknown subcommand gives the container's own row.
// `arguments` must not be empty.
[[nodiscard]] const CommandSpec* find(std::span<const std::string_view> arguments);
// By a row's name, in any case; takes "config|get" too, which no request may say.
[[nodiscard]] const CommandSpec* find(std::string_view name);

// True for rows that may change data. Not kWrite alone: the server does not flag EVAL, EVALSHA and
// FCALL as writes.
[[nodiscard]] constexpr bool may_write(const CommandSpec& row) {
  return row.has(kWrite | kUnknownKeys) ||
         (row.has(kMayReplicate) && !row.has(kReadOnly | kPubsub));
}

[[nodiscard]] bool arity_fits(const CommandSpec& row, std::size_t argument_count);

enum class KeyStatus : std::uint8_t {
  Ok,
  Unknown,  // malformed, or not to be seen from the arguments: treat as "any key"
};

// Those of rows that may have several; see extract_keys.
[[nodiscard]] KeyStatus extract_many_keys(const CommandSpec& row,
                                          std::span<const std::string_view> arguments,
                                          std::vector<std::string_view>& keys);

// True for rows with exactly one key, which is arguments[row.first].
[[nodiscard]] constexpr bool has_one_key(const CommandSpec& row) {
  return row.rule == KeyRule::Range && row.first == row.last && row.first > 0;
}

// Appends the keys of a request (views into `arguments`). Unknown leaves `keys` as it was.
[[nodiscard]] inline KeyStatus extract_keys(const CommandSpec& row,
                                            std::span<const std::string_view> arguments,
                                            std::vector<std::string_view>& keys) {
  if (has_one_key(row) && arguments.size() > static_cast<std::size_t>(row.first)) {
    keys.push_back(arguments[static_cast<std::size_t>(row.first)]);
    return KeyStatus::Ok;
  }
  return extract_many_keys(row, arguments, keys);
}

// True when this very request may block: XREAD/XREADGROUP only with BLOCK, others always.
[[nodiscard]] bool may_block(const CommandSpec& row, std::span<const std::string_view> arguments);
// Milliseconds that a blocking request asks for; 0 = for ever; -1 when it cannot be read.
[[nodiscard]] std::int64_t block_milliseconds(const CommandSpec& row,
                                              std::span<const std::string_view> arguments);
// False for reads whose arguments make them unsafe on a replica (XREAD with `$`), and for rows
// without kReplicaSafe.
[[nodiscard]] bool replica_safe(const CommandSpec& row,
                                std::span<const std::string_view> arguments);

}  // namespace pannier::command
