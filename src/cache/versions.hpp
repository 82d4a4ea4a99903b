#pragma once

#include "pages.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pannier::cache {

// What happened to a key while a read of it was on its way: per key the number of changes (high 32
// bits) and of writes in flight (low 32 bits), in one word; and per identity (NearCache::identity)
// how often a reply was shown. Keys share 64 Ki words by hash, identities as many, so that the
// tables never overflow; a collision only keeps a reply from being installed or joined. The tables
// are two, because a read whose key and identity shared a word would never be kept. Thread-safe,
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
//
// Replies are shown in the order of their coming, reads may have run in another one: of two that
// overlap, the older one's reply may come last, before any push tells of the change between them.
// Who shows a reply counts the identity's word up, then under the lock removes what is kept and
// differs, and only then lets anybody see it. For every other read of the identity:
// 4. It began before and installs: as in 1, its second look sees the count, or its locked part lies
//    before the shower's, which then removes it (or leaves it, when it says the same).
// 5. It began before, and somebody who has seen the shown reply asks: the count came before that
//    reply, so `may_join` sees it.
// 6. It began after the count: it was sent when the shown reply had already left the server, so it
//    is at least as new.
// The read that was shown counted itself; if it had seen all counts up to then, it goes on with the
// new one and may install. If it had not, another reply was shown while it was under way, and which
// of the two is newer is not known: neither is kept, unless they are the same.
class Versions {
 public:
  Versions() : words_(kWords), shown_(kWords) {}

  [[nodiscard]] std::uint64_t of(std::uint64_t hash) const { return load(word_of(hash)); }

  [[nodiscard]] std::uint64_t of_all() const { return load(all_); }

  [[nodiscard]] static bool idle(std::uint64_t word) { return (word & kWriting) == 0; }

  void change(std::uint64_t hash) { add(word_of(hash), kChange); }

  void begin_write(std::uint64_t hash) { add(word_of(hash), kChange + 1); }

  void end_write(std::uint64_t hash) { add(word_of(hash), kChange - 1); }

  [[nodiscard]] std::uint32_t shown(std::uint64_t identity) const {
    return std::atomic_ref(shown_word(identity)).load(std::memory_order_acquire);
  }

  // Returns how often it was before.
  std::uint32_t show(std::uint64_t identity) {
    return std::atomic_ref(shown_word(identity)).fetch_add(1, std::memory_order_acq_rel);
  }

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

  [[nodiscard]] std::uint32_t& shown_word(std::uint64_t identity) const {
    return shown_[(identity >> 32U) % kWords];
  }

  [[nodiscard]] static std::uint64_t load(std::uint64_t& word) {
    return std::atomic_ref(word).load(std::memory_order_acquire);
  }

  static void add(std::uint64_t& word, std::uint64_t amount) {
    std::atomic_ref(word).fetch_add(amount, std::memory_order_acq_rel);
  }

  Pages<std::uint64_t> words_;
  Pages<std::uint32_t> shown_;
  alignas(64) mutable std::uint64_t all_ = 0;
};

}  // namespace pannier::cache
