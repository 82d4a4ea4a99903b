#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>

namespace pannier::cache {

// An array of zeroes in an anonymous mapping of its own: a page of it costs memory only once
// something in it is written. Not for concurrent use but through atomic_ref.
template <typename T>
class Pages {
  static_assert(std::is_trivially_copyable_v<T>, "elements are zero pages, not constructed");

 public:
  // Throws std::bad_alloc.
  explicit Pages(std::size_t count) : bytes_(std::max<std::size_t>(count, 1) * sizeof(T)) {
    void* memory =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    // A huge page would make the first write cost 2 MiB.
    madvise(memory, bytes_, MADV_NOHUGEPAGE);
    elements_ = static_cast<T*>(memory);
  }

  ~Pages() { munmap(elements_, bytes_); }

  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  [[nodiscard]] T& operator[](std::size_t index) const { return elements_[index]; }

  // Gives the memory back to the system: all elements are zero again.
  void give_back() { madvise(elements_, bytes_, MADV_DONTNEED); }

 private:
  std::size_t bytes_;
  T* elements_;
};

}  // namespace pannier::cache
