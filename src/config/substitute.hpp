#pragma once

#include "pannier/config/loader.hpp"

#include <string>
#include <string_view>

namespace pannier::config {

struct Substituted {
  std::string text;
  std::string problem;            // empty: none
  bool from_environment = false;  // the whole text is one variable's value
};

// Replaces `${NAME}` and `${NAME:-default}` (the default counts when the variable is unset or
// empty) and makes `$$` a `$`. A `$` before anything else stays; what is put in is not looked at
// again.
[[nodiscard]] Substituted substitute(std::string_view text, const Environment& environment);

}  // namespace pannier::config
