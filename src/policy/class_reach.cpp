#include "class_reach.hpp"

#include "pannier/policy/rules.hpp"

#include <algorithm>
#include <string_view>

namespace pannier::policy {
namespace {

// Some key may begin with both.
bool overlap(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

}  // namespace

ClassReach::ClassReach(const config::Policy& policy)
    : words_(RequestScreen::words_of(policy.classes.size())) {
  for (std::size_t id = 0; id < policy.classes.size(); ++id) {
    for (const auto& text : policy.classes[id].keys) {
      config::Glob glob = config::parse_glob(text);
      std::string prefix = config::literal_prefix(glob);
      keys_.push_back({std::move(prefix), std::move(glob), static_cast<ClassId>(id)});
    }
  }
}

RequestScreen::Classes ClassReach::of_keys(const std::vector<std::string>& globs) const {
  if (globs.empty()) {
    return RequestScreen::Classes(words_, ~std::uint64_t{0});
  }
  RequestScreen::Classes out(words_);
  for (const auto& text : globs) {
    const config::Glob glob = config::parse_glob(text);
    const std::string prefix = config::literal_prefix(glob);
    for (const ClassKeys& each : keys_) {
      if (overlap(each.prefix, prefix)) {
        RequestScreen::set(out, each.id);
      }
    }
    if (!has_class_always(glob, prefix)) {
      RequestScreen::set(out, kNoClass);
    }
  }
  return out;
}

RequestScreen::Classes ClassReach::of_class(ClassId id) const {
  RequestScreen::Classes out(words_);
  RequestScreen::set(out, id);
  return out;
}

bool ClassReach::has_class_always(const config::Glob& glob, const std::string& prefix) const {
  return !overlap(prefix, kReservedKeys) &&
         std::any_of(keys_.begin(), keys_.end(), [&](const ClassKeys& each) {
           return std::string_view(prefix).starts_with(each.prefix) &&
                  config::covers(each.glob, glob);
         });
}

}  // namespace pannier::policy
