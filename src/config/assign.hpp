#pragma once

#include "pannier/config/config.hpp"

#include "draft.hpp"
#include "key_table.hpp"

#include <type_traits>

// How a value that was read is kept, by the type that it is kept in: for the rows of the tables.
namespace pannier::config {

inline constexpr std::int64_t kMs = 1'000;  // durations are read as microseconds
inline constexpr std::int64_t kHour = 3'600'000 * kMs;
inline constexpr std::int64_t kMiB = 1 << 20;
inline constexpr std::string_view kReadsWords = "primary|replica|same-zone|nearest";

inline void assign(bool& out, const Reading& reading) {
  out = reading.flag;
}

inline void assign(std::uint32_t& out, const Reading& reading) {
  out = static_cast<std::uint32_t>(reading.number);
}

// Of Type::Share.
inline void assign_percent(std::uint32_t& out, const Reading& reading) {
  out = static_cast<std::uint32_t>(reading.number / kShareUnit);
}

inline void assign(std::uint64_t& out, const Reading& reading) {
  out = static_cast<std::uint64_t>(reading.number);
}

inline void assign(std::string& out, const Reading& reading) {
  out = reading.text;
}

inline void assign(Milliseconds& out, const Reading& reading) {
  out = Milliseconds(reading.number / kMs);
}

inline void assign(std::chrono::microseconds& out, const Reading& reading) {
  out = std::chrono::microseconds(reading.number);
}

inline void assign(base::Endpoint& out, const Reading& reading) {
  out = reading.endpoint;
}

inline void assign(Automatic& out, const Reading& reading) {
  out = Automatic{reading.is_auto, reading.place};
}

// The words of a Choice stand in the enumerators' order.
template <typename Enum>
requires std::is_enum_v<Enum>

void assign(Enum& out, const Reading& reading) {
  out = static_cast<Enum>(reading.number);
}

}  // namespace pannier::config
