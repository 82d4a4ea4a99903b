#pragma once

#include <cstdint>

// Hashes of what limits are kept under: of small numbers, the same in every process.
namespace pannier::limit {

// One more value into a hash (the finalizer of MurmurHash3).
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9E3779B97F4A7C15U + (hash << 6U) + (hash >> 2U);
  hash ^= hash >> 33U;
  hash *= 0xFF51AFD7ED558CCDU;
  hash ^= hash >> 33U;
  hash *= 0xC4CEB9FE1A85EC53U;
  return hash ^ (hash >> 33U);
}

// Of a limit and its subject, never 0 or 1; the lowest bit is the caller's.
[[nodiscard]] constexpr std::uint64_t key_of(std::uint64_t identity,
                                             std::uint64_t subject,
                                             bool bit) {
  const std::uint64_t key = mix(identity, subject);
  return ((key < 4 ? key + 4 : key) & ~std::uint64_t{1}) | (bit ? 1U : 0U);
}

}  // namespace pannier::limit
