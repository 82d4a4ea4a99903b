#pragma once

#include "pannier/policy/key_matcher.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace pannier::policy {

// Requests that no limit and no denial can hold for, told by one look: by the command's row, the
// class of the only key, and the size. It may let fewer pass than it could, never more. Immutable
// once the rules are in it.
class RequestScreen {
 public:
  static constexpr std::uint64_t kAnySize = std::numeric_limits<std::uint64_t>::max();

  // Bit 0: keys of no class, and requests without keys; the others by class id + 1.
  using Classes = std::vector<std::uint64_t>;

  // Of so many rows and classes: all requests pass.
  RequestScreen(std::size_t rows, std::size_t classes)
      : words_(words_of(classes)),
        by_row_(rows * words_),
        sizes_(rows) {}

  [[nodiscard]] static std::size_t words_of(std::size_t classes) {
    return (classes + kBits) / kBits;
  }

  [[nodiscard]] static std::size_t place_of(ClassId id) {
    return static_cast<std::uint16_t>(id + 1);
  }

  static void set(Classes& classes, ClassId id) {
    classes[place_of(id) / kBits] |= std::uint64_t{1} << (place_of(id) % kBits);
  }

  // A rule may hold for requests of this row with a key of these classes, however small they are.
  void stop(std::uint16_t row, const Classes& classes) {
    for (std::size_t word = 0; word < words_; ++word) {
      by_row_[row * words_ + word] |= classes[word];
    }
  }

  // One may hold for those that are larger than this; 0: whatever their size.
  void stop_larger(std::uint16_t row, std::uint64_t arguments, std::uint64_t bytes) {
    sizes_[row].arguments = std::min(sizes_[row].arguments, arguments);
    sizes_[row].bytes = std::min(sizes_[row].bytes, bytes);
  }

  // `bytes`: no argument has more. `key_class`: of the only key.
  // REQUIRES: the request is all there and has one key, or its row has none.
  [[nodiscard]] bool passes(std::uint16_t row,
                            std::size_t arguments,
                            std::size_t bytes,
                            ClassId key_class) const {
    const std::size_t place = place_of(key_class);
    return arguments <= sizes_[row].arguments && bytes <= sizes_[row].bytes &&
           (by_row_[row * words_ + place / kBits] >> (place % kBits) & 1) == 0;
  }

 private:
  static constexpr std::size_t kBits = 64;

  struct Sizes {
    std::uint64_t arguments = kAnySize;
    std::uint64_t bytes = kAnySize;
  };

  std::size_t words_;  // of a set of classes
  Classes by_row_;
  std::vector<Sizes> sizes_;  // by row
};

}  // namespace pannier::policy
