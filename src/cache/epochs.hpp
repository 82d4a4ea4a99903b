#pragma once

#include "pannier/cache/near_cache.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace pannier::cache {

// Which epochs still count. There is one counter; a flush counts it up and raises a floor to it: of
// a node, of a node's tracked replies, of a class, or of everything. A reply carries the epoch in
// which its ticket was taken and counts while no floor of its lies above. Thread-safe, lock-free.
//
// Memory order: whoever reads the new epoch took its ticket after the flush began, so its read was
// sent after what the flush stands for. A ticket of the old epoch may still be kept by a thread
// that has not seen the floor; but whoever knows that the flush is over sees the floor (it was
// raised before, with release) and finds the reply invalid.
class Epochs {
 public:
  // Of which a reply is judged.
  struct Stamp {
    std::uint32_t epoch;
    NodeIndex node;
    ClassIndex key_class;
    bool tracked;
  };

  // `first`: where counting begins.
  explicit Epochs(std::uint32_t first = 0);

  [[nodiscard]] std::uint32_t current() const { return epoch_.load(std::memory_order_acquire); }

  void flush_all();
  void flush_node(NodeIndex node);
  void flush_class(ClassIndex key_class);
  void doubt_class(ClassIndex key_class);
  void close_class(ClassIndex key_class);
  void open_class(ClassIndex key_class);
  void lose(NodeIndex node);
  void regain(NodeIndex node);
  void prove(NodeIndex node, base::TimePoint at);
  [[nodiscard]] base::TimePoint proven_at(NodeIndex node) const;

  [[nodiscard]] bool coherent(NodeIndex node) const {
    return nodes_[node].coherent.load(std::memory_order_acquire);
  }

  enum class Standing : std::uint8_t {
    Flushed,
    Unproven,
    Good
  };
  [[nodiscard]] Standing standing(const Stamp& stamp) const;

 private:
  using Floor = std::atomic<std::uint32_t>;

  struct Node {
    Floor all;
    Floor tracked;
    std::atomic<bool> coherent{false};
    std::atomic<base::TimePoint::rep> proven_at{0};
  };

  [[nodiscard]] std::uint32_t next();
  template <typename Change>
  void for_every_floor(Change change);

  std::array<Node, kMaxNodes> nodes_;
  std::array<Floor, kMaxClasses> classes_;
  std::array<Floor, kMaxClasses> doubts_;  // tracked replies below are unproven
  Floor all_;
  std::atomic<std::uint32_t> epoch_;
};

}  // namespace pannier::cache
