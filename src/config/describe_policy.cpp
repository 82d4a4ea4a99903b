#include "pannier/config/describe.hpp"
#include "pannier/config/policy_words.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace pannier::config {
namespace {

// ", 2 limits"; nothing for none.
std::string counted(std::size_t number, const char* one, const char* many) {
  return number == 0 ? "" : fmt::format(", {} {}", number, number == 1 ? one : many);
}

// What Pannier's own commands need upstream, beside what the service itself needs.
void add_permissions(const Policy& policy, std::vector<std::string>& out) {
  const auto& classes = policy.classes;
  const auto any_class = [&](const auto& quality) {
    return std::any_of(classes.begin(), classes.end(), quality);
  };
  if (any_class([](const PolicyClass& each) { return each.cache.has_value(); })) {
    out.emplace_back(
        "ACL upstream for the near cache: +client|tracking +info +ping +get +set +touch "
        "~pannier:canary; without RESP3 also +subscribe &__redis__:invalidate; for pub/sub instead "
        "of tracking +subscribe +publish &pannier:*");
  }
  if (any_class([](const PolicyClass& each) { return each.ttl.has_value(); })) {
    out.emplace_back(
        "ACL upstream for TTL rules, on the keys of their classes: +set +pexpire; for sliding, and "
        "for servers before 7.0, also +eval +pttl");
  }
  const auto& limits = policy.limits;
  if (std::any_of(limits.begin(), limits.end(), [](const LimitRule& limit) {
        return limit.scope == Scope::Fleet;
      })) {
    out.emplace_back(
        "ACL upstream for limits over all sidecars: +eval +evalsha +time +get +set ~pannier:*");
  }
}

}  // namespace

std::vector<std::string> describe(const Policy& policy) {
  std::vector<std::string> out;
  out.push_back(fmt::format(
      "policy has {} {}{}{}, mode {}{}{}",
      policy.classes.size(),
      policy.classes.size() == 1 ? "class" : "classes",
      counted(policy.limits.size(), "limit", "limits"),
      counted(policy.deny.size(), "denial", "denials"),
      to_word(policy.mode),
      policy.read_only ? ", read-only" : "",
      policy.reads ? std::string(", reads ") + to_string(*policy.reads) : std::string()));
  for (const auto& each : policy.classes) {
    out.push_back("class " + each.name + ": " + listed(each.keys) + "; " + in_words(each));
  }
  for (const auto& limit : policy.limits) {
    out.push_back("limit " + limit.name + ": " + in_words(limit));
  }
  for (const auto& denial : policy.deny) {
    out.push_back("denial " + denial.name + ": " + in_words(denial));
  }
  add_permissions(policy, out);
  return out;
}

}  // namespace pannier::config
