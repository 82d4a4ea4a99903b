#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

// A command's name in lower case as three machine words, so that a look-up is a few loads and
// compares instead of a loop over bytes. Pure.
namespace pannier::command {

static_assert(std::endian::native == std::endian::little, "the loads below build words from bytes");

inline constexpr std::size_t kMaxName = 24;

// The first `size` (1 to 8) bytes at `text`, zero padded, the first byte lowest.
constexpr std::uint64_t load_bytes(const char* text, std::size_t size) {
  if (std::is_constant_evaluated()) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < size; ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    return word;
  }
  if (size == 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text, sizeof(word));
    return word;
  }
  if (size >= 4) {
    // Two loads that overlap: never past the end of the text.
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, text, sizeof(low));
    std::memcpy(&high, text + size - 4, sizeof(high));
    return low | (std::uint64_t{high} << (8 * (size - 4)));
  }
  const auto byte = [text](std::size_t i) {
    return std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  };
  return byte(0) | byte(size / 2) | byte(size - 1);
}

// ASCII lower case of eight bytes at once; bytes that are not A to Z are unchanged.
constexpr std::uint64_t lower_bytes(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  const std::uint64_t heptets = word & (0x7f * kOnes);
  const std::uint64_t above_z = heptets + (0x7f - 'Z') * kOnes;
  const std::uint64_t from_a = heptets + (0x80 - 'A') * kOnes;
  const std::uint64_t upper = ~word & (from_a ^ above_z) & (0x80 * kOnes);
  return word | (upper >> 2);
}

struct NameKey {
  std::array<std::uint64_t, 3> words{};
  std::uint64_t tag = 0;  // length and container, so that "get" and "get\0" differ

  friend constexpr bool operator==(const NameKey& a, const NameKey& b) = default;
};

// `name` must have 1 to kMaxName bytes; `container` tells CLIENT's "list" from ACL's.
constexpr NameKey make_name_key(std::string_view name, std::uint16_t container) {
  NameKey key;
  const std::size_t size = name.size();
  key.tag = size | (std::uint64_t{container} << 16);
  key.words[0] = lower_bytes(load_bytes(name.data(), size < 8 ? size : 8));
  if (size > 8) {
    key.words[1] = lower_bytes(load_bytes(name.data() + 8, size < 16 ? size - 8 : 8));
  }
  if (size > 16) {
    key.words[2] = lower_bytes(load_bytes(name.data() + 16, size - 16));
  }
  return key;
}

constexpr std::uint64_t hash_of(const NameKey& key) {
  constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15;
  return (key.words[0] ^ (key.words[1] * 31) ^ (key.words[2] * 127) ^ (key.tag << 40)) * kMix;
}

}  // namespace pannier::command
