#pragma once

#include "pages.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pannier::cache {

// What happened to a key while a read of it was on its way: per key the number of changes (high 32
// bits) and of writes in flight (low 32 bits), in one word. Keys share 64 Ki words by hash, so that
// the table never overflows; a collision only keeps a reply from being installed. Thread-safe,
// lock-free; the memory costs nothing for words that were never written.
//
// Memory order. A fill reads the word before its request is sent, and again under the lock of the
// stripe before it installs. Who invalidates counts the word up and then erases under that lock.
// 1. If the fill's second look misses the change, the invalidation's locked part cannot lie before
//    the fill's: the lock would have made the change visible. So it comes after and erases.
// 2. If the fill's first look already saw the change, its read was sent after the invalidation was
//    processed and its value is at least as new.
// 3. A write that was begun and not ended by the first look shows in the low half: the ticket is
//    not clean. One that began or ended since changes the high half.
// The order between a word and what goes through sockets is kept by the system calls; the loads
// acquire so that nothing of the read is done before them. 2^32 changes of a word during one read
// would be needed to make a word seem unchanged.
class Versions {
 public:
  Versions() : words_(kWords) {}

  [[nodiscard]] std::uint64_t of(std::uint64_t hash) const { return load(word_of(hash)); }

  [[nodiscard]] std::uint64_t of_all() const { return load(all_); }

  [[nodiscard]] static bool idle(std::uint64_t word) { return (word & kWriting) == 0; }

  void change(std::uint64_t hash) { add(word_of(hash), kChange); }

  void begin_write(std::uint64_t hash) { add(word_of(hash), kChange + 1); }

  void end_write(std::uint64_t hash) { add(word_of(hash), kChange - 1); }

  void begin_write_all() { add(all_, kChange + 1); }

  void end_write_all() { add(all_, kChange - 1); }

 private:
  static constexpr std::size_t kWords = 64 * 1024;
  static constexpr std::uint64_t kChange = std::uint64_t{1} << 32U;
  static constexpr std::uint64_t kWriting = kChange - 1;

  // By other bits than stripe and bucket.
  [[nodiscard]] std::uint64_t& word_of(std::uint64_t hash) const {
    return words_[(hash >> 32U) % kWords];
  }

  [[nodiscard]] static std::uint64_t load(std::uint64_t& word) {
    return std::atomic_ref(word).load(std::memory_order_acquire);
  }

  static void add(std::uint64_t& word, std::uint64_t amount) {
    std::atomic_ref(word).fetch_add(amount, std::memory_order_acq_rel);
  }

  Pages<std::uint64_t> words_;
  alignas(64) mutable std::uint64_t all_ = 0;
};

}  // namespace pannier::cache
