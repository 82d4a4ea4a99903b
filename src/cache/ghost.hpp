#pragma once

#include "pages.hpp"

#include <cstddef>
#include <cstdint>

namespace pannier::cache {

// The ghost queue of S3-FIFO: which keys were let go lately, as fingerprints of 16 bits in sets of
// eight, each set first in, first out. As many are remembered as the stripe has entries, down to
// the next power of two; a wrong answer (about one in 8,000) only puts an entry into the main queue
// at once. Used under the stripe's lock.
class Ghost {
 public:
  explicit Ghost(std::size_t capacity);

  // `entries`: how many the stripe has now.
  void remember(std::uint64_t hash, std::size_t entries);
  // Whether it is remembered; it is forgotten then.
  bool take(std::uint64_t hash);

  // Memory that was touched.
  [[nodiscard]] std::size_t bytes() const { return touched_ * sizeof(Set); }

  // Forgets everything and gives the memory back.
  void give_back();

 private:
  static constexpr std::size_t kWays = 8;

  struct Set {
    std::uint16_t prints[kWays];  // the newest first; 0: none
  };

  [[nodiscard]] Set& set_of(std::uint64_t hash) const;

  Pages<Set> sets_;
  std::size_t most_;         // sets there may be, a power of two
  std::size_t count_ = 1;    // sets in use, a power of two
  std::size_t touched_ = 0;  // the most that were
};

}  // namespace pannier::cache
