#include "explain_cache.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/near_cache_state.hpp"

#include "cached_reads.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using config::CacheRules;
using config::PolicyClass;
using config::RuleMode;

constexpr std::size_t kShownKeys = 16;
constexpr std::size_t kShownLosers = 3;

// 250ms, 30s, 10m, 24h: the largest unit that says it whole.
std::string shown(config::Milliseconds duration) {
  static constexpr std::array<std::pair<std::int64_t, const char*>, 3> kUnits{
      {{3600 * 1000, "h"}, {60 * 1000, "m"}, {1000, "s"}}};
  const std::int64_t count = duration.count();
  for (const auto& [unit, name] : kUnits) {
    if (count != 0 && count % unit == 0) {
      return fmt::format("{}{}", count / unit, name);
    }
  }
  return fmt::format("{}ms", count);
}

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text) + "\"";
}

// Of the globs of a class that match: the one that counts (behaviour 8.1); null when none does.
const std::string* best_glob(const PolicyClass& rules, std::string_view key) {
  const std::string* best = nullptr;
  std::pair<std::size_t, std::size_t> best_rank;
  for (const std::string& glob : rules.keys) {
    const std::pair rank{config::literal_prefix(glob).size(), config::literal_count(glob)};
    if (config::glob_matches(glob, key) && (best == nullptr || rank > best_rank)) {
      best = &glob;
      best_rank = rank;
    }
  }
  return best;
}

std::string losers(const policy::Rules& rules, policy::ClassId winner, std::string_view key) {
  std::string out;
  std::size_t count = 0;
  for (const PolicyClass& each : rules.policy.classes) {
    const std::string* glob = &each == &rules.at(winner) ? nullptr : best_glob(each, key);
    if (glob != nullptr && ++count <= kShownLosers) {
      out += fmt::format("{} {} of {}", count == 1 ? "" : ",", quoted(*glob), each.name);
    }
  }
  if (count > kShownLosers) {
    out += fmt::format(" and {} more", count - kShownLosers);
  }
  return out.empty() ? out : "; more specific than" + out;
}

std::string class_text(const policy::Rules& rules, std::string_view key) {
  const policy::ClassId id = rules.matcher.match(key);
  if (id != policy::kNoClass) {
    const std::string* glob = best_glob(rules.at(id), key);
    return fmt::format("{} (glob {}{})",
                       rules.at(id).name,
                       glob == nullptr ? "unknown" : quoted(*glob),
                       losers(rules, id, key));
  }
  if (rules.policy.empty()) {
    return "none (there is no policy)";
  }
  if (key.starts_with(policy::kReservedKeys)) {
    return fmt::format("none ({}* is Pannier's own)", policy::kReservedKeys);
  }
  return "none (no glob matches)";
}

// Which rule says where reads of a class go; the order of `class_reads`.
std::string reads_source(const Context& context, const Session& session, policy::ClassId id) {
  if (session.listener().strong) {
    return "listener strong: true";
  }
  if (id != policy::kNoClass && context.rules->at(id).reads) {
    return "class " + context.rules->at(id).name;
  }
  if (context.rules->policy.reads) {
    return "policy defaults";
  }
  if (session.listener().reads) {
    return "listener " + session.listener().address.to_string();
  }
  return "pannier.yaml";
}

RuleMode mode_of(const policy::Rules& rules, const CacheRules& cache) {
  return std::min(rules.policy.mode, cache.mode);
}

const PolicyClass* class_of(const Context& context, std::string_view key) {
  const policy::ClassId id = context.rules->matcher.match(key);
  return id == policy::kNoClass ? nullptr : &context.rules->at(id);
}

bool is_mget(const CommandSpec& row) {
  static const CommandSpec* const kMget = command::find("mget");
  return &row == kMget;
}

// Why a request cannot be answered from memory, whatever its class says; empty: it can.
std::string refusal_of_command(const Session& session, const ExplainedRequest& request) {
  const CommandSpec& row = *request.row;
  const bool own_script = row.handling == command::Handling::Local;
  if (row.handling != command::Handling::Forward && !own_script) {
    return "sent on an exclusive connection";
  }
  if (command::may_write(row)) {
    return request.keys_known && !row.has(command::kUnknownKeys)
               ? "a write; what is kept of its keys goes"
               : "a write whose keys are not all known; all that is kept goes";
  }
  if (!row.has(command::kCacheable) && !is_mget(row)) {
    return "replies of this command are never kept";
  }
  if (!command::arity_fits(row, request.arguments.size())) {
    return "wrong number of arguments";
  }
  if (!is_mget(row) && row.last != row.first && request.arguments.size() != 2) {
    return "it names several keys";
  }
  if (session.pinned.connection != nullptr) {
    return "this session is on an exclusive connection (WATCH, CLIENT TRACKING, a subscription)";
  }
  return session.state.db > 255 ? "databases above 255 are not kept" : "";
}

