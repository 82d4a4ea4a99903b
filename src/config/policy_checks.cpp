#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"

#include "checks.hpp"
#include "scalars.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace pannier::config {
namespace {

constexpr std::size_t kMaxGlobs = 4096;
// Of comparing equally specific globs, in `work` of common_key: well below a second. A thousand
// classes "{tenant}:NAME:*" take a third of it.
constexpr std::size_t kMaxWork = 30'000'000;
constexpr std::string_view kReserved = "pannier:";
constexpr MissRules kApplicationMiss{Milliseconds(2000), Milliseconds(50), Pipelined::Skip};

std::string shown(Milliseconds duration) {
  return duration_text(duration.count() * 1000);
}

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, kMaxGlob) + "\"";
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
      if (sound(path)) {
        check_tier(each, path);
        check_cache(each, path);
        check_miss(each, path);
        check_use(each, path);
      }
    }
    check_globs();
  }

 private:
  // Where a glob stands.
  struct Place {
    std::size_t of_class = 0;
    std::size_t index = 0;
  };

  struct Rival {
    Place place;
    Glob glob;
  };

  // Only such globs can tie: a key that both match begins with the prefix of each.
  using Specificity = std::pair<std::string, std::size_t>;  // literal prefix, literals

  void settle_preset(PolicyClass& each, const std::string& path);
  void check_name(const PolicyClass& each, const std::string& path);
  void check_tier(const PolicyClass& each, const std::string& path);
  void check_cache(const PolicyClass& each, const std::string& path);
  void check_miss(const PolicyClass& each, const std::string& path);
  void check_use(const PolicyClass& each, const std::string& path);
  void check_globs();
  void check_glob(Place place, Glob parsed, std::vector<Rival>& rivals);

  [[nodiscard]] const std::string& glob(Place place) const {
    return policy_->classes[place.of_class].keys[place.index];
  }

  static std::string path_of(Place place) {
    return indexed(indexed("classes", place.of_class) + ".keys", place.index);
  }

  // "class price, line 12"
  [[nodiscard]] std::string owner(Place place) const {
    const auto& each = policy_->classes[place.of_class];
    return "class " + each.name + ", line " +
           std::to_string(find(path_of(place)).value->where().line);
  }

  Draft* draft_;
  Policy* policy_;
  std::map<std::string, std::size_t, std::less<>> names_;  // and the line of the class
  std::size_t work_ = 0;
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
}

void PolicyChecks::check_use(const PolicyClass& each, const std::string& path) {
  const bool says_something = each.tier != Tier::None || given(path + ".reads") ||
                              given(path + ".cache") || given(path + ".miss") ||
                              given(path + ".on_error");
  if (each.on_error != OnError::Fail && given(path + ".on_error")) {
    warn(path + ".on_error",
         "is not acted on in this version: while upstream is away reads get an error, or what "
         "`cache.stale_if_error` allows");
  }
  if (!says_something) {
    warn(path, "does nothing: it has no tier, reads, cache, miss or on_error");
  }
}

void PolicyChecks::check_globs() {
  std::map<Specificity, std::vector<Rival>> rivals;
  std::size_t count = 0;
  for (std::size_t i = 0; i < policy_->classes.size(); ++i) {
    const auto& keys = policy_->classes[i].keys;
    // Behind a glob that is wrong the places are not those of the file.
    if (!sound(indexed("classes", i) + ".keys")) {
      continue;
    }
    count += keys.size();
    if (count > kMaxGlobs) {
      error(indexed("classes", i) + ".keys",
            "more than " + std::to_string(kMaxGlobs) + " globs in all");
      return;
    }
    for (std::size_t j = 0; j < keys.size(); ++j) {
      auto parsed = parse_glob(keys[j]);
      const auto prefix = literal_prefix(parsed);
      if (prefix.starts_with(kReserved)) {
        error(path_of({i, j}), "keys below " + std::string(kReserved) + " are Pannier's own");
        continue;
      }
      auto& alike = rivals[{prefix, literal_count(parsed)}];
      check_glob({i, j}, std::move(parsed), alike);
      if (draft_->faults->enough() || work_ > kMaxWork) {
        return;
      }
    }
  }
}

void PolicyChecks::check_glob(Place place, Glob parsed, std::vector<Rival>& rivals) {
  for (const auto& rival : rivals) {
    if (glob(rival.place) == glob(place)) {
      error(path_of(place), "is given twice, first in " + owner(rival.place));
      return;
    }
    if (rival.place.of_class == place.of_class) {
      continue;
    }
    if (work_ > kMaxWork) {
      error(path_of(place), "too many globs are as specific as this one to compare them all");
      return;
    }
    if (const auto key = common_key(rival.glob, parsed, work_)) {
      error(path_of(place),
            quoted(glob(place)) + " and " + quoted(glob(rival.place)) + " (" + owner(rival.place) +
                ") are equally specific, and both match the key " + quoted(*key) +
                "; write more of one of them out");
      return;
    }
  }
  rivals.push_back(Rival{place, std::move(parsed)});
}

}  // namespace

void finish_policy(Draft& draft, const Value& root, const Surroundings& /*surroundings*/) {
  PolicyChecks(draft, root).run();
}

}  // namespace pannier::config
