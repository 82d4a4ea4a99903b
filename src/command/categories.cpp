#include "pannier/command/categories.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace pannier::command {
namespace {

using namespace std::string_view_literals;

// Sorted, and the bits beside them.
constexpr std::array kNames{
    "admin"sv,  "bitmap"sv,      "blocking"sv,    "connection"sv, "dangerous"sv, "fast"sv,
    "geo"sv,    "hash"sv,        "hyperloglog"sv, "keyspace"sv,   "list"sv,      "pubsub"sv,
    "read"sv,   "scripting"sv,   "set"sv,         "slow"sv,       "sortedset"sv, "stream"sv,
    "string"sv, "transaction"sv, "write"sv};
constexpr std::array<std::uint32_t, kNames.size()> kBits{
    kCatAdmin,  kCatBitmap,      kCatBlocking,    kCatConnection, kCatDangerous, kCatFast,
    kCatGeo,    kCatHash,        kCatHyperLogLog, kCatKeyspace,   kCatList,      kCatPubsub,
    kCatRead,   kCatScripting,   kCatSet,         kCatSlow,       kCatSortedSet, kCatStream,
    kCatString, kCatTransaction, kCatWrite};
static_assert(std::is_sorted(kNames.begin(), kNames.end()));

constexpr std::array kUnlimited{"discard"sv,
                                "exec"sv,
                                "ping"sv,
                                "punsubscribe"sv,
                                "quit"sv,
                                "reset"sv,
                                "sunsubscribe"sv,
                                "unsubscribe"sv,
                                "unwatch"sv};
static_assert(std::is_sorted(kUnlimited.begin(), kUnlimited.end()));

// Beside those that are never limited.
constexpr std::array kHandshake{"auth"sv,
                                "client"sv,
                                "client|caching"sv,
                                "client|capa"sv,
                                "client|getname"sv,
                                "client|getredir"sv,
                                "client|help"sv,
                                "client|id"sv,
                                "client|import-source"sv,
                                "client|info"sv,
                                "client|no-touch"sv,
                                "client|reply"sv,
                                "client|setinfo"sv,
                                "client|setname"sv,
                                "client|tracking"sv,
                                "client|trackinginfo"sv,
                                "command"sv,
                                "command|count"sv,
                                "command|docs"sv,
                                "command|getkeys"sv,
                                "command|getkeysandflags"sv,
                                "command|help"sv,
                                "command|info"sv,
                                "command|list"sv,
                                "hello"sv,
                                "info"sv,
                                "readonly"sv,
                                "readwrite"sv,
                                "role"sv,
                                "select"sv};
static_assert(std::is_sorted(kHandshake.begin(), kHandshake.end()));

}  // namespace

std::uint32_t categories_of(const CommandSpec& row) {
  std::uint32_t bits = row.categories | (row.has(kFast) ? kCatFast : kCatSlow);
  if (row.has(kReadOnly) && (row.categories & kCatScripting) == 0) {
    bits |= kCatRead;
  }
  if (row.has(kWrite)) {
    bits |= kCatWrite;
  }
  if (row.has(kAdmin)) {
    bits |= kCatAdmin | kCatDangerous;
  }
  if (row.has(kPubsub)) {
    bits |= kCatPubsub;
  }
  if (row.has(kBlocking)) {
    bits |= kCatBlocking;
  }
  return bits;
}

std::span<const std::string_view> category_names() {
  return kNames;
}

std::uint32_t category_of(std::string_view name) {
  const auto* found = std::lower_bound(kNames.begin(), kNames.end(), name);
  return found != kNames.end() && *found == name
             ? kBits[static_cast<std::size_t>(found - kNames.begin())]
             : 0;
}

bool is_named(const CommandSpec& row, std::string_view name) {
  const auto space = name.find(' ');
  const auto bar = row.name.find('|');
  if (row.name.substr(0, bar) != name.substr(0, space)) {
    return false;
  }
  return space == std::string_view::npos ||
         (bar != std::string_view::npos && row.name.substr(bar + 1) == name.substr(space + 1));
}

bool is_handshake(const CommandSpec& row) {
  return is_unlimited(row) || std::binary_search(kHandshake.begin(), kHandshake.end(), row.name);
}

bool is_unlimited(const CommandSpec& row) {
  return std::binary_search(kUnlimited.begin(), kUnlimited.end(), row.name);
}

}  // namespace pannier::command
