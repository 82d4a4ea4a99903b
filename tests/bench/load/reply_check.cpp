#include "reply_check.hpp"

#include <algorithm>
#include <cstring>

namespace pannier::bench {

ReplyCheck::Status ReplyCheck::take(const Batch& batch,
                                    std::string_view padding,
                                    std::string_view& bytes) {
  while (part_ < batch.parts.size()) {
    if (bytes.empty()) {
      return Status::More;
    }
    const Part& part = batch.parts[part_];
    const std::size_t right = part.integer ? compare_integer(bytes) : compare(part, padding, bytes);
    if (right == 0) {
      return Status::Wrong;
    }
    bytes.remove_prefix(right);
    offset_ += right;
    if (part.integer ? part_done_ : offset_ == part.size()) {
      ++part_;
      offset_ = 0;
      part_done_ = false;
    }
  }
  part_ = 0;
  return Status::Done;
}

// How many bytes were compared and are right; 0: they are wrong.
std::size_t ReplyCheck::compare(const Part& part,
                                std::string_view padding,
                                std::string_view bytes) {
  const std::size_t padded = part.head.size() + part.padding;
  std::string_view wanted;
  if (offset_ < part.head.size()) {
    wanted = part.head.substr(offset_);
  } else if (offset_ < padded) {
    wanted = padding.substr(offset_ - part.head.size(), padded - offset_);
  } else {
    wanted = std::string_view("\r\n").substr(offset_ - padded);
  }
  const std::size_t size = std::min(wanted.size(), bytes.size());
  const bool skipped = part.free && offset_ >= part.head.size() && offset_ < padded;
  return skipped || std::memcmp(wanted.data(), bytes.data(), size) == 0 ? size : 0;
}

std::size_t ReplyCheck::compare_integer(std::string_view bytes) {
  std::size_t at = 0;
  if (offset_ == 0) {
    if (bytes[0] != ':') {
      return 0;
    }
    at = 1;
  }
  for (; at < bytes.size(); ++at) {
    if (bytes[at] == '\n') {
      part_done_ = true;
      return at + 1;
    }
    if (bytes[at] != '\r' && bytes[at] != '-' && (bytes[at] < '0' || bytes[at] > '9')) {
      return 0;
    }
  }
  return at;
}

}  // namespace pannier::bench