// The same of the class of one of its keys.
std::string refusal_of_class(const Context& context, std::string_view key, bool mget) {
  const PolicyClass* rules = class_of(context, key);
  if (rules == nullptr) {
    return "the key has no class";
  }
  if (!rules->cache || mode_of(*context.rules, *rules->cache) == RuleMode::Off) {
    return fmt::format("class {} is not cached", rules->name);
  }
  if (mget && !rules->cache->mget) {
    return fmt::format("class {} does not say mget: true", rules->name);
  }
  if (mget && mode_of(*context.rules, *rules->cache) != RuleMode::Enforce) {
    return fmt::format("class {} only observes", rules->name);
  }
  return "";
}

std::string refusal_of_keys(const Context& context, const ExplainedRequest& request) {
  const bool mget = is_mget(*request.row);
  if (mget && request.keys.size() > MgetFill::kMaxKeys) {
    return fmt::format("more than {} keys", MgetFill::kMaxKeys);
  }
  for (const std::string_view key : request.keys) {
    const std::string refusal = refusal_of_class(context, key, mget);
    if (!refusal.empty()) {
      return mget ? quoted(key) + ": " + refusal : refusal;
    }
  }
  return "";
}

// The verdict for a request of cached classes.
std::string verdict(const Context& context, const Session& session, const CacheRules& rules) {
  if (mode_of(*context.rules, rules) == RuleMode::Observe) {
    return "observed: upstream answers, and it is counted what memory would have answered";
  }
  if (session.listener().strong) {
    return "no (listener strong: true)";
  }
  if (is_bypassed(context)) {
    return fmt::format(
        "no (bypassed for another {:.0f} s)",
        std::chrono::duration<double>(bypass_left(context.shared, context.runtime.now)).count());
  }
  if (context.shared.near_cache.budget() == 0) {
    return "no (near_cache is 0)";
  }
  return "yes";
}

// How changes of the class are heard, and of the node that would be asked.
std::string tracking_text(const Context& context,
                          policy::ClassId id,
                          std::string_view key,
                          route::NodeId node) {
  if (context.rules->at(id).cache->coherence == config::Coherence::Ttl) {
    return "none: TTL only (coherence: ttl)";
  }
  std::vector<policy::ClassId> optin;
  for (std::size_t each = 0; each < context.rules->policy.classes.size(); ++each) {
    if (context.shared.optin.at(each).load(std::memory_order_relaxed)) {
      optin.push_back(static_cast<policy::ClassId>(each));
    }
  }
  std::string out = "key by key (OPTIN)";
  if (!context.shared.optin[id].load(std::memory_order_relaxed)) {
    out = "by prefix";
    for (const auto& prefix : policy::plan_tracking(*context.rules, optin).prefixes) {
      out += key.starts_with(prefix) ? " " + quoted(prefix) : "";
    }
  }
  const auto states = context.shared.tracking_states.get();
  if (node >= states.size()) {
    return out + "; no node is heard yet";
  }
  const upstream::TrackingState& state = states[node];
  out += fmt::format("; {} tells by {}", context.topology->nodes[node].name, to_string(state.rung));
  if (state.rung == upstream::Rung::None) {
    out += ": nothing is kept until changes are heard";
  } else if (state.rung == upstream::Rung::Ttl) {
    out += ": TTL only";
  }
  return out + (state.reason.empty() ? "" : " (" + state.reason + ")");
}

const char* word_of(const cache::Hit& hit) {
  switch (hit.freshness) {
    case cache::Freshness::Fresh:
      return "fresh";
    case cache::Freshness::Stale:
      return "stale";
    case cache::Freshness::Unproven:
      return "unproven: coherence was lost since";
  }
  return "";
}

std::string memory_text(Context& context, const CachedRead& read, bool observed) {
  if (observed && !context.shared.shadow) {
    return "no";
  }
  cache::NearCache& cache = observed ? *context.shared.shadow : context.shared.near_cache;
  const base::TimePoint now = context.runtime.now;
  const cache::Hit hit = cache.find(read.query, now);
  if (!hit) {
    return "no";
  }
  const auto seconds = [](base::Duration duration) {
    return std::chrono::duration<double>(duration).count();
  };
  std::string out = fmt::format("{}, {}", word_of(hit), hit.negative ? "no such key" : "a value");
  if (!hit.negative && !observed) {
    out += fmt::format(" of {} bytes as a reply", hit.bytes().size());
  }
  out += fmt::format(", about {:.1f} s old", seconds(hit.age));
  if (hit.fresh_until > now) {
    out += fmt::format(", {:.1f} s to live", seconds(hit.fresh_until - now));
  }
  return out;
}

