#pragma once

#include "faults.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

// One value of the file with its place: a plain tree of our own, so that yaml-cpp's types, its lazy
// conversions and its silence about duplicate keys stay in one .cpp file.
struct Value {
  enum class Kind : std::uint8_t {
    Nothing,
    Scalar,
    List,
    Map
  };

  Kind kind = Kind::Nothing;
  Place place;
  std::string text;          // of a scalar
  std::string key;           // of an entry of a map
  Place key_place;           // of an entry of a map
  std::vector<Value> items;  // elements of a list; entries of a map, in file order

  // Where a fault about the whole value points to.
  [[nodiscard]] Place where() const { return place.line > 0 ? place : key_place; }
};

// False when the text is not one YAML document of plain maps, lists and scalars; `faults` says why.
// Anchors, aliases and tags are refused: nothing here needs them, and without them the tree is
// never larger than the text.
[[nodiscard]] bool parse_document(std::string_view text, Value& root, Faults& faults);

}  // namespace pannier::config
