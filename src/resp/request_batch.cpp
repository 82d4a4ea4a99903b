#include "pannier/resp/request_batch.hpp"

#include <span>

namespace pannier::resp {

// One huge batch should not be paid for ever after.
constexpr std::size_t kKeptArguments = 16UL * 1024;

Request RequestBatch::operator[](std::size_t i) const {
  const Entry& entry = entries_[i];
  return {std::span(arguments_).subspan(entry.first, entry.count), entry.frame, entry.is_inline};
}

void RequestBatch::clear() {
  if (arguments_.capacity() > kKeptArguments) {
    std::vector<std::string_view>().swap(arguments_);
  }
  arguments_.clear();
  texts_.clear();
  size_ = 0;
  consumed_ = 0;
}

void RequestBatch::add(std::string_view frame, std::size_t first, bool is_inline) {
  Entry& entry = entries_[size_++];
  entry.frame = frame;
  consumed_ += frame.size();
  entry.end = consumed_;
  entry.first = static_cast<std::uint32_t>(first);
  entry.count = static_cast<std::uint32_t>(arguments_.size() - first);
  entry.is_inline = is_inline;
}

}  // namespace pannier::resp
