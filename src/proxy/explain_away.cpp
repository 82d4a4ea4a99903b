#include "pannier/config/policy_words.hpp"
#include "pannier/proxy/explain_rules.hpp"

#include "away_answers.hpp"

#include <fmt/format.h>

#include <algorithm>

// What EXPLAIN says of failure (behaviour 3.2, 5.4, 6.2).
namespace pannier::proxy {
namespace {

using config::OnError;
using config::PolicyClass;
using config::RuleMode;

std::string nil_text(const PolicyClass& each) {
  return each.miss && each.miss->concurrent > 0
             ? fmt::format("\"no such key\" (to {} clients at a time, the others an error)",
                           each.miss->concurrent)
             : "\"no such key\"";
}

// What its class says, in the order in which it is tried.
std::string class_text(const PolicyClass& each,
                       config::Reads reads,
                       const ExplainedRequest& request) {
  const bool acts = each.mode == RuleMode::Enforce;
  const bool on_replica = command::replica_safe(*request.row, request.arguments) &&
                          (reads != config::Reads::Primary || policy::serves_stale(each));
  std::string out = on_replica ? "a replica's answer, then " : "";
  if (each.cache && each.cache->mode == RuleMode::Enforce &&
      each.cache->stale_if_error.count() > 0 && request.row->has(command::kCacheable)) {
    out += fmt::format("what is kept, up to {} past its time, then ",
                       config::in_words(each.cache->stale_if_error));
  }
  const bool nil = each.on_error == OnError::Miss && may_be_synthetic_nil(*request.row);
  out += nil && acts ? nil_text(each) : "an error";
  if (!acts && each.on_error != OnError::Fail) {
    out += fmt::format(" (on_error: {} is observed)", config::to_word(each.on_error));
  }
  return out;
}

}  // namespace

std::string away_line(const policy::Rules& rules,
                      const ReadsSources& sources,
                      const ExplainedRequest& request) {
  const bool is_read = request.row->has(command::kReadOnly) && !request.keys.empty() &&
                       request.row->handling == command::Handling::Forward;
  if (!is_read) {
    return "";
  }
  const auto text_of = [&](std::string_view key) -> std::string {
    const policy::ClassId id = rules.matcher.match(key);
    const config::Reads reads = reads_of(rules, sources, id).first;
    if (id == policy::kNoClass || sources.strong) {
      return reads == config::Reads::Primary ? "an error" : "a replica's answer, then an error";
    }
    return class_text(rules.at(id), reads, request);
  };
  std::string out = text_of(request.keys[0]);
  if (std::any_of(request.keys.begin() + 1, request.keys.end(), [&](std::string_view key) {
        return text_of(key) != out;
      })) {
    out = "as the class of each key says; an error if one of them says so";
  }
  return fmt::format("while upstream is away: {}\n", out);
}

}  // namespace pannier::proxy
