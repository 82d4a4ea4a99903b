#include "memory_watch.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::test {

using namespace std::chrono_literals;

MemoryWatch::MemoryWatch(const PannierProcess& pannier) : start_(pannier.resident_bytes()) {
  thread_ = std::thread([this, &pannier] {
    while (!done_) {
      peak_ = std::max(peak_.load(), pannier.resident_bytes());
      std::this_thread::sleep_for(2ms);
    }
  });
}

MemoryWatch::~MemoryWatch() {
  finish();
}

std::size_t MemoryWatch::growth() {
  finish();
  return peak_ > start_ ? peak_ - start_ : 0;
}

void MemoryWatch::finish() {
  done_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::string large_value(std::size_t size) {
  std::string value;
  value.reserve(size + 32);
  for (std::size_t i = 0; value.size() < size; ++i) {
    value += std::to_string(i * 2'654'435'761UL);
    value += ' ';
  }
  value.resize(size);
  return value;
}

}  // namespace pannier::test
