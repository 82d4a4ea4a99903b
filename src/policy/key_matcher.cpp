#include "pannier/policy/rules.hpp"

#include "key_tree.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pannier::policy {
namespace {

using Kind = config::GlobToken::Kind;

// The most specific of the globs behind one literal prefix. It walks the tree with the key; where
// the tree forks it tries all ways that can still be better.
//
// A star is tried at every place, but a star behind it only once: what lies between them is found
// at its earliest end first, because each step's end grows with its begin, and from there the
// second star reaches everything that it could reach later. So the cost is bounded by the key's
// length times the number of stars.
class Search {
 public:
  // Of the marks only those that are used are cleared, here.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  Search(const KeyTree& tree, std::string_view key) : tree_(&tree), key_(key) {
    std::fill_n(marks_.begin(), (used_marks() + 63) / 64, 0);
  }

  [[nodiscard]] bool found() const { return found_; }

  [[nodiscard]] ClassId best() const { return best_; }

  void try_specials(const Node& node, std::size_t at) {
    const auto* special = tree_->specials.data() + node.specials;
    for (const auto* end = special + node.special_count; special != end; ++special) {
      const Node& behind = tree_->nodes[special->node];
      if (may_improve(behind)) {
        try_special(*special, behind, at);
      }
    }
  }

 private:
  // Stars beyond these may be tried more than once: slower, never wrong.
  static constexpr std::size_t kMaxMarks = 4096;

  [[nodiscard]] std::size_t used_marks() const {
    return std::min<std::size_t>(tree_->marks, kMaxMarks);
  }

  [[nodiscard]] bool may_improve(const Node& node) const {
    return !found_ || node.most_literals > literals_;
  }

  void end_at(const Node& node) {
    if (node.ends && (!found_ || node.literals > literals_)) {
      found_ = true;
      best_ = node.id;
      literals_ = node.literals;
    }
  }

  void walk(const Node& node, std::size_t at) {
    if (at == key_.size()) {
      end_at(node);
    } else if (const Node* child = tree_->child(node, key_, at);
               child != nullptr && may_improve(*child)) {
      walk(*child, at + 1 + child->label_size);
    }
    try_specials(node, at);
  }

  void try_special(const Special& special, const Node& behind, std::size_t at) {
    const bool has_byte = at < key_.size();
    switch (special.kind) {
      case Kind::Any:
        if (has_byte) {
          walk(behind, at + 1);
        }
        break;
      case Kind::Set:
        if (has_byte && tree_->sets[special.place].test(static_cast<std::uint8_t>(key_[at]))) {
          walk(behind, at + 1);
        }
        break;
      case Kind::Capture:
        if (has_byte) {
          try_capture(special, behind, at);
        }
        break;
      case Kind::Star:
        try_star(special, behind, at);
        break;
      case Kind::Literal:
        break;
    }
  }

  void try_capture(const Special& special, const Node& behind, std::size_t at) {
    if (special.to_end) {
      walk(behind, key_.size());
    } else if (key_[at] != special.until) {
      const auto end = key_.find(special.until, at + 1);
      if (end != std::string_view::npos) {
        walk(behind, end);
      }
    }
  }

  void try_star(const Special& special, const Node& behind, std::size_t at) {
    if (special.place < used_marks() && in_star_) {
      auto& word = marks_[special.place / 64];
      const auto bit = std::uint64_t{1} << (special.place % 64);
      if ((word & bit) != 0) {
        return;
      }
      word |= bit;
    }
    end_at(behind);
    const bool outer = std::exchange(in_star_, true);
    while (at < key_.size() && may_improve(behind)) {
      walk(behind, at);
      ++at;
    }
    in_star_ = outer;
  }

  const KeyTree* tree_;
  std::string_view key_;
  bool found_ = false;
  bool in_star_ = false;
  ClassId best_ = kNoClass;
  std::uint16_t literals_ = 0;
  std::array<std::uint64_t, kMaxMarks / 64> marks_;  // of stars that were tried
};

// From the longest literal prefix on; the first that matches is the most specific one. Apart from
// `match`, which mostly does without.
[[gnu::noinline]] ClassId search(const KeyTree& tree, const Node* node, std::string_view key) {
  while (true) {
    if (node->ends_rest) {
      return node->rest;
    }
    if (node->special_count > 0) {
      Search search(tree, key);
      search.try_specials(*node, node->depth);
      if (search.found()) {
        return search.best();
      }
    }
    if (node->shorter == kNowhere) {
      return kNoClass;
    }
    node = &tree.nodes[node->shorter];
  }
}

}  // namespace

struct KeyMatcher::Impl {
  std::vector<ClassGlob> globs;  // until compiled
  KeyTree tree;
};

KeyMatcher::KeyMatcher() : impl_(std::make_unique<Impl>()) {
  impl_->tree.nodes.emplace_back();
}

KeyMatcher::~KeyMatcher() = default;
KeyMatcher::KeyMatcher(KeyMatcher&&) noexcept = default;
KeyMatcher& KeyMatcher::operator=(KeyMatcher&&) noexcept = default;

void KeyMatcher::add(std::string_view glob, ClassId id) {
  impl_->globs.push_back(ClassGlob{config::parse_glob(glob).tokens, id});
}

void KeyMatcher::compile() {
  impl_->tree = build_tree(std::move(impl_->globs));
  impl_->globs.clear();
}

ClassId KeyMatcher::match(std::string_view key) const {
  const KeyTree& tree = impl_->tree;
  const Node* node = tree.walk(key, [](const Node& /*node*/) {});
  if (node->depth == key.size() && node->ends) {
    return node->id;  // no prefix is longer
  }
  return node->ends_rest ? node->rest : search(tree, node, key);
}

}  // namespace pannier::policy
