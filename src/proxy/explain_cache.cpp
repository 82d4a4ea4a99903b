#include "explain_cache.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/near_cache_state.hpp"

#include "cached_reads.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using config::CacheRules;
using config::PolicyClass;
using config::RuleMode;

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text) + "\"";
}

bool is_mget(const command::CommandSpec& row) {
  static const command::CommandSpec* const kMget = command::find("mget");
  return &row == kMget;
}

// What the rules do not know of.
std::string refusal_of_session(const Session& session) {
  if (session.pinned.connection != nullptr) {
    return "this session is on an exclusive connection (WATCH, CLIENT TRACKING, a subscription)";
  }
  return session.state.db > 255 ? "databases above 255 are not kept" : "";
}

// The verdict for a request of cached classes.
std::string verdict(const Context& context, const Session& session, const CacheRules& rules) {
  if (rules.mode == RuleMode::Observe) {
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

// The lines that a class adds for one of its keys.
std::string class_lines(Context& context,
                        const Session& session,
                        const ExplainedRequest& request,
                        route::NodeId node) {
  CachedRead read;
  if (!identify_read(context, session, *request.row, request.arguments, read)) {
    return "";
  }
  const PolicyClass& rules = context.rules->at(read.query.key_class);
  const bool observed = rules.cache->mode == RuleMode::Observe;
  std::string out = life_lines(*rules.cache);
  out += fmt::format("tracking: {}\n",
                     tracking_text(context, read.query.key_class, read.query.key, node));
  out += fmt::format("in memory: {}\n", memory_text(context, read, observed));
  return out + lease_line(rules, *request.row);
}

// MGET: what is there of each key; the rules are those of GET.
std::string mget_lines(Context& context,
                       const Session& session,
                       std::span<const std::string_view> keys) {
  static const command::CommandSpec* const kGet = command::find("get");
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

ReadsSources reads_sources(const Context& context, const Session& session) {
  return {context.shared.config.reads,
          session.listener().reads,
          session.listener().address.to_string(),
          session.listener().strong};
}

RuleFacts rule_facts(const Context& context, const Session& session) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const auto major =
      base::parse_int(std::string_view(context.topology->server_version).substr(0, 1));
  return {now.count(), major.value_or(0) >= 7, session.pinned.multi};
}

std::string explain_near_cache(Context& context,
                               const Session& session,
                               const ExplainedRequest& request,
                               route::NodeId node) {
  std::string refusal = cache_refusal(*context.rules, request);
  if (refusal.empty()) {
    refusal = refusal_of_session(session);
  }
  if (!refusal.empty()) {
    return fmt::format("near cache: no ({})\n", refusal);
  }
  const policy::ClassId id = context.rules->matcher.match(request.keys[0]);
  const std::string out =
      fmt::format("near cache: {}\n", verdict(context, session, *context.rules->at(id).cache));
  return out + (is_mget(*request.row) ? mget_lines(context, session, request.keys)
                                      : class_lines(context, session, request, node));
}

}  // namespace pannier::proxy
