#include "policy_checks.hpp"

#include "checks.hpp"
#include "scalars.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace pannier::config {
namespace {

constexpr MissRules kApplicationMiss{Milliseconds(2000), Milliseconds(50), Pipelined::Skip};

std::string shown(Milliseconds duration) {
  return duration_text(duration.count() * 1000);
}

const char* name_of(Tier tier) {
  return tier == Tier::Operational ? "operational" : "session";
}

// These promise that nothing stands between the client and the primary's answer.
bool is_strict(const PolicyClass& each) {
  return each.tier == Tier::Operational || each.tier == Tier::Session;
}

class PolicyChecks : private WholeFile {
 public:
  PolicyChecks(Draft& draft, const Value& root)
      : WholeFile(root, *draft.faults),
        draft_(&draft),
        policy_(&draft.policy) {}

  void run() {
    if (draft_->faults->enough()) {
      return;
    }
    for (std::size_t i = 0; i < policy_->classes.size(); ++i) {
      auto& each = policy_->classes[i];
      const auto path = indexed("classes", i);
      settle_preset(each, path);
      check_name(each, path);
      check_ttl(each, path);
      if (sound(path)) {
        check_tier(each, path);
        check_cache(each, path);
        check_miss(each, path);
        check_on_error(each, path);
        check_store(each, path);
        check_modes(each, path);
        check_use(each, path);
      }
    }
    if (policy_->read_only && policy_->mode == RuleMode::Off) {
      warn("read_only", "has no effect: `mode` of the whole file is off");
    }
  }

 private:
  void settle_preset(PolicyClass& each, const std::string& path);
  void check_name(const PolicyClass& each, const std::string& path);
  void check_tier(const PolicyClass& each, const std::string& path);
  void check_cache(const PolicyClass& each, const std::string& path);
  void check_miss(const PolicyClass& each, const std::string& path);
  void check_on_error(const PolicyClass& each, const std::string& path);
  void check_use(const PolicyClass& each, const std::string& path);
  void check_ttl(const PolicyClass& each, const std::string& path);
  void check_ttl_bounds(const TtlRules& ttl, const std::string& at);
  void check_store(const PolicyClass& each, const std::string& path);
  void check_modes(const PolicyClass& each, const std::string& path);
  [[nodiscard]] bool is_of_a_limit(const PolicyClass& each) const;

