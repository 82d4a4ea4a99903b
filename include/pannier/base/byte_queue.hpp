#pragma once

#include "pannier/base/shared_bytes.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pannier::base {

// Recycles the blocks of byte queues, so that steady traffic allocates nothing and an idle queue
// owns nothing. One per worker, used on its thread only; outlives its queues.
class BlockPool {
 public:
  static constexpr std::size_t kBlockSize = 16 * 1024;  // bytes, header included

  struct Block {
    Block* next = nullptr;
    std::uint32_t begin = 0;  // of the bytes in use
    std::uint32_t end = 0;
    bool is_reference = false;

    static constexpr std::size_t capacity() { return kBlockSize - sizeof(Block); }

    [[nodiscard]] char* data();
    // What is in use. Never empty in a queue.
    [[nodiscard]] std::string_view bytes();
    // REQUIRES: n <= bytes().size()
    void skip(std::size_t n);
  };

  // A block without room of its own: its `end` is at the capacity, so nothing is appended to it.
  struct Reference : Block {
    SharedBytes owner;
    std::string_view left;    // of the owner's bytes
    std::size_t charged = 0;  // of them; see used_bytes
  };

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  [[nodiscard]] Block* take();
  [[nodiscard]] Block* take(SharedBytes bytes);
  // Lets go of the shared bytes if it is a reference.
  void give(Block* block);
  // Gives idle blocks back to the allocator.
  void trim();

  // Bytes of blocks that queues hold now. Of shared bytes each reference counts its share at the
  // time when it was made.
  [[nodiscard]] std::size_t used_bytes() const {
    return used_ * kBlockSize + used_references_ * sizeof(Reference) + charged_;
  }

 private:
  static constexpr std::size_t kMaxIdle = 128;  // of either kind

  void give_reference(Reference* reference);

  Block* idle_ = nullptr;
  std::size_t idle_count_ = 0;
  std::size_t used_ = 0;
  Block* idle_references_ = nullptr;
  std::size_t idle_reference_count_ = 0;
  std::size_t used_references_ = 0;
  std::size_t charged_ = 0;  // of references
};

// A FIFO of bytes in pooled blocks: appended at the end, gathered for writev, discarded at the
// front. Bytes that are shared already take their place without a copy. Not thread-safe.
class ByteQueue {
 public:
  explicit ByteQueue(BlockPool& pool) : pool_(&pool) {}

  ~ByteQueue() { clear(); }

  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }

  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Of the blocks; without what references refer to.
  [[nodiscard]] std::size_t block_bytes() const;

  void append(std::string_view bytes) {
    if (last_ != nullptr && BlockPool::Block::capacity() - last_->end >= bytes.size()) {
      bytes.copy(last_->data() + last_->end, bytes.size());
      last_->end += static_cast<std::uint32_t>(bytes.size());
      size_ += bytes.size();
      return;
    }
    append_slow(bytes);
  }

  // Keeps a reference until the last byte is discarded; few bytes are copied instead.
  void append(SharedBytes bytes);

  // Fills `out` with the bytes from `offset` on; returns how many entries were used.
  [[nodiscard]] std::size_t gather(std::span<iovec> out, std::size_t offset = 0) const;
  // REQUIRES: n <= size()
  void discard(std::size_t n);
  // Appends `length` bytes from `offset` to `out`. REQUIRES: offset + length <= size()
  void copy_to(std::string& out, std::size_t offset, std::size_t length) const;

  void clear() { discard(size_); }

 private:
  // A reference costs an iovec and leaves the block before it unfilled: up to here a copy is
  // cheaper.
  static constexpr std::size_t kMaxCopied = 4096;

  void append_slow(std::string_view bytes);
  void append_block(BlockPool::Block* block);

  BlockPool* pool_;
  BlockPool::Block* first_ = nullptr;
  BlockPool::Block* last_ = nullptr;
  std::size_t size_ = 0;
};

inline char* BlockPool::Block::data() {
  return reinterpret_cast<char*>(this + 1);
}

inline std::string_view BlockPool::Block::bytes() {
  return is_reference ? static_cast<Reference*>(this)->left
                      : std::string_view(data() + begin, end - begin);
}

inline void BlockPool::Block::skip(std::size_t n) {
  if (is_reference) {
    static_cast<Reference*>(this)->left.remove_prefix(n);
  } else {
    begin += static_cast<std::uint32_t>(n);
  }
}

}  // namespace pannier::base
