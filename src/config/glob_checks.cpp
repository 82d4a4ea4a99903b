#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"

#include "policy_checks.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace pannier::config {
namespace {

// Of comparing equally specific globs, in `work` of common_key: well below a second. A thousand
// classes "{tenant}:NAME:*" take a third of it.
constexpr std::size_t kMaxWork = 30'000'000;
constexpr std::string_view kReserved = "pannier:";

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, kMaxGlob) + "\"";
}

class GlobChecks : private WholeFile {
 public:
  GlobChecks(Draft& draft, const Value& root)
      : WholeFile(root, *draft.faults),
        draft_(&draft),
        policy_(&draft.policy) {}

  void run() {
    check_globs();
    if (!draft_->faults->any()) {
      check_reached();
    }
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

  void check_globs();
  void check_glob(Place place, Glob parsed, std::vector<Rival>& rivals);
  void check_reached();
  // A glob that takes all keys of `rival`, or null.
  [[nodiscard]] const Rival* taker_of(const Rival& rival, const Specificity& specificity);

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
  std::map<Specificity, std::vector<Rival>> rivals_;
  std::size_t work_ = 0;
};

void GlobChecks::check_globs() {
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
      auto& alike = rivals_[{prefix, literal_count(parsed)}];
      check_glob({i, j}, std::move(parsed), alike);
      if (draft_->faults->enough() || work_ > kMaxWork) {
        return;
      }
    }
  }
}

void GlobChecks::check_glob(Place place, Glob parsed, std::vector<Rival>& rivals) {
  for (const auto& rival : rivals) {
    if (rival.glob.tokens == parsed.tokens) {
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

// A set of one character is that character, but counts for less: then a glob that has it written
// out may take all of its keys.
void GlobChecks::check_reached() {
  const auto is_narrow_set = [](const GlobToken& token) {
    return token.kind == GlobToken::Kind::Set && token.bytes.count() == 1;
  };
  for (const auto& [specificity, alike] : rivals_) {
    for (const auto& rival : alike) {
      const auto& tokens = rival.glob.tokens;
      const auto* taker = std::any_of(tokens.begin(), tokens.end(), is_narrow_set)
                              ? taker_of(rival, specificity)
                              : nullptr;
      if (taker != nullptr) {
        warn(path_of(rival.place),
             "matches no key: " + quoted(glob(taker->place)) + " (" + owner(taker->place) +
                 ") is more specific and matches all of its keys");
      }
    }
  }
}

// Whatever is more specific and has a key in common begins with the same prefix.
const GlobChecks::Rival* GlobChecks::taker_of(const Rival& rival, const Specificity& specificity) {
  for (auto at = rivals_.upper_bound(specificity);
       at != rivals_.end() && at->first.first.starts_with(specificity.first);
       ++at) {
    for (const auto& other : at->second) {
      work_ += rival.glob.tokens.size() * other.glob.tokens.size();
      if (work_ > kMaxWork) {
        return nullptr;
      }
      if (covers(other.glob, rival.glob)) {
        return &other;
      }
    }
  }
  return nullptr;
}

}  // namespace

void check_class_globs(Draft& draft, const Value& root) {
  GlobChecks(draft, root).run();
}

}  // namespace pannier::config
