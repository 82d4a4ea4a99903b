#pragma once

#include "document.hpp"
#include "keys.hpp"

#include <string>

namespace pannier::config {

struct Surroundings {
  const Environment* environment;
  const std::string* directory;
  std::string file;  // as messages name it; empty: unnamed
};

// What only the whole file tells: settles defaults and `auto`, and judges what must fit together.
void finish(Draft& draft, const Value& root, const Surroundings& surroundings);

}  // namespace pannier::config
