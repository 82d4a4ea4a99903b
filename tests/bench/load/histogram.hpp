#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pannier::bench {

/// Times in nanoseconds, kept as counts in buckets that are at most 1/128 wide of what they hold.
/// A value of its owner, one thread; recording costs a shift and an addition.
class Histogram {
 public:
  void record(std::uint64_t nanoseconds) {
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
    max_ = nanoseconds > max_ ? nanoseconds : max_;
  }

  std::uint64_t count() const { return count_; }

  std::uint64_t max() const { return max_; }

  /// The middle of the bucket in which the value of rank `share` (0 to 1) lies; 0 without values.
  double quantile(double share) const {
    const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (buckets_[i] != 0 && (seen > rank || seen == count_)) {
        return middle_of(i);
      }
    }
    return 0;
  }

 private:
  static constexpr unsigned kBits = 7;
  static constexpr std::uint64_t kHalf = 1U << kBits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kHalf) {
      return value;
    }
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (shift << kBits) + (value >> shift);
  }

  static double middle_of(std::size_t bucket) {
    if (bucket < 2 * kHalf) {
      return static_cast<double>(bucket);
    }
    const auto shift = (bucket >> kBits) - 1;
    const auto low = ((bucket & (kHalf - 1)) | kHalf) << shift;
    return static_cast<double>(low) + static_cast<double>(1ULL << shift) / 2;
  }

  std::array<std::uint64_t, (65 - kBits) << kBits> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace pannier::bench
