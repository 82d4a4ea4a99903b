#pragma once

#include "pannier/config/policy.hpp"

#include <string>
#include <string_view>
#include <vector>

// A policy's rules in words, for `check` and `diff`. Pure functions.
namespace pannier::config {

[[nodiscard]] const char* to_word(RuleMode mode);
[[nodiscard]] const char* to_word(Tier tier);
[[nodiscard]] const char* to_word(OnError on_error);
[[nodiscard]] const char* to_word(Per per);  // a capture has its name
[[nodiscard]] const char* to_word(OnUpstreamError on_error);

[[nodiscard]] std::string in_words(Milliseconds duration);
[[nodiscard]] std::string in_words(const CacheRules& cache);
[[nodiscard]] std::string in_words(const MissRules& miss);
[[nodiscard]] std::string in_words(const TtlRules& ttl);
// What they do, without their names; of a class without its keys.
[[nodiscard]] std::string in_words(const PolicyClass& each);
[[nodiscard]] std::string in_words(const LimitRule& limit);
[[nodiscard]] std::string in_words(const DenyRule& denial);

// "60/1m" and "20", in what the limit counts.
[[nodiscard]] std::string rate_in_words(const LimitRule& limit);
[[nodiscard]] std::string burst_in_words(const LimitRule& limit);

// The first few of them: "product:* catalogue:* and 3 more".
[[nodiscard]] std::string listed(const std::vector<std::string>& words);

}  // namespace pannier::config
