#include "pannier/upstream/slot.hpp"

#include <algorithm>

namespace pannier::upstream {

void SlotSlab::add_chunk() {
  auto place = std::find(chunks_.begin(), chunks_.end(), nullptr);
  if (place == chunks_.end()) {
    place = chunks_.insert(place, nullptr);
  }
  *place = std::make_unique<Chunk>();
  const auto base = static_cast<SlotIndex>((place - chunks_.begin()) * kChunk);
  for (std::size_t i = kChunk; i-- > 0;) {
    (*place)->slots.at(i).next_in_line = free_;
    free_ = base + static_cast<SlotIndex>(i);
  }
}

void SlotSlab::trim() {
  // The free list runs through all chunks: those that stay are strung together anew.
  std::vector<SlotIndex> kept;
  for (SlotIndex index = free_; index != kNoSlot; index = (*this)[index].next_in_line) {
    if (chunks_[index / kChunk]->used > 0) {
      kept.push_back(index);
    }
  }
  for (auto& chunk : chunks_) {
    if (chunk && chunk->used == 0) {
      chunk = nullptr;
    }
  }
  while (!chunks_.empty() && !chunks_.back()) {
    chunks_.pop_back();
  }
  free_ = kNoSlot;
  for (auto index = kept.rbegin(); index != kept.rend(); ++index) {
    (*this)[*index].next_in_line = free_;
    free_ = *index;
  }
}

}  // namespace pannier::upstream
