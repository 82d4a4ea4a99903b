#include "pannier/base/byte_queue.hpp"

#include <algorithm>
#include <new>
#include <utility>

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

BlockPool::Block* BlockPool::take(SharedBytes bytes) {
  Reference* reference = nullptr;
  if (idle_references_ == nullptr) {
    reference = new Reference;
  } else {
    reference = static_cast<Reference*>(idle_references_);
    idle_references_ = reference->next;
    --idle_reference_count_;
  }
  ++used_references_;
  reference->next = nullptr;
  reference->end = Block::capacity();
  reference->is_reference = true;
  reference->left = bytes.view();
  reference->charged = bytes.view().size() / std::max<std::size_t>(bytes.references(), 1);
  charged_ += reference->charged;
  reference->owner = std::move(bytes);
  return reference;
}

void BlockPool::give(Block* block) {
  if (block->is_reference) {
    give_reference(static_cast<Reference*>(block));
    return;
  }
  --used_;
  if (idle_count_ == kMaxIdle) {
    ::operator delete(block);
    return;
  }
  block->next = idle_;
  idle_ = block;
  ++idle_count_;
}

void BlockPool::give_reference(Reference* reference) {
  --used_references_;
  charged_ -= reference->charged;
  if (idle_reference_count_ == kMaxIdle) {
    delete reference;
    return;
  }
  reference->owner = {};
  reference->next = idle_references_;
  idle_references_ = reference;
  ++idle_reference_count_;
}

void BlockPool::trim() {
  while (idle_ != nullptr) {
    Block* next = idle_->next;
    ::operator delete(idle_);
    idle_ = next;
  }
  idle_count_ = 0;
  while (idle_references_ != nullptr) {
    Block* next = idle_references_->next;
    delete static_cast<Reference*>(idle_references_);
    idle_references_ = next;
  }
  idle_reference_count_ = 0;
}

void ByteQueue::append(SharedBytes bytes) {
  if (bytes.view().size() <= kMaxCopied) {
    append(bytes.view());
    return;
  }
  const std::size_t length = bytes.view().size();
  append_block(pool_->take(std::move(bytes)));
  size_ += length;
}

void ByteQueue::append_slow(std::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->end == BlockPool::Block::capacity()) {
      append_block(pool_->take());
    }
    const std::size_t n = std::min(bytes.size(), BlockPool::Block::capacity() - last_->end);
    bytes.copy(last_->data() + last_->end, n);
    last_->end += static_cast<std::uint32_t>(n);
    bytes.remove_prefix(n);
  }
}

void ByteQueue::append_block(BlockPool::Block* block) {
  (last_ == nullptr ? first_ : last_->next) = block;
  last_ = block;
}

std::size_t ByteQueue::block_bytes() const {
  std::size_t sum = 0;
  for (const BlockPool::Block* block = first_; block != nullptr; block = block->next) {
    sum += block->is_reference ? sizeof(BlockPool::Reference) : BlockPool::kBlockSize;
  }
  return sum;
}

std::size_t ByteQueue::gather(std::span<iovec> out, std::size_t offset) const {
  std::size_t used = 0;
  for (BlockPool::Block* block = first_; block != nullptr && used < out.size();
       block = block->next) {
    std::string_view bytes = block->bytes();
    if (offset >= bytes.size()) {
      offset -= bytes.size();
      continue;
    }
    bytes.remove_prefix(offset);
    // An iovec is for reading too, hence the cast; nobody writes through it.
    out[used++] = iovec{const_cast<char*>(bytes.data()), bytes.size()};
    offset = 0;
  }
  return used;
}

void ByteQueue::discard(std::size_t n) {
  size_ -= n;
  while (n > 0 && first_ != nullptr) {
    const std::size_t length = first_->bytes().size();
    if (n < length) {
      first_->skip(n);
      return;
    }
    n -= length;
    BlockPool::Block* block = first_;
    first_ = block->next;
    if (first_ == nullptr) {
      last_ = nullptr;
    }
    pool_->give(block);
  }
}

void ByteQueue::copy_to(std::string& out, std::size_t offset, std::size_t length) const {
  for (BlockPool::Block* block = first_; block != nullptr && length > 0; block = block->next) {
    const std::string_view bytes = block->bytes();
    if (offset >= bytes.size()) {
      offset -= bytes.size();
      continue;
    }
    const std::string_view piece = bytes.substr(offset, length);
    out.append(piece);
    length -= piece.size();
    offset = 0;
  }
}

}  // namespace pannier::base
