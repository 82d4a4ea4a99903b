#include "pannier/proxy/explain_rules.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/config/policy_words.hpp"
#include "pannier/policy/ttl_plan.hpp"
#include "pannier/proxy/flights.hpp"

#include "absent_reply.hpp"
#include "throttle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using config::PolicyClass;
using config::RuleMode;

constexpr std::size_t kShownKeys = 16;
constexpr std::size_t kShownLosers = 3;
constexpr std::size_t kShownArgument = 64;  // bytes
constexpr std::size_t kShownArguments = 16;

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text) + "\"";
}

const char* handling_text(const CommandSpec& row) {
  switch (row.handling) {
    case command::Handling::Forward:
      return "forwarded on a shared lane";
    case command::Handling::Local:
      return is_throttle(row) ? "a script of Pannier's on the primary" : "answered by Pannier";
    case command::Handling::Transaction:
    case command::Handling::Blocking:
    case command::Handling::Subscribe:
    case command::Handling::Wait:
      return "sent on an exclusive connection";
    case command::Handling::Refused:
      return "refused: it would take over a shared connection";
  }
  return "";
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

// What the classes of the keys say, each once.
std::string class_rules(const policy::Rules& rules, std::span<const std::string_view> keys) {
  std::string out;
  std::set<policy::ClassId> seen;
  for (const std::string_view key : keys) {
    const policy::ClassId id = rules.matcher.match(key);
    if (id != policy::kNoClass && seen.size() < kShownKeys && seen.insert(id).second) {
      out += fmt::format("rules of {}: {}\n", rules.at(id).name, config::in_words(rules.at(id)));
    }
  }
  return out;
}

std::string shown_request(std::span<const std::string_view> arguments) {
  std::string out;
  for (std::size_t i = 0; i < std::min(arguments.size(), kShownArguments); ++i) {
    const std::string_view each = arguments[i];
    out += (i == 0 ? "" : " ") + base::printable(each.substr(0, kShownArgument));
    out += each.size() > kShownArgument ? fmt::format("({} bytes)", each.size()) : "";
  }
  return out + (arguments.size() > kShownArguments
                    ? fmt::format(" and {} more", arguments.size() - kShownArguments)
                    : "");
}

const char* word_of(policy::Denial::Reason reason) {
  switch (reason) {
    case policy::Denial::Reason::Command:
      return "its command";
    case policy::Denial::Reason::Key:
      return "its key";
    case policy::Denial::Reason::Arguments:
      return "too many arguments";
    case policy::Denial::Reason::Value:
      return "an argument is too large";
    case policy::Denial::Reason::ReadOnly:
      return "it may write";
  }
  return "";
}

std::string denial_text(const policy::Rules& rules, const policy::Denial& denial) {
  if (denial.id == policy::kReadOnlyRule) {
    return fmt::format("read_only ({})", word_of(denial.reason));
  }
  const config::DenyRule& rule = rules.policy.deny[denial.id];
  return fmt::format(
      "{} ({}){}", rule.name, word_of(denial.reason), rule.hint.empty() ? "" : "; " + rule.hint);
}

policy::RequestView view_of(const policy::Rules& rules, const ExplainedRequest& request) {
  policy::RequestView view;
  view.row = request.row;
  view.arguments = request.arguments;
  view.keys = request.keys;
  view.key_class =
      request.keys.empty() ? policy::kNoClass : rules.matcher.match(request.keys.front());
  return view;
}

std::string denial_lines(const policy::Rules& rules, const policy::RequestView& view) {
  const policy::Denials denials = rules.requests.denial_of(view);
  std::string out = denials.enforced ? "denied: by " + denial_text(rules, *denials.enforced) + "\n"
                                     : std::string("denied: no\n");
  if (denials.observed) {
    out += "would be denied: by " + denial_text(rules, *denials.observed) + " (observed)\n";
  }
  return out;
}

std::string limit_lines(const policy::Rules& rules, const policy::RequestView& view) {
  std::vector<policy::LimitMatch> matches;
  rules.requests.limits_of(view, matches);
  if (matches.empty()) {
    return "limits: none\n";
  }
  std::string out;
  for (const policy::LimitMatch& match : matches) {
    const config::LimitRule& limit = rules.policy.limits[match.id];
    out +=
        fmt::format("limit {}: {}{}{}\n",
                    limit.name,
                    config::in_words(limit),
                    match.subject.empty() ? "" : "; counted for " + quoted(match.subject),
                    rules.requests.limit_mode(match.id) == RuleMode::Observe ? " (observed)" : "");
  }
  return out;
}

const char* word_of(metrics::TtlAction action) {
  switch (action) {
    case metrics::TtlAction::Default:
      return "given the default TTL";
    case metrics::TtlAction::Raised:
      return "raised to the minimum TTL";
    case metrics::TtlAction::Shortened:
      return "bound by the maximum TTL";
    case metrics::TtlAction::Jittered:
      return "shortened by jitter";
    case metrics::TtlAction::Required:
      return "NOTSTORED: a TTL is required";
    case metrics::TtlAction::NotStored:
      return "NOTSTORED: store: never";
    case metrics::TtlAction::NotRead:
      return "answered as absent: store: never";
    case metrics::TtlAction::Script:
      return "NOPERM: scripts: deny";
    case metrics::TtlAction::Renewed:
      return "renewed by reads";
    case metrics::TtlAction::kCount:
      break;
  }
  return "";
}

std::string addition_lines(const policy::TtlPlan& plan) {
  std::string out;
  for (std::size_t i = 0; i < std::min(plan.additions.size(), kShownKeys); ++i) {
    const policy::TtlAddition& each = plan.additions[i];
    out += fmt::format("sent behind it: PEXPIRE {} {} {}{}\n",
                       base::printable(each.key.substr(0, kShownArgument)),
                       each.ms,
                       each.is_bound ? "LT" : "NX",
                       plan.after_stored ? ", once the reply says that something was stored" : "");
  }
  return out;
}

std::string ttl_lines(const policy::Rules& rules,
                      const ExplainedRequest& request,
                      const RuleFacts& facts) {
  if (!rules.any_ttl) {
    return "";
  }
  policy::TtlRequest ttl;
  ttl.row = request.row;
  ttl.arguments = request.arguments;
  ttl.in_multi = facts.in_multi;
  ttl.has_conditions = facts.has_conditions;
  ttl.unix_now = facts.unix_now;
  policy::TtlPlan plan;
  policy::plan_ttl(rules, ttl, plan);
  std::string out;
  if (plan.outcome == policy::TtlPlan::Outcome::Refuse) {
    out += fmt::format("refused: {} ({})\n", word_of(plan.refusal), rules.at(plan.refused_by).name);
  } else if (plan.outcome == policy::TtlPlan::Outcome::Rewrite) {
    out += "sent as: " + shown_request(plan.arguments) + "\n";
  }
  out += addition_lines(plan);
  for (const policy::TtlCount& count : plan.counts) {
    if (!count.enforced) {
      out += fmt::format(
          "would be {} ({}, observed)\n", word_of(count.action), rules.at(count.key_class).name);
    }
  }
  return out;
}

// Behaviour 4.6: a read of keys that are never stored asks nobody.
std::string absence_line(const policy::Rules& rules,
                         const ExplainedRequest& request,
                         const RuleFacts& facts) {
  const bool never =
      rules.any_never && !request.keys.empty() && request.row->has(command::kReadOnly) &&
      std::all_of(request.keys.begin(), request.keys.end(), [&](std::string_view key) {
        const policy::ClassId id = rules.matcher.match(key);
        return id != policy::kNoClass && policy::refuses_stores(rules.at(id));
      });
  std::string reply;
  const bool answered =
      never && !facts.in_multi &&
      append_absent_reply(reply, *request.row, request.arguments, resp::Version::Resp2);
  return answered ? "answered: here, as for a missing key (store: never)\n" : "";
}

bool is_mget(const CommandSpec& row) {
  static const CommandSpec* const kMget = command::find("mget");
  return &row == kMget;
}

// Why a request cannot be answered from memory, whatever its class says; empty: it can.
std::string refusal_of_command(const ExplainedRequest& request) {
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
  return "";
}

// The same of the class of one of its keys.
std::string refusal_of_class(const policy::Rules& rules, std::string_view key, bool mget) {
  const policy::ClassId id = rules.matcher.match(key);
  if (id == policy::kNoClass) {
    return "the key has no class";
  }
  const PolicyClass& each = rules.at(id);
  if (!each.cache) {
    return fmt::format("class {} is not cached", each.name);
  }
  if (mget && !each.cache->mget) {
    return fmt::format("class {} does not say mget: true", each.name);
  }
  if (mget && each.cache->mode != RuleMode::Enforce) {
    return fmt::format("class {} only observes", each.name);
  }
  return "";
}

}  // namespace

