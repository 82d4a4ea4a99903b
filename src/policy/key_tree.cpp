#include "key_tree.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace pannier::policy {
namespace {

using config::GlobToken;
using Kind = GlobToken::Kind;

int compare(const GlobToken& a, const GlobToken& b) {
  if (a.kind != b.kind) {
    return a.kind < b.kind ? -1 : 1;
  }
  const auto byte = [](const GlobToken& t) {
    return (t.to_end ? 256 : 0) + static_cast<int>(static_cast<unsigned char>(t.literal));
  };
  if (byte(a) != byte(b)) {
    return byte(a) < byte(b) ? -1 : 1;
  }
  for (std::size_t i = 0; a.kind == Kind::Set && i < a.bytes.size(); ++i) {
    if (a.bytes[i] != b.bytes[i]) {
      return a.bytes[i] ? -1 : 1;
    }
  }
  return 0;
}

// Globs that begin alike are neighbours; the shorter one, then literals, come first.
bool before(const ClassGlob& a, const ClassGlob& b) {
  const auto common = std::min(a.tokens.size(), b.tokens.size());
  for (std::size_t i = 0; i < common; ++i) {
    const int order = compare(a.tokens[i], b.tokens[i]);
    if (order != 0) {
      return order < 0;
    }
  }
  return a.tokens.size() < b.tokens.size();
}

class Builder {
 public:
  KeyTree run(const std::vector<ClassGlob>& globs) {
    build(globs, 0, false, Way{});
    return std::move(tree_);
  }

 private:
  using Range = std::span<const ClassGlob>;

  // What led to a node.
  struct Way {
    bool star = false;
    std::uint16_t literals = 0;
    std::uint32_t shorter = kNowhere;
  };

  // Those at the front of `range` that go on with the same token.
  static Range alike(Range range, std::size_t depth) {
    const auto end = std::find_if(range.begin(), range.end(), [&](const ClassGlob& glob) {
      return compare(glob.tokens[depth], range.front().tokens[depth]) != 0;
    });
    return range.first(static_cast<std::size_t>(end - range.begin()));
  }

  // The node of globs whose first `depth` tokens are alike; `labelled`: literals that they still
  // have in common become its label.
  std::uint32_t build(Range range, std::size_t depth, bool labelled, Way way) {
    const auto at = static_cast<std::uint32_t>(tree_.nodes.size());
    tree_.nodes.emplace_back();
    Node node;
    node.label = static_cast<std::uint32_t>(tree_.labels.size());
    node.shorter = way.shorter;
    while (labelled && range.front().tokens.size() > depth &&
           range.front().tokens[depth].kind == Kind::Literal &&
           compare(range.front().tokens[depth], range.back().tokens[depth]) == 0) {
      tree_.labels += range.front().tokens[depth].literal;
      ++way.literals;
      ++depth;
    }
    node.label_size = static_cast<std::uint16_t>(tree_.labels.size() - node.label);
    node.depth = static_cast<std::uint16_t>(depth);
    node.literals = node.most_literals = way.literals;
    while (!range.empty() && range.front().tokens.size() == depth) {
      node.id = node.ends ? node.id : range.front().id;
      node.ends = true;
      range = range.subspan(1);
    }
    const auto special = std::find_if(range.begin(), range.end(), [&](const ClassGlob& glob) {
      return glob.tokens[depth].kind != Kind::Literal;
    });
    const auto literals = static_cast<std::size_t>(special - range.begin());
    if (literals < range.size()) {
      way.shorter = at;
    }
    add_children(node, range.first(literals), depth, way);
    add_specials(node, range.subspan(literals), depth, way);
    tree_.nodes[at] = node;
    return at;
  }

  void add_children(Node& node, Range range, std::size_t depth, Way way) {
    if (range.empty()) {
      return;
    }
    const auto byte = [&](const ClassGlob& glob) {
      return static_cast<std::uint8_t>(glob.tokens[depth].literal);
    };
    node.low = byte(range.front());
    node.child_count = static_cast<std::uint16_t>(byte(range.back()) - node.low + 1);
    node.children = static_cast<std::uint32_t>(tree_.children.size());
    tree_.children.resize(tree_.children.size() + node.child_count, kNowhere);
    ++way.literals;
    while (!range.empty()) {
      const auto same = alike(range, depth);
      const auto child = build(same, depth + 1, true, way);
      tree_.children[node.children + byte(same.front()) - node.low] = child;
      node.most_literals = std::max(node.most_literals, tree_.nodes[child].most_literals);
      range = range.subspan(same.size());
    }
  }

  void add_specials(Node& node, Range range, std::size_t depth, const Way& way) {
    std::vector<Special> specials;
    while (!range.empty()) {
      const auto same = alike(range, depth);
      specials.push_back(special_of(same.front().tokens[depth], way));
      Way next = way;
      next.star = way.star || specials.back().kind == Kind::Star;
      specials.back().node = build(same, depth + 1, false, next);
      node.most_literals =
          std::max(node.most_literals, tree_.nodes[specials.back().node].most_literals);
      range = range.subspan(same.size());
    }
    if (specials.size() == 1 && specials.front().kind == Kind::Star) {
      const Node& rest = tree_.nodes[specials.front().node];
      node.ends_rest = rest.ends && rest.child_count == 0 && rest.special_count == 0;
      node.rest = rest.id;
    }
    node.specials = static_cast<std::uint32_t>(tree_.specials.size());
    node.special_count = static_cast<std::uint16_t>(specials.size());
    tree_.specials.insert(tree_.specials.end(), specials.begin(), specials.end());
  }

  Special special_of(const GlobToken& token, const Way& way) {
    Special special;
    special.kind = token.kind;
    special.to_end = token.to_end;
    special.until = token.literal;
    if (token.kind == Kind::Set) {
      const auto found = std::find(tree_.sets.begin(), tree_.sets.end(), token.bytes);
      special.place = static_cast<std::uint32_t>(found - tree_.sets.begin());
      if (found == tree_.sets.end()) {
        tree_.sets.push_back(token.bytes);
      }
    } else if (token.kind == Kind::Star && way.star) {
      special.place = tree_.marks;
      ++tree_.marks;
    }
    return special;
  }

  KeyTree tree_;
};

}  // namespace

KeyTree build_tree(std::vector<ClassGlob> globs) {
  std::stable_sort(globs.begin(), globs.end(), before);
  return Builder().run(globs);
}

}  // namespace pannier::policy
