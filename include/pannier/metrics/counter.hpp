#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace pannier::metrics {

// One writer (the thread that owns it), any number of readers: an increment is a plain add.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// As Counter, up and down.
class Gauge {
 public:
  void add(std::int64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  void sub(std::int64_t n = 1) { add(-n); }

  void set(std::int64_t n) { value_.store(n, std::memory_order_relaxed); }

  [[nodiscard]] std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Latency in the buckets of research: 25 us to 1 s and above. Single writer, as Counter.
class Histogram {
 public:
  static constexpr std::array<std::uint32_t, 14> kBoundsUs{
      25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000};

  void observe(std::chrono::nanoseconds elapsed) {
    const auto ns = static_cast<std::uint64_t>(elapsed.count() < 0 ? 0 : elapsed.count());
    const std::uint64_t us = ns / 1000;
    std::size_t bucket = kFirstByWidth[std::min<std::size_t>(std::bit_width(us), kLargestWidth)];
    while (bucket < kBoundsUs.size() && us > kBoundsUs[bucket]) {
      ++bucket;
    }
    buckets_[bucket].add();
    sum_ns_.add(ns);
  }

  // Not cumulative; the last one is what lies above all bounds.
  [[nodiscard]] std::uint64_t bucket(std::size_t i) const { return buckets_.at(i).value(); }

  [[nodiscard]] std::uint64_t sum_ns() const { return sum_ns_.value(); }

 private:
  static constexpr std::size_t kLargestWidth = 21;

  // The first bucket that a number of so many binary digits may belong to.
  static constexpr auto kFirstByWidth = [] {
    std::array<std::uint8_t, kLargestWidth + 1> first{};
    for (std::size_t width = 1; width < first.size(); ++width) {
      while (first[width] < kBoundsUs.size() && (1UL << (width - 1)) > kBoundsUs[first[width]]) {
        ++first[width];
      }
    }
    return first;
  }();

  std::array<Counter, kBoundsUs.size() + 1> buckets_;
  Counter sum_ns_;
};

}  // namespace pannier::metrics
