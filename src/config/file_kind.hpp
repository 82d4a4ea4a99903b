#pragma once

#include "checks.hpp"
#include "key_table.hpp"

#include <string_view>

namespace pannier::config {

// What sets one kind of file apart: its keys, and what the whole of it must fit.
struct FileKind {
  const KeyTable* keys;
  void (*finish)(Draft& draft, const Value& root, const Surroundings& surroundings);
};

// Reads the text of a file into `draft`, which is half made when its faults have errors then. Never
// throws.
void read_as(const FileKind& kind, std::string_view yaml, const Surroundings& around, Draft& draft);

}  // namespace pannier::config
