#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// What was written to each key, by its one writer, and what may therefore be seen of it. A written
// value names its key and its number: "KEY#7#...". A counter begins at a number of its own, so that
// a reply to another's INCR is seen. An acknowledged write is expected in every read that was sent
// later, until the test says with `rebase` that a failover may have lost some. Complaints are told
// as text; none: empty. Not thread-safe.
class WriteLedger {
 public:
  using KeyId = std::size_t;

  enum class Outcome : std::uint8_t {
    Done,
    NotRun,      // refused before it ran: nobody may ever see it
    MayHaveRun,  // it may even run later than the writes behind it
  };

  // One request under way.
  struct Ticket {
    KeyId key = 0;
    std::uint64_t sequence = 0;
    std::uint64_t floor = 0;  // what a read must show at least
    unsigned epoch = 0;
  };

  KeyId add_text(std::string name);
  KeyId add_counter(std::string name);

  [[nodiscard]] std::size_t size() const { return keys_.size(); }

  [[nodiscard]] const std::string& name(KeyId key) const { return keys_[key].name; }

  [[nodiscard]] bool is_counter(KeyId key) const { return keys_[key].counter; }

  // How the key is before anything is written.
  [[nodiscard]] std::string first_value(KeyId key) const;

  [[nodiscard]] Ticket begin_write(KeyId key);
  [[nodiscard]] std::string value(const Ticket& ticket) const;
  // `reply`: the number that an INCR was answered with.
  [[nodiscard]] std::string end_write(const Ticket& ticket,
                                      Outcome outcome,
                                      std::uint64_t reply = 0);

  // `shown`: the most that the asking session has seen of the key.
  [[nodiscard]] Ticket begin_read(KeyId key, std::uint64_t shown = 0) const;
  // `seen` becomes the number of the value.
  [[nodiscard]] std::string end_read(const Ticket& ticket,
                                     std::string_view text,
                                     std::uint64_t& seen) const;

  // From now on no more is expected than these values, by key; keys that are not named are gone.
  void rebase(const std::map<std::string, std::string>& values);

  [[nodiscard]] unsigned epoch() const { return epoch_; }

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Key {
    std::string name;
    bool counter = false;
    std::uint64_t origin = 0;  // of a counter
    bool restarted = false;    // it was gone once, and may have begun again at 0
    std::uint64_t sent = 0;   // the last write's number; a counter's: how many may have run at most
    std::uint64_t floor = 0;  // the last acknowledged one
    std::uint64_t open = 0;   // under way
    std::set<std::uint64_t> never;
    std::set<std::uint64_t> doubtful;
  };

  // False when the text is no value of this key.
  [[nodiscard]] static bool number_in(const Key& key, std::string_view text, std::uint64_t& number);

  std::vector<Key> keys_;
  unsigned epoch_ = 0;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace pannier::test
