#pragma once

#include "pannier_process.hpp"

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

namespace pannier::test {

// Watches the memory of a process until its end, on a thread of its own.
class MemoryWatch {
 public:
  explicit MemoryWatch(const PannierProcess& pannier);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  // How many bytes more it was at most than at the start; ends the watch.
  [[nodiscard]] std::size_t growth();

 private:
  void finish();

  std::size_t start_;
  std::atomic<std::size_t> peak_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// No two megabytes of it are alike, so that nothing can be lost, doubled or swapped unseen.
[[nodiscard]] std::string large_value(std::size_t size);

}  // namespace pannier::test
