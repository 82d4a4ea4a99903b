#include "rule_index.hpp"

#include "pannier/command/categories.hpp"

#include <algorithm>

namespace pannier::policy {
namespace {

bool is_category(std::string_view word) {
  return word.starts_with('@');
}

// Of the categories that `commands` lists; all when it lists nothing.
std::uint32_t listed_categories(const std::vector<std::string>& commands) {
  std::uint32_t out = commands.empty() ? std::uint32_t{command::kCatAll} : 0;
  for (const std::string_view word : commands) {
    if (is_category(word)) {
      out |= command::category_of(word.substr(1));
    }
  }
  return out;
}

bool fits(const command::CommandSpec& row,
          std::uint32_t categories,
          const std::vector<std::string>& commands) {
  return (command::categories_of(row) & categories) != 0 ||
         std::any_of(commands.begin(), commands.end(), [&](std::string_view word) {
           return !is_category(word) && command::is_named(row, word);
         });
}

}  // namespace

RuleIndex::RuleIndex(std::size_t rules, std::size_t classes)
    : words_((rules + kBits - 1) / kBits),
      by_row_((command::table().size() + 1) * words_),
      plain_(words_),
      globbed_(words_),
      classed_(words_),
      categories_(rules),
      classes_(rules, kNoClass),
      rows_(command::table().size() + 1),
      class_count_(classes) {}

void RuleIndex::add(std::uint16_t rule, const Terms& terms) {
  const bool plain = terms.keys->empty() && terms.key_class == kNoClass;
  classes_[rule] = terms.key_class;
  categories_[rule] = listed_categories(*terms.commands);
  if (plain) {
    set(plain_, rule);
  }
  if (!terms.keys->empty()) {
    set(globbed_, rule);
  }
  if (terms.key_class != kNoClass) {
    set(classed_, rule);
    by_class_.resize(class_count_ * words_);
  }
  if (terms.key_class != kNoClass && terms.keys->empty()) {
    set(by_class_, terms.key_class * words_ * kBits + rule);
  }
  for (const auto& glob : *terms.keys) {
    globs_.add(glob, rule, terms.capture);
  }
  const auto table = command::table();
  for (std::size_t row = 0; row < table.size(); ++row) {
    const bool has_keys = table[row].rule != command::KeyRule::None;
    if ((plain || has_keys) && fits(table[row], categories_[rule], *terms.commands) &&
        !terms.spared(table[row])) {
      set(by_row_, row * words_ * kBits + rule);
    }
  }
  if (categories_[rule] != 0) {
    set(by_row_, table.size() * words_ * kBits + rule);
  }
}

void RuleIndex::compile() {
  globs_.compile();
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const auto place = static_cast<std::uint16_t>(row);
    auto& each = rows_[row];
    each.bits = by_row_.data() + row * words_;
    each.plain = intersects(place, plain_);
    each.globbed = intersects(place, globbed_);
    each.classed = !by_class_.empty() && intersects(place, classed_);
  }
}

bool RuleIndex::empty() const {
  return std::all_of(by_row_.begin(), by_row_.end(), [](std::uint64_t word) { return word == 0; });
}

bool RuleIndex::intersects(std::uint16_t row, const Bits& mask) const {
  for (std::size_t word = 0; word < words_; ++word) {
    if ((by_row_[row * words_ + word] & mask[word]) != 0) {
      return true;
    }
  }
  return false;
}

}  // namespace pannier::policy
