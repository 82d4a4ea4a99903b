#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"
#include "pannier/config/nearest.hpp"

#include "policy_checks.hpp"
#include "scalars.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace pannier::config {
namespace {

constexpr Milliseconds kLongestRefill{31LL * 24 * 3600 * 1000};

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, kMaxGlob) + "\"";
}

class RuleChecks : private WholeFile {
 public:
  RuleChecks(Draft& draft, const Value& root)
      : WholeFile(root, *draft.faults),
        policy_(&draft.policy),
        units_(&draft.units) {}

  void run() {
    for (std::size_t i = 0; i < policy_->limits.size(); ++i) {
      const auto path = indexed("limits", i);
      const auto& limit = policy_->limits[i];
      check_common(limit, path, "limit");
      check_class(limit, path);
      check_match(path);
      check_per(limit, path);
      check_scope(limit, path);
      check_units(limit, (*units_)[i], path);
    }
    names_.clear();
    for (std::size_t i = 0; i < policy_->deny.size(); ++i) {
      const auto path = indexed("deny", i);
      check_common(policy_->deny[i], path, "denial");
      check_denial(policy_->deny[i], path);
    }
  }

 private:
  template <typename Rule>
  void check_common(const Rule& rule, const std::string& path, std::string_view kind);
  void check_twice(const std::vector<std::string>& words, const std::string& path);
  void check_class(const LimitRule& limit, const std::string& path);
  void check_match(const std::string& path);
  void check_per(const LimitRule& limit, const std::string& path);
  void check_scope(const LimitRule& limit, const std::string& path);
  void check_units(const LimitRule& limit, Draft::LimitUnits units, const std::string& path);
  void check_burst(const LimitRule& limit, const std::string& path);
  void check_denial(const DenyRule& denial, const std::string& path);

  const Policy* policy_;
  const std::vector<Draft::LimitUnits>* units_;
  std::map<std::string_view, int> names_;  // and the line of the rule
  std::size_t globs_ = 0;
};

// What limits and denials share.
template <typename Rule>
void RuleChecks::check_common(const Rule& rule, const std::string& path, std::string_view kind) {
  if (!rule.name.empty()) {
    const auto [first, is_new] = names_.emplace(rule.name, rule.line);
    if (!is_new) {
      error(path + ".name",
            "is the name of the " + std::string(kind) + " on line " +
                std::to_string(first->second) + " too");
    }
  }
  const bool fitted = globs_ <= kMaxGlobs;
  globs_ += rule.keys.size();
  if (fitted && globs_ > kMaxGlobs) {
    error(path + ".keys",
          "more than " + std::to_string(kMaxGlobs) + " globs in all limits and denials");
  }
  check_twice(rule.keys, path + ".keys");
  check_twice(rule.commands, path + ".commands");
  if (policy_->mode == RuleMode::Off && rule.mode != RuleMode::Off && given(path + ".mode")) {
    warn(path + ".mode", "has no effect: `mode` of the whole file is off");
  }
}

void RuleChecks::check_twice(const std::vector<std::string>& words, const std::string& path) {
  if (!sound(path)) {
    return;  // behind a word that is wrong the places are not those of the file
  }
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!seen.insert(words[i]).second) {
      error(indexed(path, i), "is given twice");
    }
  }
}

void RuleChecks::check_class(const LimitRule& limit, const std::string& path) {
  const auto& classes = policy_->classes;
  const bool exists = std::any_of(classes.begin(), classes.end(), [&](const PolicyClass& each) {
    return each.name == limit.key_class;
  });
  if (limit.key_class.empty() || exists || !sound("classes")) {
    return;
  }
  std::vector<std::string_view> names;
  names.reserve(classes.size());
  for (const auto& each : classes) {
    names.emplace_back(each.name);
  }
  const auto meant = nearest_name(limit.key_class, names);
  error(path + ".class",
        "there is no class " + quoted(limit.key_class) +
            (meant.empty() ? "; write the name of one under `classes`"
                           : "; did you mean " + quoted(meant) + "?"));
}

