#include "pannier/resp/request_batch.hpp"

namespace pannier::resp {

// One huge batch should not be paid for ever after.
constexpr std::size_t kKeptArguments = 16UL * 1024;

void RequestBatch::clear() {
  if (arguments_.capacity() > kKeptArguments) {
    std::vector<std::string_view>().swap(arguments_);
  }
  arguments_.clear();
  texts_.clear();
  size_ = 0;
  consumed_ = 0;
}

}  // namespace pannier::resp
