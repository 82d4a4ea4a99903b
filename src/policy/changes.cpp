#include "pannier/policy/rules.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace pannier::policy {
namespace {

using config::PolicyClass;

// In `work` of common_key, some 5 ms: beyond it classes are dropped unseen.
constexpr std::size_t kMaxWork = 500'000;

// A glob, ready for being compared with many others.
struct Prepared {
  config::Glob glob;
  std::string prefix;
};

Prepared prepare(const std::string& text) {
  auto glob = config::parse_glob(text);
  auto prefix = literal_prefix(glob);
  return {std::move(glob), std::move(prefix)};
}

const PolicyClass* class_of(const Rules& rules, std::size_t id) {
  return id < rules.policy.classes.size() ? &rules.policy.classes[id] : nullptr;
}

bool is_cached(const PolicyClass* each) {
  return each != nullptr && each->cache.has_value();
}

std::optional<config::Reads> reads_of(const Rules& rules, const PolicyClass& each) {
  return each.reads ? each.reads : rules.policy.reads;
}

bool serves_alike(const Rules& before,
                  const PolicyClass& old_class,
                  const Rules& after,
                  const PolicyClass& new_class) {
  return old_class.name == new_class.name && old_class.keys == new_class.keys &&
         old_class.cache == new_class.cache &&
         refuses_stores(old_class) == refuses_stores(new_class) &&
         reads_of(before, old_class) == reads_of(after, new_class);
}

// Globs that a class had and has no more: their keys may go to any class that matches them.
std::vector<Prepared> left_globs(const Rules& before, const Rules& after) {
  std::vector<Prepared> out;
  for (std::size_t id = 0; id < before.policy.classes.size(); ++id) {
    const auto& old_class = before.policy.classes[id];
    const auto* new_class = class_of(after, id);
    const bool same = new_class != nullptr && new_class->name == old_class.name;
    for (const auto& glob : old_class.keys) {
      if (!same || std::find(new_class->keys.begin(), new_class->keys.end(), glob) ==
                       new_class->keys.end()) {
        out.push_back(prepare(glob));
      }
    }
  }
  return out;
}

bool may_have_common_keys(const Prepared& a, const Prepared& b, std::size_t& work) {
  ++work;
  const bool alike = a.prefix.starts_with(b.prefix) || b.prefix.starts_with(a.prefix);
  return alike && (work > kMaxWork || common_key(a.glob, b.glob, work).has_value());
}

bool may_get_keys(const PolicyClass& each, const std::vector<Prepared>& left, std::size_t& work) {
  return std::any_of(each.keys.begin(), each.keys.end(), [&](const std::string& glob) {
    const auto own = prepare(glob);
    return std::any_of(left.begin(), left.end(), [&](const Prepared& other) {
      return may_have_common_keys(own, other, work);
    });
  });
}

}  // namespace

std::vector<ClassId> classes_to_drop(const Rules& before, const Rules& after) {
  const auto left = left_globs(before, after);
  std::vector<ClassId> out;
  std::size_t work = 0;
  const auto count = std::max(before.policy.classes.size(), after.policy.classes.size());
  for (std::size_t id = 0; id < count; ++id) {
    const auto* old_class = class_of(before, id);
    const auto* new_class = class_of(after, id);
    if (!is_cached(old_class) && !is_cached(new_class)) {
      continue;
    }
    const bool alike = old_class != nullptr && new_class != nullptr &&
                       serves_alike(before, *old_class, after, *new_class);
    if (!alike || may_get_keys(*new_class, left, work)) {
      out.push_back(static_cast<ClassId>(id));
    }
  }
  return out;
}

}  // namespace pannier::policy
