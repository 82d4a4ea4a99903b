#pragma once

#include "workload.hpp"

#include <cstddef>
#include <string_view>

namespace pannier::bench {

/// Compares what one connection receives with what a batch must be answered, byte for byte, as it
/// comes. A value of its connection.
class ReplyCheck {
 public:
  enum class Status {
    More,   // all bytes were right, and some are missing
    Done,   // the batch is answered; `bytes` holds what follows
    Wrong,  // `bytes` begins about where it is
  };

  Status take(const Batch& batch, std::string_view padding, std::string_view& bytes);

 private:
  std::size_t compare(const Part& part, std::string_view padding, std::string_view bytes);
  std::size_t compare_integer(std::string_view bytes);

  std::size_t part_ = 0;
  std::size_t offset_ = 0;  // in the part
  bool part_done_ = false;
};

}  // namespace pannier::bench
