#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace pannier::command {

// Where XREAD's and XREADGROUP's options stand; 0 = absent.
struct StreamOptions {
  std::size_t block = 0;    // the value of BLOCK
  std::size_t streams = 0;  // the word STREAMS; 0 also when the request is malformed
};

[[nodiscard]] StreamOptions read_stream_options(std::span<const std::string_view> arguments);

}  // namespace pannier::command