// In the order of `class_reads`.
std::pair<config::Reads, std::string> reads_of(const policy::Rules& rules,
                                               const ReadsSources& sources,
                                               policy::ClassId id) {
  if (sources.strong) {
    return {config::Reads::Primary, "listener strong: true"};
  }
  if (id != policy::kNoClass && rules.at(id).reads) {
    return {*rules.at(id).reads, "class " + rules.at(id).name};
  }
  if (rules.policy.reads) {
    return {*rules.policy.reads, "policy defaults"};
  }
  if (sources.listener) {
    return {*sources.listener, "listener " + sources.listener_name};
  }
  return {sources.config, "pannier.yaml"};
}

bool goes_upstream(const CommandSpec& row) {
  return (row.handling != command::Handling::Local || is_throttle(row)) &&
         row.handling != command::Handling::Refused;
}

std::string explain_command(const ExplainedRequest& request) {
  const CommandSpec& row = *request.row;
  std::string out = fmt::format("command: {}\nhandling: {}\n", row.name, handling_text(row));
  if (!goes_upstream(row)) {
    return out;
  }
  const bool arity = command::arity_fits(row, request.arguments.size());
  out +=
      fmt::format("arguments: {}\n", arity ? "right number" : "wrong number: the server refuses");
  out += fmt::format("keys: {}\n",
                     request.keys_known ? std::to_string(request.keys.size()) : "not known");
  return out;
}

