#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// How clients reach the server: through one Pannier, through another one, or directly.
enum Place : std::size_t {
  kFirst,
  kSecond,
  kDirect,
  kPlaces
};

// The place of a state in its key's history: era, number of the write, and in the lowest bit
// whether the key is missing behind that write (deleted, or its time was over). 0: never written.
using Order = std::uint64_t;

// What reads must not fall behind. Replies of GET (and MGET) are kept apart from those of GETRANGE:
// see HistoryChecker.
struct Floors {
  Order acknowledged = 0;
  std::array<Order, 2> shown{};  // by GET, by GETRANGE

  [[nodiscard]] Order of(bool range) const {
    return std::max(acknowledged, shown.at(range ? 1 : 0));
  }

  [[nodiscard]] Order most() const { return std::max(of(false), of(true)); }

  void raise(bool range, Order order) {
    shown.at(range ? 1 : 0) = std::max(shown.at(range ? 1 : 0), order);
  }
};

enum class WriteKind : std::uint8_t {
  Store,
  Expiring,  // the key may be missing from `kLife` after the write on
  Delete
};

class HistoryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What was done with one key and seen of it. Keys are made by the checker; clients only hold them.
struct HistoryKey {
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Gone {
    Order order = 0;
    TimePoint from;  // not missing by this write before
  };

  struct Acknowledged {
    Order order = 0;
    TimePoint at;
  };

  // An acknowledged write that a Pannier, not the one it went through, has not shown yet.
  struct Unseen {
    Order order = 0;
    TimePoint acknowledged;
    std::optional<TimePoint> last_stale;  // when the last read that did not show it was sent
    bool calm = true;
  };

  struct Event {
    TimePoint at;
    char what = ' ';  // w: write sent, a: acknowledged, r: read sent, s: its reply, x: an error;
                      // G and M: reply of GETRANGE and MGET
    Place place = kDirect;
    Order order = 0;
  };

  std::string name;
  char filling = 'x';    // of its values
  bool counted = false;  // the server gives the numbers; several writes at once are in order
  bool busy = false;     // a write is on its way; where the client gives the numbers, the only one
  bool retired = false;  // the outcome of a write is not known: never asked for again
  std::uint64_t number = 0;
  Order newest = 0;  // sent, or seen
  std::vector<Gone> gone;
  std::array<Floors, kPlaces> floors{};
  std::deque<Acknowledged> acknowledged;
  std::array<std::deque<Unseen>, kPlaces> unseen;
  std::deque<Event> events;  // the last ones
};

using HistoryKeyPtr = std::shared_ptr<HistoryKey>;

// Judges what clients read while they write, from the outside only. Every value names its key and
// the number of its write, and the server takes the writes of one key in the order of their
// numbers: either only one is on its way, or a script counts. Therefore:
// 1. a value is one of its own key, whole;
// 2. through one Pannier, a read is not older than what this Pannier had shown or acknowledged, on
//    any connection, before the read was sent;
// 3. on one connection, it is not older than what an earlier reply there told;
// 4. it is not older than what was acknowledged anywhere kVisibleWithin before it was sent;
// 5. directly at the primary it is not older than anything acknowledged before.
// Two commands that read one key are kept as two replies. Until the news of a write of somebody
// else is processed, one may be old though the other was just read anew: 2 and 3 bind what was
// shown by the same command only, and falling behind the other one is counted. While a restarted
// server has lost writes, 2 to 5 rest; after it, no value from before may be seen. All calls from
// one thread. Throws HistoryError, with the key's last events.
class HistoryChecker {
 public:
  using TimePoint = HistoryKey::TimePoint;

  // Without news of a node, its kept replies are served for up to 3 s (behaviour 5.3).
  static constexpr auto kVisibleWithin = std::chrono::milliseconds(4500);
  static constexpr auto kLife = std::chrono::milliseconds(120);

  struct Read {
    HistoryKeyPtr key;
    Place place = kDirect;
    TimePoint sent;
    Floors floors;
    unsigned losses = 0;
    char how = 's';  // see Event::what

    [[nodiscard]] bool is_range() const { return how == 'G'; }
  };

  struct Write {
    HistoryKeyPtr key;
    Place place = kDirect;
    Order order = 0;  // 0: the server counts
    TimePoint sent;
    unsigned losses = 0;
  };

  [[nodiscard]] HistoryKeyPtr make_key(std::string name, char filling, bool counted) const;

  [[nodiscard]] Read begin_read(const HistoryKeyPtr& key, Place place, char how = 's') const;
  // `text`: the value, the beginning of it when it is not `whole`; empty: there is no such key.
  // `known`: what the connection was told of the key before; raised.
  void end_read(const Read& read, std::string_view text, bool whole, Floors& known);

  [[nodiscard]] Write begin_write(const HistoryKeyPtr& key, Place place, WriteKind kind) const;
  [[nodiscard]] std::string value(const Write& write, std::size_t padding) const;
  // `number`: as the server counted.
  void end_write(const Write& write, Floors& known, std::uint64_t number = 0);
  // It may have run, or may run yet.
  void lose_write(const Write& write) const;

  // Errors are no fault until then.
  void disturb_until(TimePoint until);
  [[nodiscard]] bool is_disturbed() const;
  void begin_loss();
  void end_loss();

  [[nodiscard]] unsigned era() const { return era_; }

  [[nodiscard]] std::uint64_t reads(Place place) const { return reads_.at(place); }

  [[nodiscard]] std::uint64_t stale_reads() const { return stale_reads_; }

  // Reads that fell behind what another command had shown.
  [[nodiscard]] std::uint64_t overtaken_reads() const { return overtaken_reads_; }

  // How long, in milliseconds and sorted, acknowledged writes of others were not seen: 0 where no
  // read missed them.
  [[nodiscard]] std::vector<double> calm_lags() const;
  [[nodiscard]] std::vector<double> all_lags() const;

 private:
  struct Seen {
    bool missing = false;
    Order order = 0;
  };

  [[nodiscard]] Seen parse(const HistoryKey& key, std::string_view text, bool whole) const;
  [[nodiscard]] Order order_of(unsigned era, std::uint64_t number) const;

  [[nodiscard]] bool rests(unsigned losses) const { return in_loss_ || losses != losses_; }

  void measure(const Read& read, Order seen);
  [[noreturn]] void fail(const HistoryKey& key, const std::string& what) const;

  unsigned era_ = 1;
  unsigned losses_ = 0;
  bool in_loss_ = false;
  TimePoint disturbed_until_{};
  std::array<std::uint64_t, kPlaces> reads_{};
  std::uint64_t stale_reads_ = 0;
  std::uint64_t overtaken_reads_ = 0;
  std::vector<double> calm_lags_;
  std::vector<double> all_lags_;
};

}  // namespace pannier::test
