#include "pannier/config/policy_diff.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"
#include "pannier/config/policy_words.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

namespace pannier::config {
namespace {

using Lines = std::vector<std::string>;

// One key of a rule and its value, as the file would have them.
struct Fact {
  std::string_view key;
  std::string value;
};

using Facts = std::vector<Fact>;

// "30s", or "none" for a rule that is not there.
std::string time_or_none(Milliseconds duration) {
  return duration.count() == 0 ? "none" : in_words(duration);
}

std::string share(double percent) {
  return fmt::format("{}%", percent);
}

std::string flag(bool value) {
  return value ? "true" : "false";
}

std::string reads_word(const std::optional<Reads>& reads) {
  return reads ? to_string(*reads) : "as elsewhere";
}

Facts facts(const TtlRules& ttl) {
  return {{"ttl.mode", to_word(ttl.mode)},
          {"ttl.default", time_or_none(ttl.preset)},
          {"ttl.min", time_or_none(ttl.min)},
          {"ttl.max", time_or_none(ttl.max)},
          {"ttl.jitter", share(ttl.jitter)},
          {"ttl.sliding", flag(ttl.sliding)},
          {"ttl.require", flag(ttl.require)}};
}

Facts facts(const CacheRules& cache) {
  return {{"cache.mode", to_word(cache.mode)},
          {"cache.ttl", in_words(cache.ttl)},
          {"cache.jitter", share(cache.jitter)},
          {"cache.coherence", cache.coherence == Coherence::Tracking ? "tracking" : "ttl"},
          {"cache.negative", in_words(cache.negative)},
          {"cache.max_value", base::human_bytes(cache.max_value)},
          {"cache.refresh_ahead", share(cache.refresh_ahead)},
          {"cache.stale_while_revalidate", in_words(cache.stale_while_revalidate)},
          {"cache.stale_if_error", in_words(cache.stale_if_error)},
          {"cache.mget", flag(cache.mget)},
          {"cache.sample", share(cache.sample)}};
}

Facts facts(const MissRules& miss) {
  return {{"miss.lease", in_words(miss.lease)},
          {"miss.wait", in_words(miss.wait)},
          {"miss.pipelined", miss.pipelined == Pipelined::Hold ? "hold" : "skip"},
          {"miss.concurrent", std::to_string(miss.concurrent)}};
}

Facts facts(const PolicyClass& each) {
  return {{"mode", to_word(each.mode)},
          {"tier", to_word(each.tier)},
          {"reads", reads_word(each.reads)},
          {"store", each.store == Store::Never ? "never" : "allow"},
          {"scripts", each.scripts == Scripts::Deny ? "deny" : "allow"},
          {"on_error", to_word(each.on_error)}};
}

Facts facts(const LimitRule& limit) {
  return {{"class", limit.key_class.empty() ? "any" : limit.key_class},
          {"per", limit.per == Per::Capture ? "{" + limit.capture + "}" : to_word(limit.per)},
          {"rate", rate_in_words(limit)},
          {"burst", burst_in_words(limit)},
          {"cost", limit.cost == Cost::Bytes ? "bytes" : "request"},
          {"scope", limit.scope == Scope::Fleet ? "fleet" : "sidecar"},
          {"on_upstream_error", to_word(limit.on_upstream_error)},
          {"mode", to_word(limit.mode)}};
}

Facts facts(const DenyRule& denial) {
  const auto number = [](std::uint64_t value, const std::string& shown) {
    return value == 0 ? "none" : shown;
  };
  return {{"max_arguments", number(denial.max_arguments, std::to_string(denial.max_arguments))},
          {"max_value", number(denial.max_value, base::human_bytes(denial.max_value))},
          {"hint", denial.hint.empty() ? "none" : denial.hint},
          {"mode", to_word(denial.mode)}};
}

Facts facts(const Policy& policy) {
  return {{"mode", to_word(policy.mode)},
          {"read_only", flag(policy.read_only)},
          {"defaults.reads", reads_word(policy.reads)}};
}

// Both have the same keys.
void compare(const std::string& who, const Facts& before, const Facts& after, Lines& out) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].value != after[i].value) {
      out.push_back(
          fmt::format("{}{}: {} -> {}", who, before[i].key, before[i].value, after[i].value));
    }
  }
}

