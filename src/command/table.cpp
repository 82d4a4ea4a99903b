#include "pannier/command/categories.hpp"
#include "pannier/command/command.hpp"

#include "name_key.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace pannier::command {

namespace {

using enum KeyRule;
using enum Handling;

// What many rows share.
constexpr std::uint32_t kAdminOps = kAdmin | kNoScript | kLoading | kStale;
constexpr std::uint32_t kScript =
    kNoScript | kStale | kSkipMonitor | kMovableKeys | kNoMandatoryKeys | kHeavy;

constexpr auto kRows = [] {
  auto rows = std::to_array<CommandSpec>({
#include "rows_a_c.inc"
#include "rows_d_l.inc"
#include "rows_m_r.inc"
#include "rows_s_z.inc"
  });
  std::uint16_t next = 0;
  for (CommandSpec& row : rows) {
    row.index = next++;
  }
  return rows;
}();
static_assert(kRows.size() == kTableSize, "kTableSize counts the rows");

static_assert(std::is_sorted(std::begin(kRows),
                             std::end(kRows),
                             [](const CommandSpec& a, const CommandSpec& b) {
                               return a.name < b.name;
                             }));

constexpr std::uint16_t kNone = 0xffff;

// Open addressing, at most 40 % full, built by the compiler.
class Index {
 public:
  constexpr Index() {
    for (std::uint16_t row = 0; row < kTableSize; ++row) {
      if (kRows[row].name.find('|') == std::string_view::npos) {
        insert(kRows[row].name, kNone, row);
      }
    }
    for (std::uint16_t row = 0; row < kTableSize; ++row) {
      const std::string_view name = kRows[row].name;
      const std::size_t bar = name.find('|');
      if (bar != std::string_view::npos) {
        insert(name.substr(bar + 1), find(name.substr(0, bar), kNone), row);
      }
    }
  }

  // The row of a name in any case, or of a subcommand of the row `container`; kNone when unknown.
  [[nodiscard]] constexpr std::uint16_t find(std::string_view name, std::uint16_t container) const {
    if (name.empty() || name.size() > kMaxName) {
      return kNone;
    }
    // The tag tells the length: of a short name nothing else than the first word can differ.
    const bool is_short = name.size() <= sizeof(std::uint64_t);
    const NameKey key = make_name_key(name, container);
    for (std::size_t at = hash_of(key) >> kShift;; at = (at + 1) % kSlots) {
      const Slot& slot = slots_[at];
      const bool same = slot.key.words[0] == key.words[0] && slot.key.tag == key.tag &&
                        (is_short || slot.key == key);
      if (same || slot.row == kNone) {
        return slot.row;
      }
    }
  }

 private:
  static constexpr int kShift = 64 - 10;
  static constexpr std::size_t kSlots = 1024;
  static_assert(kTableSize * 10 <= kSlots * 4);

  struct Slot {
    NameKey key;
    std::uint16_t row = kNone;
  };

  constexpr void insert(std::string_view name, std::uint16_t container, std::uint16_t row) {
    const NameKey key = make_name_key(name, container);
    std::size_t at = hash_of(key) >> kShift;
    while (slots_[at].row != kNone) {
      at = (at + 1) % kSlots;
    }
    slots_[at] = {key, row};
  }

  std::array<Slot, kSlots> slots_{};
};

constexpr Index kIndex;

const CommandSpec* row_or_null(std::uint16_t row) {
  return row == kNone ? nullptr : &kRows[row];
}

}  // namespace

std::span<const CommandSpec> table() {
  return kRows;
}

const CommandSpec* find(std::span<const std::string_view> arguments) {
  const std::uint16_t row = kIndex.find(arguments[0], kNone);
  if (row == kNone) {
    return nullptr;
  }
  if (kRows[row].has(kContainer) && arguments.size() > 1) {
    const std::uint16_t sub = kIndex.find(arguments[1], row);
    return &kRows[sub == kNone ? row : sub];
  }
  return &kRows[row];
}

const CommandSpec* find(std::string_view name) {
  const std::size_t bar = name.find('|');
  if (bar == std::string_view::npos) {
    return row_or_null(kIndex.find(name, kNone));
  }
  const std::uint16_t container = kIndex.find(name.substr(0, bar), kNone);
  return container == kNone ? nullptr : row_or_null(kIndex.find(name.substr(bar + 1), container));
}

bool arity_fits(const CommandSpec& row, std::size_t argument_count) {
  const auto count = static_cast<std::int64_t>(argument_count);
  return row.arity >= 0 ? count == row.arity : count >= -row.arity;
}

}  // namespace pannier::command
