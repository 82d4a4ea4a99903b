#pragma once

#include "pannier/command/command.hpp"
#include "pannier/policy/key_matcher.hpp"

#include "key_globs.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::policy {

// Which rules of one list come into question for a request. Rules are bits: those that a command
// allows, by row, and among them those that need no key, or a key of a class; those that need a key
// of its own globs are found by KeyGlobs. Immutable once compiled; allocates nothing after that.
class RuleIndex {
 public:
  // What a rule asks of a request; all that is given must fit.
  struct Terms {
    const std::vector<std::string>* commands = nullptr;  // empty: any
    const std::vector<std::string>* keys = nullptr;      // empty: any
    std::string_view capture;
    ClassId key_class = kNoClass;
    bool (*spared)(const command::CommandSpec&) = nullptr;  // commands that it leaves alone
  };

  // The rules that a request's command allows.
  struct Allowed {
    const std::uint64_t* bits = nullptr;
    std::uint32_t categories = 0;  // of a row that is not in the table; 0: it is
    // Whether some of them are such as need no key, have globs, or have a class and no globs.
    bool plain = false;
    bool globbed = false;
    bool classed = false;
  };

  RuleIndex() : RuleIndex(0, 0) {}

  RuleIndex(std::size_t rules, std::size_t classes);

  void add(std::uint16_t rule, const Terms& terms);

  // To be called once, after the last `add`.
  void compile();

  // Of a row of the table, by its place; with the table's size of those that are not in it, whose
  // categories the caller adds.
  [[nodiscard]] const Allowed& allowed_by(std::uint16_t row) const { return rows_[row]; }

  // Whether a rule that a row allows looks at the class of keys.
  [[nodiscard]] bool looks_at_classes(std::uint16_t row) const { return intersects(row, classed_); }

  // Whether the command of a row of the table, or of those that are not in it, allows a rule.
  [[nodiscard]] bool allows(std::uint16_t row, std::uint16_t rule) const {
    return (by_row_[row * words_ + rule / kBits] >> (rule % kBits) & 1) != 0;
  }

  [[nodiscard]] bool empty() const;

  // Calls `found(rule)`, in order, for those that hold whatever the keys are. Stops when it says
  // false.
  template <class Found>
  void each_plain(const Allowed& allowed, const Found& found) const {
    if (allowed.plain) {
      each_bit(allowed, plain_.data(), found);
    }
  }

  // False when `each_of_key` would find nothing, as far as a look tells.
  [[nodiscard]] bool may_hold(const Allowed& allowed,
                              std::string_view key,
                              ClassId key_class) const {
    return (allowed.globbed && globs_.may_match(key)) || (allowed.classed && key_class != kNoClass);
  }

  // Calls `found(rule, text of the capture)` for those that this key makes hold; of a rule whose
  // globs match in several ways the one that counts comes last.
  template <class Found>
  void each_of_key(const Allowed& allowed,
                   std::string_view key,
                   ClassId key_class,
                   const Found& found) const {
    if (allowed.globbed && globs_.may_match(key)) {
      globs_.each(
          key,
          [&](std::uint16_t rule) {
            return is_allowed(allowed, rule) &&
                   (classes_[rule] == kNoClass || classes_[rule] == key_class);
          },
          found);
    }
    if (allowed.classed && key_class != kNoClass) {
      each_bit(allowed, &by_class_[key_class * words_], [&](std::uint16_t rule) {
        found(rule, std::string_view());
        return true;
      });
    }
  }

 private:
  static constexpr std::size_t kBits = 64;
  using Bits = std::vector<std::uint64_t>;

  static void set(Bits& bits, std::size_t place) {
    bits[place / kBits] |= std::uint64_t{1} << (place % kBits);
  }

  [[nodiscard]] bool is_allowed(const Allowed& allowed, std::uint16_t rule) const {
    return (allowed.bits[rule / kBits] >> (rule % kBits) & 1) != 0 &&
           (allowed.categories == 0 || (allowed.categories & categories_[rule]) != 0);
  }

  template <class Found>
  void each_bit(const Allowed& allowed, const std::uint64_t* mask, const Found& found) const {
    for (std::size_t word = 0; word < words_; ++word) {
      for (auto bits = allowed.bits[word] & mask[word]; bits != 0; bits &= bits - 1) {
        const auto rule = static_cast<std::uint16_t>(word * kBits +
                                                     static_cast<unsigned>(std::countr_zero(bits)));
        if (is_allowed(allowed, rule) && !found(rule)) {
          return;
        }
      }
    }
  }

  [[nodiscard]] bool intersects(std::uint16_t row, const Bits& mask) const;

  std::size_t words_ = 0;  // of a set of rules
  Bits by_row_;
  Bits by_class_;  // those of a class, without globs; empty when there are none
  Bits plain_;
  Bits globbed_;
  Bits classed_;                           // that look at the class of a key
  std::vector<std::uint32_t> categories_;  // by rule: of which commands may be; 0: it names them
  std::vector<ClassId> classes_;           // by rule
  std::vector<Allowed> rows_;
  std::size_t class_count_ = 0;
  KeyGlobs globs_;
};

}  // namespace pannier::policy
