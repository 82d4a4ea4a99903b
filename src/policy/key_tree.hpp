#pragma once

#include "pannier/config/glob.hpp"
#include "pannier/policy/rules.hpp"

#include <bitset>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::policy {

inline constexpr std::uint32_t kNowhere = 0xFFFFFFFF;

// Whether `size` bytes are the same: of few bytes, without a call.
inline bool same_bytes(const char* a, const char* b, std::size_t size) {
  if (size > 2 * sizeof(std::uint64_t)) {
    return std::memcmp(a, b, size) == 0;
  }
  // Two loads that overlap: never past the end.
  const auto ends_alike = [&]<typename Word>(Word /*kind*/) {
    Word words[4];
    std::memcpy(&words[0], a, sizeof(Word));
    std::memcpy(&words[1], b, sizeof(Word));
    std::memcpy(&words[2], a + size - sizeof(Word), sizeof(Word));
    std::memcpy(&words[3], b + size - sizeof(Word), sizeof(Word));
    return words[0] == words[1] && words[2] == words[3];
  };
  if (size >= sizeof(std::uint64_t)) {
    return ends_alike(std::uint64_t{});
  }
  if (size >= sizeof(std::uint32_t)) {
    return ends_alike(std::uint32_t{});
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) {
      return false;
    }
  }
  return true;
}

// A step that is not a literal, and the node behind it.
struct Special {
  config::GlobToken::Kind kind = config::GlobToken::Kind::Any;
  bool to_end = false;      // of a capture
  char until = 0;           // of a capture
  std::uint32_t place = 0;  // of a set: in `sets`; of a star: its mark
  std::uint32_t node = kNowhere;
};

// Globs end here or go on; runs of literals without a fork are one node's label.
struct Node {
  std::uint32_t label = 0;     // place in `labels` of what follows the byte that led here
  std::uint32_t children = 0;  // place in `children` of the one for the byte `low`
  std::uint32_t specials = 0;
  std::uint32_t shorter = kNowhere;  // the nearest node above that has specials
  std::uint16_t label_size = 0;
  std::uint16_t child_count = 0;  // bytes from `low` on; 0: no children
  std::uint16_t special_count = 0;
  std::uint16_t depth = 0;          // bytes until here; only where literals alone lead
  std::uint16_t literals = 0;       // of the globs that end here
  std::uint16_t most_literals = 0;  // of the globs that end here or below
  std::uint8_t low = 0;
  bool ends = false;       // a glob ends here, of class `id`
  bool ends_rest = false;  // the only special is a star, and it ends its glob, of class `rest`
  ClassId id = kNoClass;
  ClassId rest = kNoClass;
};

// All globs as one tree over their tokens. Immutable once built.
struct KeyTree {
  std::vector<Node> nodes;  // the first one is the root
  std::vector<Special> specials;
  std::vector<std::uint32_t> children;  // kNowhere: none for this byte
  std::vector<std::bitset<256>> sets;
  std::string labels;
  std::uint32_t marks = 0;  // one for each star that stands behind a star

  // The node that the literals at `at` lead to, label and all; REQUIRES: at < key.size().
  [[gnu::always_inline]] [[nodiscard]] const Node* child(const Node& node,
                                                         std::string_view key,
                                                         std::size_t at) const {
    const auto place = static_cast<std::uint32_t>(static_cast<std::uint8_t>(key[at])) - node.low;
    if (place >= node.child_count) {
      return nullptr;
    }
    const auto found = children[node.children + place];
    if (found == kNowhere) {
      return nullptr;
    }
    const Node& next = nodes[found];
    if (next.label_size > 0 &&
        (key.size() - at - 1 < next.label_size ||
         !same_bytes(key.data() + at + 1, labels.data() + next.label, next.label_size))) {
      return nullptr;
    }
    return &next;
  }

  // Follows the key's bytes as far as literals lead, calls `visit(node)` on the way, for the root
  // too, and returns the last node. REQUIRES: there are nodes.
  template <class Visit>
  const Node* walk(std::string_view key, const Visit& visit) const {
    const Node* node = nodes.data();
    visit(*node);
    for (std::size_t at = 0; at < key.size(); at = node->depth) {
      const Node* next = child(*node, key, at);
      if (next == nullptr) {
        break;
      }
      node = next;
      visit(*node);
    }
    return node;
  }
};

struct ClassGlob {
  std::vector<config::GlobToken> tokens;
  ClassId id = kNoClass;
};

[[nodiscard]] KeyTree build_tree(std::vector<ClassGlob> globs);

}  // namespace pannier::policy
