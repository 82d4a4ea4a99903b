#pragma once

#include "document.hpp"
#include "draft.hpp"

#include <string>

namespace pannier::config {

struct Surroundings {
  const Environment* environment;  // null: values are taken as they are
  const std::string* directory;
  std::string file;  // as messages name it; empty: unnamed
};

// What only the whole file tells: settles defaults, presets and `auto`, and judges what must fit
// together. One for each kind of file.
void finish_config(Draft& draft, const Value& root, const Surroundings& surroundings);
void finish_policy(Draft& draft, const Value& root, const Surroundings& surroundings);

}  // namespace pannier::config
