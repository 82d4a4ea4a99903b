#pragma once

#include "pannier/proxy/session.hpp"
#include "pannier/upstream/slot.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pannier::proxy {

// The sessions of one worker, by index and generation. A reference from before a session ended
// finds nothing.
class SessionTable {
 public:
  // Reserves a place; the session is made by the caller and given to `put`.
  [[nodiscard]] upstream::SessionRef reserve();
  void put(upstream::SessionRef ref, std::unique_ptr<Session> session);
  // The session leaves the table at once; the object lives until `sweep`.
  void remove(upstream::SessionRef ref);

  void sweep() { dead_.clear(); }

  [[nodiscard]] Session* find(upstream::SessionRef ref) {
    if (ref.index >= entries_.size() || entries_[ref.index].generation != ref.generation) {
      return nullptr;
    }
    return entries_[ref.index].session.get();
  }

  [[nodiscard]] std::size_t size() const { return size_; }

  template <typename Visit>
  void for_each(Visit&& visit) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].session) {
        visit(*entries_[i].session);
      }
    }
  }

 private:
  struct Entry {
    std::unique_ptr<Session> session;
    std::uint32_t generation = 1;
  };

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::vector<std::unique_ptr<Session>> dead_;
  std::size_t size_ = 0;
};

}  // namespace pannier::proxy