std::string life_lines(const CacheRules& rules) {
  std::string out =
      fmt::format("ttl: {}, up to {}% shorter; the key's own TTL bounds it\nnegative: {}\n",
                  shown(rules.ttl),
                  rules.jitter,
                  rules.negative.count() == 0 ? "never kept" : shown(rules.negative));
  out += fmt::format("stale: {} while it is refreshed, {} while upstream is away\n",
                     shown(rules.stale_while_revalidate),
                     shown(rules.stale_if_error));
  if (rules.refresh_ahead > 0) {
    out += fmt::format("refresh ahead: after {}% of its life\n", rules.refresh_ahead);
  }
  return out + fmt::format("max value: {}\n", base::human_bytes(rules.max_value));
}

std::string lease_text(const PolicyClass& rules, const CommandSpec& row) {
  static const CommandSpec* const kGet = command::find("get");
  if (!rules.miss) {
    return "none";
  }
  if (&row != kGet) {
    return "none: of GET only";
  }
  return fmt::format("one client fills a missing key within {}, others wait {}; pipelined {}",
                     shown(rules.miss->lease),
                     shown(rules.miss->wait),
                     rules.miss->pipelined == config::Pipelined::Skip ? "skip" : "hold");
}

// The lines that a class adds for one of its keys.
std::string class_lines(Context& context, const Session& session, const ExplainedRequest& request) {
  CachedRead read;
  if (!identify_read(context, session, *request.row, request.arguments, read)) {
    return "";
  }
  const PolicyClass& rules = context.rules->at(read.query.key_class);
  const bool observed = mode_of(*context.rules, *rules.cache) == RuleMode::Observe;
  std::string out = life_lines(*rules.cache);
  out += fmt::format("tracking: {}\n",
                     tracking_text(context, read.query.key_class, read.query.key, request.node));
  out += fmt::format("in memory: {}\n", memory_text(context, read, observed));
  return out + fmt::format("leases: {}\n", observed ? "none" : lease_text(rules, *request.row));
}

// MGET: what is there of each key; the rules are those of GET.
std::string mget_lines(Context& context,
                       const Session& session,
                       std::span<const std::string_view> keys) {
  static const CommandSpec* const kGet = command::find("get");
  std::size_t fresh = 0;
  for (const std::string_view key : keys) {
    const std::array<std::string_view, 2> get{"GET", key};
    CachedRead read;
    if (identify_read(context, session, *kGet, get, read)) {
      const cache::Hit hit = context.shared.near_cache.find(read.query, context.runtime.now);
      fresh += hit && hit.freshness == cache::Freshness::Fresh ? 1U : 0U;
    }
  }
  return fmt::format(
      "in memory: {} of {} fresh; memory answers when all are\n", fresh, keys.size());
}

}  // namespace

std::string explain_classes(const Context& context, std::span<const std::string_view> keys) {
  if (keys.size() == 1) {
    return fmt::format("class: {}\n", class_text(*context.rules, keys[0]));
  }
  std::string out;
  for (std::size_t i = 0; i < std::min(keys.size(), kShownKeys); ++i) {
    out += fmt::format("class of {}: {}\n", quoted(keys[i]), class_text(*context.rules, keys[i]));
  }
  if (keys.size() > kShownKeys) {
    out += fmt::format("class of the others: {} keys are not shown\n", keys.size() - kShownKeys);
  }
  return out;
}

std::string explain_reads(const Context& context,
                          const Session& session,
                          std::span<const std::string_view> keys) {
  const auto one = [&](policy::ClassId id) {
    return std::pair{class_reads(context, &session, id), reads_source(context, session, id)};
  };
  if (keys.empty()) {
    const auto [reads, source] = one(policy::kNoClass);
    return fmt::format("{} ({})", config::to_string(reads), source);
  }
  const auto [first, source] = one(context.rules->matcher.match(keys[0]));
  for (const std::string_view key : keys.subspan(1)) {
    if (one(context.rules->matcher.match(key)).first != first) {
      return "primary (its keys' rules differ: the strictest counts)";
    }
  }
  return fmt::format("{} ({})", config::to_string(first), source);
}

std::string explain_near_cache(Context& context,
                               const Session& session,
                               const ExplainedRequest& request) {
  std::string refusal = refusal_of_command(session, request);
  if (refusal.empty()) {
    refusal = refusal_of_keys(context, request);
  }
  if (!refusal.empty()) {
    return fmt::format("near cache: no ({})\n", refusal);
  }
  const CacheRules& rules = *class_of(context, request.keys[0])->cache;
  const std::string out = fmt::format("near cache: {}\n", verdict(context, session, rules));
  return out + (is_mget(*request.row) ? mget_lines(context, session, request.keys)
                                      : class_lines(context, session, request));
}

}  // namespace pannier::proxy
