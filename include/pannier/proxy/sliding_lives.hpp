#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace pannier::proxy {

// When which key of a sliding class is to be renewed (behaviour 4.5). By the hash of key and
// database, in a table of bounded size (1.5 MiB, taken at the first use); shared by the workers,
// without locks. A key that is not in it is looked at upstream, so a lost entry costs a command;
// entries that end sliding go last. Times are milliseconds of the steady clock.
class SlidingLives {
 public:
  // What is known of a key whose time to be looked at has come.
  struct Due {
    std::int64_t seen = 0;  // passes to `claim`
    // How long it should still live, as last known; 0: not known.
    std::int64_t expected = 0;
  };

  // False: not yet. Reads only.
  [[nodiscard]] bool is_due(std::uint64_t hash, std::int64_t now, Due& due) const;
  // One of those who saw it due may look; nobody else before `next`.
  [[nodiscard]] bool claim(std::uint64_t hash, std::int64_t now, const Due& due, std::int64_t next);
  // It lives until `expires` (0: not known) and is looked at again at `next`.
  void set(std::uint64_t hash, std::int64_t now, std::int64_t next, std::int64_t expires);
  // A client said how long it lives: nothing renews it until then.
  void end(std::uint64_t hash, std::int64_t now, std::int64_t expires);

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kSets = 16384;
  static constexpr std::int64_t kEnded = -1;

  struct Entry {
    std::atomic<std::uint64_t> hash{0};
    std::atomic<std::int64_t> next{0};
    std::atomic<std::int64_t> expires{0};  // 0: not known; kEnded: at `next`, and nothing renews it
  };

  using Set = std::array<Entry, kWays>;

  [[nodiscard]] Set& set_of(std::uint64_t hash);
  [[nodiscard]] static Entry* find(Set& set, std::uint64_t hash);
  [[nodiscard]] static Entry& victim(Set& set, std::int64_t now);

  std::once_flag once_;
  std::unique_ptr<std::array<Set, kSets>> owned_;
  std::atomic<std::array<Set, kSets>*> sets_{nullptr};
};

}  // namespace pannier::proxy
