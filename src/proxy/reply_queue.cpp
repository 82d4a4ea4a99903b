#include "pannier/proxy/reply_queue.hpp"

namespace pannier::proxy {

void ReplyQueue::add_held(std::uint32_t place,
                          std::string_view bytes,
                          bool last,
                          base::ByteQueue& out) {
  if (!held_) {
    held_ = std::make_unique<std::deque<Held>>();
  }
  const std::uint32_t index = place - head_;
  if (held_->size() <= index) {
    held_->resize(index + 1);
  }
  Held& mine = (*held_)[index];
  mine.bytes.append(bytes);
  mine.complete = last;
  held_bytes_ += bytes.size();
  while (!held_->empty()) {
    Held& first = held_->front();
    out.append(first.bytes);
    held_bytes_ -= first.bytes.size();
    if (!first.complete) {
      first.bytes = {};
      return;
    }
    held_->pop_front();
    ++head_;
  }
  held_.reset();
}

}  // namespace pannier::proxy
