#include "pannier/base/shared_bytes.hpp"

#include <new>

namespace pannier::base {

SharedBytes SharedBytes::copy_of(std::string_view bytes) {
  void* memory = std::malloc(sizeof(SharedBlock) + bytes.size());  // NOLINT(*-no-malloc)
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  auto* block = new (memory) SharedBlock;
  char* data = static_cast<char*>(memory) + sizeof(SharedBlock);
  bytes.copy(data, bytes.size());
  SharedBytes out;
  out.block_ = block;
  out.bytes_ = {data, bytes.size()};
  return out;
}

}  // namespace pannier::base
