#pragma once

#include "document.hpp"
#include "draft.hpp"

// The parts of finish_policy that have a file of their own.
namespace pannier::config {

// Whether each key has one class (behaviour 8.1), and each glob a key.
void check_class_globs(Draft& draft, const Value& root);
// Limits and denials, but for what only the table of commands tells.
void check_rules(Draft& draft, const Value& root);

}  // namespace pannier::config
