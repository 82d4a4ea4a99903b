#include "pannier/command/learned.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace pannier::command {

namespace {

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 20> kFlagNames{{
    {"write", kWrite},
    {"readonly", kReadOnly},
    {"denyoom", kDenyOom},
    {"admin", kAdmin},
    {"pubsub", kPubsub},
    {"noscript", kNoScript},
    {"blocking", kBlocking},
    {"loading", kLoading},
    {"stale", kStale},
    {"skip_monitor", kSkipMonitor},
    {"skip_slowlog", kSkipSlowlog},
    {"asking", kAsking},
    {"fast", kFast},
    {"movablekeys", kMovableKeys},
    {"no_auth", kNoAuth},
    {"may_replicate", kMayReplicate},
    {"no_multi", kNoMulti},
    {"allow_busy", kAllowBusy},
    {"no_async_loading", kNoAsyncLoading},
    {"no_mandatory_keys", kNoMandatoryKeys},
}};

template <typename T>
bool fits(std::int64_t value) {
  return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

bool is_plain_range(const CommandInfo& info) {
  return info.first > 0 && info.step > 0 && fits<std::int16_t>(info.first) &&
         fits<std::int16_t>(info.last) && fits<std::int16_t>(info.step);
}

std::uint32_t flags_of(const CommandInfo& info) {
  std::uint32_t flags = 0;
  bool module = false;
  for (const std::string& name : info.flags) {
    flags |= flag_of(name);
    module = module || name == "module";
  }
  // A module may leave all flags away and write nevertheless.
  if (module && (flags & (kWrite | kReadOnly)) == 0) {
    flags |= kMayReplicate;
  }
  if (info.has_subcommands) {
    flags |= kContainer | kUnknownKeys;
  }
  const bool writes = (flags & (kWrite | kMayReplicate)) != 0 && (flags & kReadOnly) == 0;
  if (writes && (!is_plain_range(info) || (flags & kMovableKeys) != 0)) {
    flags |= kUnknownKeys;
  }
  // Nothing is known of its cost (FT.SEARCH, GRAPH.QUERY): give it the patient deadline.
  if ((flags & kFast) == 0) {
    flags |= kHeavy;
  }
  return flags;
}

CommandSpec row_of(const CommandInfo& info, std::string_view name) {
  const std::uint32_t flags = flags_of(info);
  CommandSpec row{name, -1, flags, KeyRule::None, 0, 0, 0, Handling::Forward};
  if (fits<std::int16_t>(info.arity) && info.arity != 0) {
    row.arity = static_cast<std::int16_t>(info.arity);
  }
  if (is_plain_range(info) && (flags & kMovableKeys) == 0) {
    row.rule = KeyRule::Range;
    row.first = static_cast<std::int16_t>(info.first);
    row.last = static_cast<std::int16_t>(info.last);
    row.step = static_cast<std::int16_t>(info.step);
  } else if (info.first != 0) {
    row.flags |= kMovableKeys;
  }
  if (row.has(kBlocking | kPubsub)) {
    row.handling = Handling::Blocking;
  }
  return row;
}

}  // namespace

std::uint32_t flag_of(std::string_view name) {
  const auto* found = std::find_if(kFlagNames.begin(), kFlagNames.end(), [name](const auto& flag) {
    return flag.first == name;
  });
  return found == kFlagNames.end() ? 0 : found->second;
}

LearnedCommands::LearnedCommands(std::size_t max_names, base::Duration unknown_for)
    : max_names_(max_names),
      unknown_for_(unknown_for) {}

LearnedCommands::Answer LearnedCommands::find(std::string_view name, base::TimePoint now) const {
  if (name.size() > kMaxNameLength) {
    return {Status::Unknown, nullptr};
  }
  if (const auto known = known_.find(name); known != known_.end()) {
    return {Status::Known, &known->second};
  }
  const auto unknown = unknown_.find(name);
  const bool remembered = unknown != unknown_.end() && now < unknown->second;
  return {remembered ? Status::Unknown : Status::Ask, nullptr};
}

const CommandSpec* LearnedCommands::learn(const CommandInfo& info) {
  if (info.name.size() > kMaxNameLength) {
    return nullptr;
  }
  auto known = known_.find(info.name);
  if (known == known_.end()) {
    if (known_.size() >= max_names_) {
      return nullptr;
    }
    known = known_.try_emplace(base::to_lower(info.name)).first;
  }
  known->second = row_of(info, known->first);
  if (const auto unknown = unknown_.find(info.name); unknown != unknown_.end()) {
    unknown_.erase(unknown);
  }
  return &known->second;
}

void LearnedCommands::learn_unknown(std::string_view name, base::TimePoint now) {
  if (name.size() > kMaxNameLength || max_names_ == 0) {
    return;
  }
  const auto unknown = unknown_.find(name);
  if (unknown != unknown_.end()) {
    unknown->second = now + unknown_for_;
    return;
  }
  if (unknown_.size() >= max_names_) {
    make_room(now);
  }
  unknown_.emplace(base::to_lower(name), now + unknown_for_);
}

void LearnedCommands::make_room(base::TimePoint now) {
  std::erase_if(unknown_, [now](const auto& entry) { return entry.second <= now; });
  if (unknown_.size() >= max_names_) {
    unknown_.erase(
        std::min_element(unknown_.begin(), unknown_.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        }));
  }
}

std::size_t LearnedCommands::Hash::operator()(std::string_view name) const {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(base::lower(c))) * 0x100000001b3;
  }
  return hash;
}

bool LearnedCommands::Equal::operator()(std::string_view a, std::string_view b) const {
  return base::equals_ignoring_case(a, b);
}

}  // namespace pannier::command
