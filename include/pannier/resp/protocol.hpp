#pragma once

#include <cstddef>
#include <cstdint>

namespace pannier::resp {

enum class Version : std::uint8_t {
  Resp2 = 2,
  Resp3 = 3
};

// What the request parser accepts; the defaults are those of Redis 7.
struct Limits {
  std::size_t max_arguments = 2147483647;      // Redis 6.2 stops at 1024 * 1024
  std::size_t max_bulk = 512UL * 1024 * 1024;  // bytes; proto-max-bulk-len
  std::size_t max_inline = 64UL * 1024;        // bytes of one inline command, or of a header line
  // A request whose frame is larger than this is reported as Large and streamed by its session.
  std::size_t large_request = 64UL * 1024;
};

}  // namespace pannier::resp
