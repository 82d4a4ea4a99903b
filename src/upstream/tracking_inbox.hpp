#pragma once

#include "pannier/base/clock.hpp"

#include "tracking_push.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::upstream {

// The pushes of one node in the order in which they came, a limited number of keys in each turn:
// what is over that is kept for later turns. Pure; owned by one TrackingLink.
class TrackingInbox {
 public:
  enum class Outcome : std::uint8_t {
    Read,  // `batch` has what was read
    Kept,  // nothing more in this turn, or nothing at all
    RedirectBroken,
    Malformed
  };

  // What a push told, or a part of it. Views into the push.
  struct Batch {
    std::vector<std::string_view> keys;
    bool flush = false;
    bool canary = false;
    std::string_view canary_value;  // empty where a push tells its key only
  };

  // From here on `limit` more keys may be read; a push without any counts as one.
  void begin_turn(std::size_t limit) { budget_ = limit; }

  // A push that came at `now`. The batch's views live as long as `frame`.
  [[nodiscard]] Outcome receive(std::string_view frame, base::TimePoint now);
  // More of what was kept. The batch's views live until the next call.
  [[nodiscard]] Outcome read_kept();

  [[nodiscard]] const Batch& batch() const { return batch_; }

  [[nodiscard]] bool has_kept() const { return !kept_.empty(); }

  // When the oldest push that was kept came. REQUIRES: has_kept.
  [[nodiscard]] base::TimePoint oldest() const { return kept_.front().came_at; }

 private:
  struct Kept {
    std::string frame;
    PushReader reader;
    base::TimePoint came_at;
  };

  [[nodiscard]] Outcome read(std::string_view frame, PushReader& reader);

  std::deque<Kept> kept_;
  std::size_t budget_ = 0;
  bool front_done_ = false;  // the first of `kept_` was read, but the batch still looks at it
  Batch batch_;
};

}  // namespace pannier::upstream