// Of rules that may be absent.
template <typename Rules>
void compare(const std::string& who,
             std::string_view key,
             const std::optional<Rules>& before,
             const std::optional<Rules>& after,
             Lines& out) {
  if (before && after) {
    compare(who, facts(*before), facts(*after), out);
  } else if (before || after) {
    const auto shown = [](const std::optional<Rules>& rules) {
      return rules ? in_words(*rules) : "off";
    };
    out.push_back(fmt::format("{}{}: {} -> {}", who, key, shown(before), shown(after)));
  }
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void compare_lists(const std::string& who,
                   std::string_view key,
                   const std::vector<std::string>& before,
                   const std::vector<std::string>& after,
                   Lines& out) {
  for (const auto& word : after) {
    if (!contains(before, word)) {
      out.push_back(fmt::format("{}{}: + {}", who, key, base::printable(word, kMaxGlob)));
    }
  }
  for (const auto& word : before) {
    if (!contains(after, word)) {
      out.push_back(fmt::format("{}{}: - {}", who, key, base::printable(word, kMaxGlob)));
    }
  }
}

// Where a key that matches `glob` belongs.
std::string class_at(const Policy& policy, std::string_view glob) {
  const auto key = common_key(glob, glob);
  std::tuple<std::size_t, std::size_t> weight;
  std::string name = "no class";
  for (const auto& each : policy.classes) {
    for (const auto& other : each.keys) {
      const std::tuple specific{literal_prefix(other).size(), literal_count(other)};
      if (key && glob_matches(other, *key) && (name == "no class" || specific > weight)) {
        weight = specific;
        name = "class " + each.name;
      }
    }
  }
  return name;
}

struct Policies {
  const Policy* before;
  const Policy* after;
};

void compare_keys(const std::string& who,
                  const PolicyClass& before,
                  const PolicyClass& after,
                  Policies policies,
                  Lines& out) {
  for (const auto& glob : after.keys) {
    if (!contains(before.keys, glob)) {
      out.push_back(fmt::format("{}keys: + {}, before: {}",
                                who,
                                base::printable(glob, kMaxGlob),
                                class_at(*policies.before, glob)));
    }
  }
  for (const auto& glob : before.keys) {
    if (!contains(after.keys, glob)) {
      out.push_back(fmt::format("{}keys: - {}, now: {}",
                                who,
                                base::printable(glob, kMaxGlob),
                                class_at(*policies.after, glob)));
    }
  }
}

template <typename Rule>
const Rule* find(const std::vector<Rule>& rules, const std::string& name) {
  const auto at =
      std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) { return rule.name == name; });
  return at == rules.end() ? nullptr : &*at;
}

// What was added and what is in both in the new order, then what was removed.
template <typename Rule, typename Compare>
void compare_all(const char* kind,
                 const std::vector<Rule>& before,
                 const std::vector<Rule>& after,
                 const Compare& compare_one,
                 Lines& out) {
  const auto words = [&](const Rule& rule) {
    if constexpr (std::is_same_v<Rule, PolicyClass>) {
      return listed(rule.keys) + "; " + in_words(rule);
    } else {
      return in_words(rule);
    }
  };
  for (const auto& rule : after) {
    if (const Rule* old = find(before, rule.name)) {
      compare_one(*old, rule);
    } else {
      out.push_back(fmt::format("{} {}: added: {}", kind, rule.name, words(rule)));
    }
  }
  for (const auto& rule : before) {
    if (find(after, rule.name) == nullptr) {
      out.push_back(fmt::format("{} {}: removed: {}", kind, rule.name, words(rule)));
    }
  }
}

// "class price (price:*): "
std::string header(const PolicyClass& each) {
  return fmt::format("class {} ({}): ", each.name, listed(each.keys));
}

}  // namespace

std::vector<std::string> diff(const Policy& before, const Policy& after) {
  Lines out;
  compare("", facts(before), facts(after), out);
  const auto classes = [&](const PolicyClass& a, const PolicyClass& b) {
    const auto who = header(b);
    compare_keys(who, a, b, {&before, &after}, out);
    compare(who, facts(a), facts(b), out);
    compare(who, "ttl", a.ttl, b.ttl, out);
    compare(who, "cache", a.cache, b.cache, out);
    compare(who, "miss", a.miss, b.miss, out);
    if (a.store == Store::Never && b.store == Store::Never && a.mode_given != b.mode_given) {
      out.push_back(who + "store: never " + (b.mode_given ? "acts now" : "does not act any more") +
                    ", as the class itself " + (b.mode_given ? "says" : "no longer says") +
                    " its mode");
    }
  };
  compare_all("class", before.classes, after.classes, classes, out);
  const auto limits = [&](const LimitRule& a, const LimitRule& b) {
    const auto who = "limit " + b.name + ": ";
    compare_lists(who, "keys", a.keys, b.keys, out);
    compare_lists(who, "commands", a.commands, b.commands, out);
    compare(who, facts(a), facts(b), out);
  };
  compare_all("limit", before.limits, after.limits, limits, out);
  const auto denials = [&](const DenyRule& a, const DenyRule& b) {
    const auto who = "denial " + b.name + ": ";
    compare_lists(who, "keys", a.keys, b.keys, out);
    compare_lists(who, "commands", a.commands, b.commands, out);
    compare(who, facts(a), facts(b), out);
  };
  compare_all("denial", before.deny, after.deny, denials, out);
  return out;
}

}  // namespace pannier::config
