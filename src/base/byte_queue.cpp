#include "pannier/base/byte_queue.hpp"

#include <algorithm>
#include <new>

namespace pannier::base {

BlockPool::~BlockPool() {
  trim();
}

BlockPool::Block* BlockPool::take() {
  ++used_;
  if (idle_ == nullptr) {
    return new (::operator new(kBlockSize)) Block;
  }
  Block* block = idle_;
  idle_ = block->next;
  --idle_count_;
  *block = Block{};
  return block;
}

void BlockPool::give(Block* block) {
  --used_;
  if (idle_count_ == kMaxIdle) {
    ::operator delete(block);
    return;
  }
  block->next = idle_;
  idle_ = block;
  ++idle_count_;
}

void BlockPool::trim() {
  while (idle_ != nullptr) {
    Block* next = idle_->next;
    ::operator delete(idle_);
    idle_ = next;
  }
  idle_count_ = 0;
}

void ByteQueue::append_slow(std::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->end == BlockPool::Block::capacity()) {
      BlockPool::Block* block = pool_->take();
      (last_ == nullptr ? first_ : last_->next) = block;
      last_ = block;
    }
    const std::size_t n = std::min(bytes.size(), BlockPool::Block::capacity() - last_->end);
    bytes.copy(last_->data() + last_->end, n);
    last_->end += static_cast<std::uint32_t>(n);
    bytes.remove_prefix(n);
  }
}

std::size_t ByteQueue::gather(std::span<iovec> out, std::size_t offset) const {
  std::size_t used = 0;
  for (BlockPool::Block* block = first_; block != nullptr && used < out.size();
       block = block->next) {
    const std::size_t length = block->end - block->begin;
    if (offset >= length) {
      offset -= length;
      continue;
    }
    out[used++] = iovec{block->data() + block->begin + offset, length - offset};
    offset = 0;
  }
  return used;
}

void ByteQueue::discard(std::size_t n) {
  size_ -= n;
  while (first_ != nullptr) {
    const std::size_t length = first_->end - first_->begin;
    if (n < length) {
      first_->begin += static_cast<std::uint32_t>(n);
      return;
    }
    n -= length;
    BlockPool::Block* next = first_->next;
    pool_->give(first_);
    first_ = next;
    if (first_ == nullptr) {
      last_ = nullptr;
    }
    if (n == 0 && (first_ == nullptr || first_->end != first_->begin)) {
      return;
    }
  }
}

void ByteQueue::copy_to(std::string& out, std::size_t offset, std::size_t length) const {
  for (BlockPool::Block* block = first_; block != nullptr && length > 0; block = block->next) {
    const std::size_t available = block->end - block->begin;
    if (offset >= available) {
      offset -= available;
      continue;
    }
    const std::size_t n = std::min(length, available - offset);
    out.append(block->data() + block->begin + offset, n);
    length -= n;
    offset = 0;
  }
}

}  // namespace pannier::base
