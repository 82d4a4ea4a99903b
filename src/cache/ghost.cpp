#include "ghost.hpp"

#include <algorithm>
#include <bit>

namespace pannier::cache {
namespace {

// Bits that choose neither the stripe nor, in a cache of a usual size, the bucket.
constexpr int kSetShift = 20;
constexpr int kPrintShift = 40;

std::uint16_t print_of(std::uint64_t hash) {
  const auto print = static_cast<std::uint16_t>(hash >> kPrintShift);
  return print == 0 ? 1 : print;
}

}  // namespace

Ghost::Ghost(std::size_t capacity)
    : sets_(std::bit_floor(std::max(capacity, kWays)) / kWays),
      most_(std::bit_floor(std::max(capacity, kWays)) / kWays) {}

void Ghost::remember(std::uint64_t hash, std::size_t entries) {
  // What lies in the wrong set after a change of the count is lost, and pushed out in time.
  const std::size_t wanted = std::bit_floor(std::max(entries, kWays) / kWays);
  count_ = std::min(wanted, most_);
  touched_ = std::max(touched_, count_);
  auto& prints = set_of(hash).prints;
  std::copy_backward(prints, prints + kWays - 1, prints + kWays);
  prints[0] = print_of(hash);
}

bool Ghost::take(std::uint64_t hash) {
  auto& prints = set_of(hash).prints;
  auto* found = std::find(prints, prints + kWays, print_of(hash));
  if (found == prints + kWays) {
    return false;
  }
  std::copy(found + 1, prints + kWays, found);
  prints[kWays - 1] = 0;
  return true;
}

void Ghost::give_back() {
  count_ = 1;
  touched_ = 0;
  sets_.give_back();
}

Ghost::Set& Ghost::set_of(std::uint64_t hash) const {
  return sets_[(hash >> kSetShift) & (count_ - 1)];
}

}  // namespace pannier::cache
