#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace pannier::base {

// The head of a block from malloc that several owners share. Whatever follows it in the block must
// be trivially destructible: the last owner frees the block, on whatever thread that is.
struct SharedBlock {
  std::atomic<std::uint32_t> references{1};
};

// Immutable bytes inside a shared block: a counted reference that survives whoever made it. Copies
// are cheap and may live on other threads. Empty when default-constructed.
class SharedBytes {
 public:
  SharedBytes() = default;

  // Adds a reference to `block`, which holds `bytes`.
  SharedBytes(SharedBlock& block, std::string_view bytes) : block_(&block), bytes_(bytes) {
    block.references.fetch_add(1, std::memory_order_relaxed);
  }

  // A block of its own with a copy of `bytes`. Throws std::bad_alloc.
  [[nodiscard]] static SharedBytes copy_of(std::string_view bytes);

  SharedBytes(const SharedBytes& other) : block_(other.block_), bytes_(other.bytes_) {
    if (block_ != nullptr) {
      block_->references.fetch_add(1, std::memory_order_relaxed);
    }
  }

  SharedBytes(SharedBytes&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        bytes_(std::exchange(other.bytes_, {})) {}

  SharedBytes& operator=(const SharedBytes& other) {
    SharedBytes copy(other);
    swap(copy);
    return *this;
  }

  SharedBytes& operator=(SharedBytes&& other) noexcept {
    SharedBytes moved(std::move(other));
    swap(moved);
    return *this;
  }

  ~SharedBytes() {
    if (block_ != nullptr) {
      release(*block_);
    }
  }

  [[nodiscard]] std::string_view view() const { return bytes_; }

  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  // How many share the bytes just now, roughly; 0: they are of nobody.
  [[nodiscard]] std::uint32_t references() const {
    return block_ == nullptr ? 0 : block_->references.load(std::memory_order_relaxed);
  }

  // Takes one reference away; frees the block when it was the last.
  static void release(SharedBlock& block) {
    if (block.references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      std::free(&block);  // NOLINT(cppcoreguidelines-no-malloc)
    }
  }

 private:
  void swap(SharedBytes& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(bytes_, other.bytes_);
  }

  SharedBlock* block_ = nullptr;
  std::string_view bytes_;
};

}  // namespace pannier::base
