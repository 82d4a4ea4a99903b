#pragma once

#include "pannier/config/policy.hpp"

#include <string>
#include <vector>

namespace pannier::config {

// What changes for whom when `after` takes the place of `before`, in words, a line each; empty when
// nothing does. Presets and defaults count as if they were written out; the order of rules and
// where they stand in the file do not. Classes, limits and denials are the same ones when their
// names are.
[[nodiscard]] std::vector<std::string> diff(const Policy& before, const Policy& after);

}  // namespace pannier::config