std::string explain_classes(const policy::Rules& rules, std::span<const std::string_view> keys) {
  if (keys.size() == 1) {
    return fmt::format("class: {}\n", class_text(rules, keys[0])) + class_rules(rules, keys);
  }
  std::string out;
  for (std::size_t i = 0; i < std::min(keys.size(), kShownKeys); ++i) {
    out += fmt::format("class of {}: {}\n", quoted(keys[i]), class_text(rules, keys[i]));
  }
  if (keys.size() > kShownKeys) {
    out += fmt::format("class of the others: {} keys are not shown\n", keys.size() - kShownKeys);
  }
  return out + class_rules(rules, keys);
}

std::string explain_reads(const policy::Rules& rules,
                          const ReadsSources& sources,
                          std::span<const std::string_view> keys) {
  const auto one = [&](std::string_view key) {
    return reads_of(rules, sources, rules.matcher.match(key));
  };
  const auto [first, source] =
      keys.empty() ? reads_of(rules, sources, policy::kNoClass) : one(keys[0]);
  for (const std::string_view key : keys) {
    if (one(key).first != first) {
      return "primary (its keys' rules differ: the strictest counts)";
    }
  }
  return fmt::format("{} ({})", config::to_string(first), source);
}

std::string explain_rules(const policy::Rules& rules,
                          const ExplainedRequest& request,
                          const RuleFacts& facts) {
  const policy::RequestView view = view_of(rules, request);
  return denial_lines(rules, view) + limit_lines(rules, view) + ttl_lines(rules, request, facts) +
         absence_line(rules, request, facts);
}

