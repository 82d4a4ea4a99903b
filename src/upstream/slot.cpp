#include "pannier/upstream/slot.hpp"

namespace pannier::upstream {

SlotIndex SlotSlab::take() {
  if (free_ == kNoSlot) {
    const auto base = static_cast<SlotIndex>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<std::array<Slot, kChunk>>());
    for (std::size_t i = kChunk; i-- > 0;) {
      chunks_.back()->at(i).next_in_line = free_;
      free_ = base + static_cast<SlotIndex>(i);
    }
  }
  const SlotIndex index = free_;
  Slot& slot = (*this)[index];
  free_ = slot.next_in_line;
  slot = Slot{};
  ++in_use_;
  return index;
}

void SlotSlab::give(SlotIndex index) {
  Slot& slot = (*this)[index];
  slot.session = {};
  slot.next_in_line = free_;
  free_ = index;
  --in_use_;
}

}  // namespace pannier::upstream
