#pragma once

#include "pannier/config/glob.hpp"

#include "key_tree.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::policy {

// All globs of many rules, each on its own: a key may match any number of them. One walk along the
// key finds those whose literal prefix it has; only these are looked at. Immutable once compiled;
// allocates nothing while it matches.
//
// Where a glob may match in several ways, its stars take as little as they can, the first one
// first; that says what a capture behind a star is.
class KeyGlobs {
 public:
  // `glob` is well formed. `capture` names the one whose text is wanted; empty: none.
  void add(std::string_view glob, std::uint16_t rule, std::string_view capture);
  // To be called once, after the last `add`.
  void compile();

  // False when no glob begins as the key does, which one look tells.
  [[nodiscard]] bool may_match(std::string_view key) const {
    return key.empty() || first_bytes_.test(static_cast<std::uint8_t>(key.front()));
  }

  // Calls `found(rule, text of the capture)` for each glob of a rule with `wanted(rule)` that
  // matches; of one rule's globs the most specific one comes last (behaviour 8.1).
  template <class Wanted, class Found>
  void each(std::string_view key, const Wanted& wanted, const Found& found) const {
    if (tree_.nodes.empty()) {
      return;
    }
    tree_.walk(key, [&](const Node& node) {
      if (node.ends) {
        each_of(groups_[node.id], key, wanted, found);
      }
    });
  }

 private:
  static constexpr std::uint16_t kNone = 0xFFFF;

  struct Step {
    config::GlobToken::Kind kind = config::GlobToken::Kind::Literal;
    bool to_end = false;    // of a capture
    char byte = 0;          // itself; of a capture the one that ends it
    std::uint16_t set = 0;  // place in `sets_`; of a capture its number
    // Of a star: steps behind it, when it is the last one and each of them takes one byte, so that
    // they can only stand at the key's end. Else kNone.
    std::uint16_t tail = kNone;
  };

  struct Entry {
    std::uint16_t rule = 0;
    std::uint16_t capture = kNone;  // the number of the one that is wanted
    bool takes_all = false;         // nothing but a star follows the prefix
    // What follows the prefix is a capture or not, then literals, then a star or not.
    bool simple = false;
    bool captures = false;         // a simple one does
    bool open_end = false;         // a simple one ends with a star
    Step first;                    // of a simple one, its capture
    std::uint16_t text_size = 0;   // of a simple one's literals
    std::uint16_t step_count = 0;  // of any other
    std::uint32_t text = 0;        // place in `texts_`
    std::uint32_t steps = 0;       // place in `steps_`
  };

  // The globs with one literal prefix.
  struct Group {
    std::uint32_t first = 0;  // place in `entries_`
    std::uint32_t count = 0;
    std::uint16_t prefix = 0;  // bytes
  };

  struct Draft {
    std::string prefix;
    config::Glob glob;
    std::uint16_t rule = 0;
    std::uint16_t capture = kNone;
  };

  class Match;

  template <class Wanted, class Found>
  void each_of(const Group& group,
               std::string_view key,
               const Wanted& wanted,
               const Found& found) const {
    for (auto i = group.first; i < group.first + group.count; ++i) {
      const Entry& entry = entries_[i];
      if (!wanted(entry.rule)) {
        continue;
      }
      std::string_view text;
      if (entry.takes_all || (entry.simple ? matches_simply(entry, key, group.prefix, text)
                                           : matches(entry, key, group.prefix, text))) {
        found(entry.rule, text);
      }
    }
  }

  // Whether what follows the prefix, from `at` on, fits; `text` becomes the capture's.
  [[nodiscard]] bool matches(const Entry& entry,
                             std::string_view key,
                             std::size_t at,
                             std::string_view& text) const;

  // The same, of a simple one.
  [[nodiscard]] bool matches_simply(const Entry& entry,
                                    std::string_view key,
                                    std::size_t at,
                                    std::string_view& text) const;

  void add_entry(const Draft& draft);
  void add_steps(const Draft& draft);
  [[nodiscard]] bool make_simple(Entry& entry);

  std::vector<Draft> drafts_;     // until compiled
  std::bitset<256> first_bytes_;  // of keys that may match
  KeyTree tree_;                  // of the prefixes; a node's id is its group
  std::vector<Group> groups_;
  std::vector<Entry> entries_;
  std::vector<Step> steps_;
  std::string texts_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace pannier::policy