std::string cache_refusal(const policy::Rules& rules, const ExplainedRequest& request) {
  std::string refusal = refusal_of_command(request);
  if (!refusal.empty()) {
    return refusal;
  }
  const bool mget = is_mget(*request.row);
  if (mget && request.keys.size() > MgetFill::kMaxKeys) {
    return fmt::format("more than {} keys", MgetFill::kMaxKeys);
  }
  for (const std::string_view key : request.keys) {
    const std::string of_class = refusal_of_class(rules, key, mget);
    if (!of_class.empty()) {
      return mget ? quoted(key) + ": " + of_class : of_class;
    }
  }
  return "";
}

std::string life_lines(const config::CacheRules& cache) {
  std::string out =
      fmt::format("ttl: {}, up to {}% shorter; the key's own TTL bounds it\nnegative: {}\n",
                  config::in_words(cache.ttl),
                  cache.jitter,
                  cache.negative.count() == 0 ? "never kept" : config::in_words(cache.negative));
  out += fmt::format("stale: {} while it is refreshed, {} while upstream is away\n",
                     config::in_words(cache.stale_while_revalidate),
                     config::in_words(cache.stale_if_error));
  if (cache.refresh_ahead > 0) {
    out += fmt::format("refresh ahead: after {}% of its life\n", cache.refresh_ahead);
  }
  return out + fmt::format("max value: {}\n", base::human_bytes(cache.max_value));
}

std::string lease_line(const PolicyClass& rules, const CommandSpec& row) {
  static const CommandSpec* const kGet = command::find("get");
  if (!rules.miss || rules.cache->mode == RuleMode::Observe) {
    return "leases: none\n";
  }
  if (&row != kGet) {
    return "leases: none: of GET only\n";
  }
  return fmt::format(
      "leases: one client fills a missing key within {}, others wait {}; pipelined {}\n",
      config::in_words(rules.miss->lease),
      config::in_words(rules.miss->wait),
      rules.miss->pipelined == config::Pipelined::Skip ? "skip" : "hold");
}

std::string explain_offline(const policy::Rules& rules,
                            const ReadsSources& sources,
                            const RuleFacts& facts,
                            std::span<const std::string_view> request) {
  ExplainedRequest explained{command::find(request), request, {}, true};
  if (explained.row == nullptr) {
    return "command: unknown to Pannier; the server is asked with COMMAND INFO when it is used\n";
  }
  std::vector<std::string_view> keys;
  explained.keys_known =
      command::extract_keys(*explained.row, request, keys) == command::KeyStatus::Ok;
  explained.keys = keys;
  std::string out = explain_command(explained);
  if (!goes_upstream(*explained.row)) {
    return out;
  }
  out += explain_classes(rules, keys) + explain_rules(rules, explained, facts);
  if (command::replica_safe(*explained.row, request)) {
    out += fmt::format("reads: {}\n", explain_reads(rules, sources, keys));
  } else {
    out += explained.row->has(command::kReadOnly)
               ? "node: primary (replicas may answer this command differently)\n"
               : "node: primary (a write)\n";
  }
  out += away_line(rules, sources, explained);
  const std::string refusal = cache_refusal(rules, explained);
  if (!refusal.empty()) {
    return out + fmt::format("near cache: no ({})\n", refusal);
  }
  const PolicyClass& each = rules.at(rules.matcher.match(keys[0]));
  const bool observed = each.cache->mode == RuleMode::Observe;
  out += observed ? "near cache: observed\n" : "near cache: yes\n";
  return out + life_lines(*each.cache) + lease_line(each, *explained.row);
}

}  // namespace pannier::proxy
