#include "pannier/proxy/reply_queue.hpp"

#include <utility>

namespace pannier::proxy {

void ReplyQueue::add_held(std::uint32_t place,
                          std::string_view bytes,
                          bool last,
                          base::ByteQueue& out) {
  Held& mine = held(place);
  mine.bytes.append(bytes);
  mine.complete = last;
  held_bytes_ += bytes.size();
  release(out);
}

void ReplyQueue::add_held(std::uint32_t place,
                          const base::SharedBytes& bytes,
                          base::ByteQueue& out) {
  Held& mine = held(place);
  mine.rest = bytes;
  mine.complete = true;
  held_bytes_ += bytes.view().size();
  release(out);
}

ReplyQueue::Held& ReplyQueue::held(std::uint32_t place) {
  if (!held_) {
    held_ = std::make_unique<std::deque<Held>>();
  }
  const std::uint32_t index = place - head_;
  if (held_->size() <= index) {
    held_->resize(index + 1);
  }
  return (*held_)[index];
}

void ReplyQueue::release(base::ByteQueue& out) {
  while (!held_->empty()) {
    Held& first = held_->front();
    out.append(first.bytes);
    held_bytes_ -= first.bytes.size() + first.rest.view().size();
    if (!first.complete) {
      std::string().swap(first.bytes);
      return;
    }
    out.append(std::move(first.rest));
    held_->pop_front();
    ++head_;
  }
  held_.reset();
}

}  // namespace pannier::proxy
