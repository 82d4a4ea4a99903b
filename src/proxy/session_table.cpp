#include "pannier/proxy/session_table.hpp"

namespace pannier::proxy {

upstream::SessionRef SessionTable::reserve() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return {index, entries_[index].generation};
}

void SessionTable::put(upstream::SessionRef ref, std::unique_ptr<Session> session) {
  entries_[ref.index].session = std::move(session);
  ++size_;
}

void SessionTable::remove(upstream::SessionRef ref) {
  Entry& entry = entries_[ref.index];
  dead_.push_back(std::move(entry.session));
  ++entry.generation;
  if (entry.generation == 0) {
    entry.generation = 1;  // 0 means nobody
  }
  free_.push_back(ref.index);
  --size_;
}

}  // namespace pannier::proxy
