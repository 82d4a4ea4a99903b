#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pannier::resp {

static_assert(std::endian::native == std::endian::little,
              "the load below builds a word from bytes");

// Reads "<type><n>\r\n", n of up to nine digits. Returns what follows it; null unless all of it is
// there and as it should be. The hot path of both parsers, whose slow ones say what is wrong.
inline const char* read_header(const char* p, const char* end, char type, std::size_t& value) {
  if (end - p < 4) {
    return nullptr;
  }
  // One digit: most counts, and names of commands.
  std::uint32_t word = 0;
  std::memcpy(&word, p, sizeof(word));
  const unsigned first = ((word >> 8) & 0xff) - unsigned{'0'};
  if ((word & 0xffff00ff) == (0x0a0d0000U | static_cast<unsigned char>(type)) && first <= 9) {
    value = first;
    return p + 4;
  }
  if (*p != type || first > 9 || first == 0) {
    return nullptr;
  }
  std::size_t number = first;
  p += 2;
  const char* const last = end - p > 8 ? p + 8 : end;
  for (; p != last; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p) - unsigned{'0'};
    if (digit > 9) {
      break;
    }
    number = number * 10 + digit;
  }
  if (end - p < 2 || p[0] != '\r' || p[1] != '\n') {
    return nullptr;
  }
  value = number;
  return p + 2;
}

}  // namespace pannier::resp