  Draft* draft_;
  Policy* policy_;
  std::map<std::string, std::size_t, std::less<>> names_;  // and the line of the class
};

// What the class and its tier do not say is the defaults' business, but none of them may bring what
// the tier rules out.
void PolicyChecks::settle_preset(PolicyClass& each, const std::string& path) {
  if (each.tier == Tier::Application) {
    if (!given(path + ".reads")) {
      each.reads = Reads::SameZone;
    }
    if (!given(path + ".cache")) {
      each.cache.emplace();
    }
    if (!given(path + ".miss")) {
      each.miss = kApplicationMiss;
    }
  } else if (each.tier == Tier::Operational && !given(path + ".reads")) {
    each.reads = Reads::Primary;
  }
  if (!given(path + ".on_error") && !(is_strict(each) && draft_->on_error == OnError::Miss)) {
    each.on_error = draft_->on_error;
  }
}

void PolicyChecks::check_name(const PolicyClass& each, const std::string& path) {
  if (each.name.empty()) {
    return;  // told by the reader
  }
  const auto [first, is_new] = names_.emplace(each.name, static_cast<std::size_t>(each.line));
  if (!is_new) {
    error(path + ".name",
          "is the name of the class on line " + std::to_string(first->second) + " too");
  }
}

void PolicyChecks::check_tier(const PolicyClass& each, const std::string& path) {
  if (!is_strict(each)) {
    return;
  }
  const std::string tier = std::string("tier ") + name_of(each.tier);
  if (each.cache) {
    error(path + ".cache", tier + " keeps nothing in memory; leave `cache` out or choose another");
  }
  if (each.miss) {
    error(path + ".miss",
          tier + " lets nobody wait for somebody else; leave `miss` out or choose another");
  }
  if (each.on_error == OnError::Miss) {
    error(path + ".on_error",
          tier + " must not answer \"no such key\" when it does not know; write fail");
  }
}

void PolicyChecks::check_cache(const PolicyClass& each, const std::string& path) {
  if (!each.cache || !given(path + ".cache")) {
    return;
  }
  const auto& cache = *each.cache;
  const auto at = path + ".cache";
  if (cache.mode == RuleMode::Off) {
    for (const auto* key : {".stale_while_revalidate", ".stale_if_error", ".refresh_ahead"}) {
      if (given(at + key)) {
        warn(at + key, "has no effect: the cache of this class is off");
      }
    }
    return;
  }
  if (cache.negative > cache.ttl) {
    warn(at + ".negative",
         shown(cache.negative) + " is longer than ttl, which is " + shown(cache.ttl) +
             ": a missing key would be kept longer than one that exists");
  }
}

void PolicyChecks::check_miss(const PolicyClass& each, const std::string& path) {
  if (each.miss && each.miss->wait > each.miss->lease) {
    warn(path + ".miss",
         "wait (" + shown(each.miss->wait) + ") is longer than lease (" + shown(each.miss->lease) +
             ")");
  }
  const bool is_cached = each.cache && each.cache->mode != RuleMode::Off;
  if (each.miss && each.miss->concurrent > 0 && !is_cached && each.on_error != OnError::Miss) {
    warn(path + ".miss.concurrent",
         "has no effect: misses are seen only of a class with `cache`, and none are made up "
         "without `on_error: miss`");
  }
}

// Behaviour 3.2, 5.4.
void PolicyChecks::check_on_error(const PolicyClass& each, const std::string& path) {
  if (each.on_error != OnError::Stale || !given(path + ".on_error")) {
    return;
  }
  const bool keeps_stale =
      each.cache && each.cache->mode != RuleMode::Off && each.cache->stale_if_error.count() > 0;
  if (!keeps_stale && each.reads && each.reads != Reads::Primary) {
    warn(path + ".on_error",
         std::string("stale has no effect: reads go to replicas anyway (`reads: ") +
             to_string(*each.reads) +
             "`), and nothing kept is served past its time; write `cache.stale_if_error` for that");
  }
}

void PolicyChecks::check_use(const PolicyClass& each, const std::string& path) {
  const bool says_something = each.tier != Tier::None || given(path + ".reads") ||
                              given(path + ".cache") || given(path + ".miss") ||
                              given(path + ".ttl") || given(path + ".store") ||
                              given(path + ".scripts") || given(path + ".on_error");
  if (!says_something && !is_of_a_limit(each)) {
    warn(
        path,
        "does nothing: it has no tier, reads, cache, miss, ttl, store, scripts or on_error, and no "
        "limit names it");
  }
}

void PolicyChecks::check_ttl(const PolicyClass& each, const std::string& path) {
  const auto at = path + ".ttl";
  if (!each.ttl || !sound(at)) {
    return;
  }
  const auto& ttl = *each.ttl;
  check_ttl_bounds(ttl, at);
  if (ttl.sliding && ttl.preset.count() == 0) {
    error(at + ".sliding", "renews a key to `default`, which is missing; write one");
  }
  if (ttl.require && ttl.preset.count() > 0) {
    warn(at + ".require",
         "refuses stores without a TTL, so that `default` is left only for commands that cannot "
         "carry one, such as HSET; keep one of both unless that is meant");
  }
  if (ttl == TtlRules{.mode = ttl.mode}) {
    warn(at, "does nothing: it has no default, min, max, jitter, sliding or require");
  }
  if (each.cache && ttl.max.count() > 0 && ttl.max < each.cache->ttl) {
    warn(at + ".max",
         shown(ttl.max) + " is shorter than `cache.ttl`, which is " + shown(each.cache->ttl) +
             ": no value is served for so long; write at most " + shown(ttl.max) + " there");
  }
}

void PolicyChecks::check_ttl_bounds(const TtlRules& ttl, const std::string& at) {
  const bool bounded = ttl.max.count() > 0;
  if (bounded && ttl.min > ttl.max) {
    error(
        at + ".min",
        shown(ttl.min) + " is more than max, which is " + shown(ttl.max) + "; write at most that");
    return;
  }
  if (ttl.preset.count() > 0 && (ttl.preset < ttl.min || (bounded && ttl.preset > ttl.max))) {
    error(at + ".default",
          shown(ttl.preset) + " is " +
              (ttl.preset < ttl.min ? "less than min, which is " + shown(ttl.min)
                                    : "more than max, which is " + shown(ttl.max)) +
              "; write a time between them");
  }
}

// Behaviour 4.6.
void PolicyChecks::check_store(const PolicyClass& each, const std::string& path) {
  if (each.store != Store::Never) {
    return;
  }
  if (each.tier == Tier::Application) {
    error(path + ".tier",
          "application keeps values in memory, but `store: never` lets nothing be kept; leave "
          "`tier` out");
  }
  const std::string rest = "; leave it out";
  if (each.cache && given(path + ".cache")) {
    error(path + ".cache", "keeps in memory what `store: never` lets nobody keep" + rest);
  }
  if (each.ttl) {
    error(path + ".ttl", "is for what is stored, but `store: never` refuses that" + rest);
  }
  if (each.miss && given(path + ".miss")) {
    error(path + ".miss", "waits for a store, but `store: never` refuses it" + rest);
  }
  if (!each.mode_given) {
    warn(path + ".store",
         "does not act: it does only where the class itself says `mode: enforce`; write that");
  }
}

void PolicyChecks::check_modes(const PolicyClass& each, const std::string& path) {
  const bool file_is_off = policy_->mode == RuleMode::Off;
  const std::string why = std::string("has no effect: `mode` of the ") +
                          (file_is_off ? "whole file" : "class") + " is off";
  if (file_is_off && each.mode != RuleMode::Off && each.mode_given) {
    warn(path + ".mode", why);
  }
  if (!file_is_off && each.mode != RuleMode::Off) {
    return;
  }
  for (const auto& [section, mode] :
       {std::pair(".cache.mode", each.cache ? each.cache->mode : RuleMode::Off),
        std::pair(".ttl.mode", each.ttl ? each.ttl->mode : RuleMode::Off)}) {
    if (mode != RuleMode::Off && given(path + section)) {
      warn(path + section, why);
    }
  }
}

bool PolicyChecks::is_of_a_limit(const PolicyClass& each) const {
  const auto& limits = policy_->limits;
  return std::any_of(limits.begin(), limits.end(), [&](const LimitRule& limit) {
    return limit.key_class == each.name;
  });
}

}  // namespace

void finish_policy(Draft& draft, const Value& root, const Surroundings& /*surroundings*/) {
  PolicyChecks(draft, root).run();
  if (!draft.faults->enough()) {
    check_class_globs(draft, root);
    check_rules(draft, root);
  }
}

}  // namespace pannier::config
