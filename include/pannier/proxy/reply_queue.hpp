#pragma once

#include "pannier/base/byte_queue.hpp"
#include "pannier/base/shared_bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace pannier::proxy {

// Replies leave in request order: each request takes a place, and what is said to a place goes out
// when all places before it are complete. In the common case replies come in order and nothing is
// held here; then the object owns no memory. Pure; one per session.
class ReplyQueue {
 public:
  // Takes the next place.
  [[nodiscard]] std::uint32_t open() { return next_++; }

  // Adds bytes to a place; `last` completes it. What may leave is appended to `out`.
  // REQUIRES: the place is open.
  void add(std::uint32_t place, std::string_view bytes, bool last, base::ByteQueue& out) {
    if (place == head_ && !held_) {
      out.append(bytes);
      head_ += last ? 1 : 0;
      return;
    }
    add_held(place, bytes, last, out);
  }

  // A whole reply, or the rest of one, as a reference: it is not copied while it waits, nor in
  // `out` if it is long.
  void add(std::uint32_t place, const base::SharedBytes& bytes, base::ByteQueue& out) {
    if (place == head_ && !held_) {
      out.append(bytes);
      ++head_;
      return;
    }
    add_held(place, bytes, out);
  }

  // The place that `open` gives next.
  [[nodiscard]] std::uint32_t next_place() const { return next_; }

  [[nodiscard]] bool is_newest(std::uint32_t place) const { return place + 1 == next_; }

  // Places that are not complete or wait for earlier ones.
  [[nodiscard]] std::uint32_t pending() const { return next_ - head_; }

  [[nodiscard]] bool is_head(std::uint32_t place) const { return place == head_ && !held_; }

  [[nodiscard]] bool is_first(std::uint32_t place) const { return place == head_; }

  // Bytes that wait for their turn.
  [[nodiscard]] std::size_t held_bytes() const { return held_bytes_; }

 private:
  struct Held {
    std::string bytes;
    base::SharedBytes rest;  // behind `bytes`
    bool complete = false;
  };

  void add_held(std::uint32_t place, std::string_view bytes, bool last, base::ByteQueue& out);
  void add_held(std::uint32_t place, const base::SharedBytes& bytes, base::ByteQueue& out);
  [[nodiscard]] Held& held(std::uint32_t place);
  void release(base::ByteQueue& out);

  std::uint32_t next_ = 0;
  std::uint32_t head_ = 0;
  std::unique_ptr<std::deque<Held>> held_;  // held_[i] is of place head_ + i
  std::size_t held_bytes_ = 0;
};

}  // namespace pannier::proxy
