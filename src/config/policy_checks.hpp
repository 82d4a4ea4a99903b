#pragma once

#include "document.hpp"
#include "draft.hpp"

#include <cstddef>

// The parts of finish_policy that have a file of their own.
namespace pannier::config {

// Of all classes; and as many of all limits and denials.
inline constexpr std::size_t kMaxGlobs = 4096;

// Whether each key has one class (behaviour 8.1), and each glob a key.
void check_class_globs(Draft& draft, const Value& root);
// Limits and denials, but for what only the table of commands tells.
void check_rules(Draft& draft, const Value& root);

}  // namespace pannier::config
