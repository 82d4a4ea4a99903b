#include "pannier/base/bytes.hpp"
#include "pannier/resp/request_parser.hpp"

#include "introspection.hpp"
#include "ttl_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

// Sliding TTLs (behaviour 4.5): a read renews the life of its key, at most once in half of it.
namespace pannier::proxy {
namespace {

using command::CommandSpec;

// Extends only what lives, is in its second half, and is not shorter than it should be: else
// somebody has shortened it, and it stays so. Tells how long the key lives.
constexpr std::string_view kRenewScript =
    "local p=redis.call('PTTL',KEYS[1]) "
    "if p>tonumber(ARGV[1]) and p<=tonumber(ARGV[2]) then "
    "redis.call('PEXPIRE',KEYS[1],ARGV[3]) return tonumber(ARGV[3]) end return p";

std::int64_t milliseconds(base::TimePoint now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
}

std::uint64_t name_of(std::string_view key, std::uint32_t db) {
  constexpr std::uint64_t kMix = 0x9E3779B97F4A7C15ULL;
  const std::uint64_t hash = route::RecentWrites::hash(key) ^ (db * kMix);
  return hash == 0 ? 1 : hash;
}

bool renews(const CommandSpec& row, std::span<const std::string_view> arguments) {
  static const std::array<const CommandSpec*, 4> kReads{command::find("get"),
                                                        command::find("hget"),
                                                        command::find("hmget"),
                                                        command::find("hgetall")};
  static const CommandSpec* const kGetEx = command::find("getex");
  return arguments.size() > 1 && (std::find(kReads.begin(), kReads.end(), &row) != kReads.end() ||
                                  (&row == kGetEx && arguments.size() == 2));
}

// Of a key that slides; null: it does not.
const config::TtlRules* rules_of(const Context& context, policy::ClassId id) {
  if (id >= context.rules->policy.classes.size()) {
    return nullptr;
  }
  const auto& ttl = context.rules->at(id).ttl;
  return ttl && ttl->sliding && ttl->preset.count() > 0 ? &*ttl : nullptr;
}

std::int64_t life_of(const config::TtlRules& rules) {
  const std::int64_t life = std::max<std::int64_t>(rules.preset.count(), rules.min.count());
  return rules.max.count() > 0 ? std::min<std::int64_t>(life, rules.max.count()) : life;
}

// What a life may fall short of what is expected before that means something: the jitter that
// another sidecar gave it, and a tenth.
std::int64_t floor_of(const config::TtlRules& rules, std::int64_t expected) {
  const std::int64_t slack = life_of(rules) * (rules.jitter + 10) / 100;
  return std::max<std::int64_t>(expected - slack, 0);
}

// Times in milliseconds.
struct Renewal {
  std::string_view key;
  std::uint64_t name = 0;
  policy::ClassId key_class = policy::kNoClass;
  std::int64_t floor = 0;
  std::int64_t life = 0;
};

void ask_to_renew(Context& context, upstream::Connection& lane, const Renewal& what) {
  static const std::uint16_t kRow = metrics_index(*command::find("eval"));
  const fmt::format_int low(what.floor);
  const fmt::format_int high(what.life / 2);
  const fmt::format_int whole(what.life);
  const std::array<std::string_view, 7> request{"EVAL",
                                                kRenewScript,
                                                "1",
                                                what.key,
                                                {low.data(), low.size()},
                                                {high.data(), high.size()},
                                                {whole.data(), whole.size()}};
  context.ttl.added.clear();
  resp::append_request(context.ttl.added, request);
  const upstream::SlotIndex index = take_slot(context, lane, kRow);
  upstream::Slot& slot = context.runtime.slots[index];
  slot.fate = upstream::Fate::Swallow;
  slot.purpose = upstream::Purpose::Renew;
  slot.key_class = what.key_class;
  slot.key_hash = what.name;
  lane.metrics().requests.add();
  static_cast<void>(hand_over(context, lane, index, context.ttl.added));
}

}  // namespace

void renew_life(Context& context,
                Session& session,
                const CommandSpec& row,
                std::span<const std::string_view> arguments) {
  const policy::ClassId id = class_of(context, arguments[1]);
  const config::TtlRules* rules = rules_of(context, id);
  // A PEXPIRE of Pannier's own would make the client's EXEC fail.
  if (rules == nullptr || !renews(row, arguments) || session.pinned.multi ||
      session.pinned.watching || !context.topology->has_primary()) {
    return;
  }
  const std::uint64_t name = name_of(arguments[1], session.state.db);
  const std::int64_t now = milliseconds(context.runtime.now);
  const std::int64_t life = life_of(*rules);
  SlidingLives& lives = context.shared.sliding_lives;
  SlidingLives::Due due;
  if (!lives.is_due(name, now, due)) {
    return;
  }
  if (rules->mode != config::RuleMode::Enforce) {
    // Nobody is asked, so a life is known from a store on, or reckoned from the first read on.
    if (lives.claim(name, now, due, now + life / 2) && due.seen != 0) {
      context.runtime.metrics.classes[id]
          .ttl_observed.at(static_cast<std::size_t>(metrics::TtlAction::Renewed))
          .add();
    }
    return;
  }
  upstream::Connection* lane =
      context.lanes.pick({context.topology->primary, session.state.db, session.state.version},
                         session.ref().index,
                         false);
  if (lane == nullptr || !lives.claim(name, now, due, now + life / 2)) {
    return;
  }
  ask_to_renew(context, *lane, {arguments[1], name, id, floor_of(*rules, due.expected), life});
}

void take_renewal(Context& context, const upstream::Slot& slot, std::string_view bytes) {
  const config::TtlRules* rules = rules_of(context, slot.key_class);
  const auto ttl = bytes.starts_with(':') && bytes.size() > 3
                       ? base::parse_int(bytes.substr(1, bytes.size() - 3))
                       : std::nullopt;
  metrics::ClassMetrics& metrics = context.runtime.metrics.classes[slot.key_class];
  if (!ttl) {
    metrics.ttl_unapplied.add();
    return;
  }
  if (rules == nullptr) {
    return;
  }
  const std::int64_t life = life_of(*rules);
  const std::int64_t now = milliseconds(context.runtime.now);
  SlidingLives& lives = context.shared.sliding_lives;
  if (*ttl < 0) {  // no key, or one without a TTL
    lives.set(slot.key_hash, now, now + life / 2, 0);
  } else if (*ttl > life || *ttl <= life / 2) {  // as long as somebody wanted it to be
    lives.end(slot.key_hash, now, now + *ttl);
  } else {
    lives.set(slot.key_hash, now, now + *ttl - life / 2, now + *ttl);
    if (*ttl == life) {
      metrics.ttl_applied.at(static_cast<std::size_t>(metrics::TtlAction::Renewed)).add();
    }
  }
}

void note_life(Context& context, std::uint32_t db, const policy::TtlLife& life) {
  const std::uint64_t name = name_of(life.key, db);
  const std::int64_t now = milliseconds(context.runtime.now);
  SlidingLives& lives = context.shared.sliding_lives;
  if (life.is_explicit) {
    lives.end(name, now, now + life.ms);
    return;
  }
  const config::TtlRules* rules = rules_of(context, life.key_class);
  const std::int64_t half = rules == nullptr ? life.ms / 2 : life_of(*rules) / 2;
  lives.set(name, now, now + std::max<std::int64_t>(life.ms - half, 0), now + life.ms);
}

}  // namespace pannier::proxy
