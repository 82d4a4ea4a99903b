#pragma once

#include "pannier/proxy/context.hpp"

#include <string_view>

namespace pannier::proxy {

// Looks it up and keeps it. Apart from `class_of`, which mostly does without.
[[gnu::noinline]] inline policy::ClassId find_class(const Context& context, std::string_view key) {
  context.matched = {key, context.rules->matcher.match(key)};
  return context.matched.id;
}

// The class of a key of the running request; asked for once.
[[nodiscard]] inline policy::ClassId class_of(const Context& context, std::string_view key) {
  const HashedKey& ahead = context.hashed_keys[context.batch_index];
  if (ahead.key == key.data()) {
    return ahead.key_class;
  }
  const MatchedKey& matched = context.matched;
  const bool is_known = matched.key.data() == key.data() && matched.key.size() == key.size();
  return is_known ? matched.id : find_class(context, key);
}

// Its class is cached, or observes what caching would do.
[[nodiscard]] inline bool is_cached(const Context& context, policy::ClassId key_class) {
  return key_class != policy::kNoClass && context.rules->at(key_class).cache.has_value();
}

}  // namespace pannier::proxy