void RuleChecks::check_match(const std::string& path) {
  if (!given(path + ".keys") && !given(path + ".commands") && !given(path + ".class")) {
    warn(path, "limits every request, as it has neither keys, commands nor class");
  }
}

void RuleChecks::check_per(const LimitRule& limit, const std::string& path) {
  if (limit.per != Per::Capture || !sound(path + ".keys")) {
    return;
  }
  const auto name = "{" + limit.capture + "}";
  if (limit.keys.empty()) {
    error(path + ".per",
          "counts by a capture of the key, so it needs `keys` with " + name +
              " in each glob, such as \"search:" + name + ":*\"");
    return;
  }
  for (std::size_t i = 0; i < limit.keys.size(); ++i) {
    const auto captures = parse_glob(limit.keys[i]).captures;
    if (std::find(captures.begin(), captures.end(), limit.capture) == captures.end()) {
      error(indexed(path + ".keys", i),
            quoted(limit.keys[i]) + " has no capture " + name +
                ", which `per` counts by; write it where the key has that part");
    }
  }
}

void RuleChecks::check_scope(const LimitRule& limit, const std::string& path) {
  if (limit.scope == Scope::Sidecar && given(path + ".on_upstream_error")) {
    warn(path + ".on_upstream_error",
         "has no effect: only a limit with `scope: fleet` asks upstream");
  }
}

void RuleChecks::check_units(const LimitRule& limit,
                             Draft::LimitUnits units,
                             const std::string& path) {
  if (!sound(path + ".rate") || !sound(path + ".burst") || !sound(path + ".cost") ||
      !given(path + ".rate")) {
    return;
  }
  const bool bytes = limit.cost == Cost::Bytes;
  if (units.rate != bytes) {
    error(path + ".rate",
          bytes ? "counts bytes, as `cost` says; write a size with its unit, such as 10MiB/1s"
                : "is in bytes, but requests are counted; write `cost: bytes` too, or a plain "
                  "number such as 60/1m");
    return;
  }
  if (limit.burst > 0 && units.burst != bytes) {
    error(path + ".burst",
          bytes ? "counts bytes, as `cost` says; write a size with its unit, such as 1MiB"
                : "is in bytes, but requests are counted; write a plain number");
    return;
  }
  check_burst(limit, path);
}

void RuleChecks::check_burst(const LimitRule& limit, const std::string& path) {
  if (limit.burst == 0 && limit.cost == Cost::Bytes) {
    error(path + ".burst",
          "`burst` is missing: a request that is larger would never pass; write the size of the "
          "largest, such as burst: 1MiB");
    return;
  }
  if (!given(path + ".burst")) {
    warn(path + ".burst",
         "without `burst` two requests at once are one too many, also in a pipeline; write how "
         "many more may come at once, or burst: 0 if that is meant");
    return;
  }
  const double refill = static_cast<double>(limit.burst) / static_cast<double>(limit.count) *
                        static_cast<double>(limit.period.count());
  if (refill > static_cast<double>(kLongestRefill.count())) {
    warn(path + ".burst",
         "takes more than 31 days to come back at this rate, so that the rate hardly counts; write "
         "less");
  }
}

void RuleChecks::check_denial(const DenyRule& denial, const std::string& path) {
  if (!given(path + ".keys") && !given(path + ".commands") && !given(path + ".max_arguments") &&
      !given(path + ".max_value")) {
    error(path,
          "refuses everything, as it has neither keys, commands, max_arguments nor max_value; "
          "write commands: [\"@fast\", \"@slow\"] if that is meant");
  }
  const auto& commands = denial.commands;
  const auto dangerous = std::find(commands.begin(), commands.end(), "@dangerous");
  if (dangerous != commands.end() && sound(path + ".commands")) {
    warn(indexed(path + ".commands", static_cast<std::size_t>(dangerous - commands.begin())),
         "also holds SORT, CLIENT LIST and others that clients use; name the commands that you "
         "mean, or write \"@admin\"");
  }
}

}  // namespace

void check_rules(Draft& draft, const Value& root) {
  RuleChecks(draft, root).run();
}

}  // namespace pannier::config
