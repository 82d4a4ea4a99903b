#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace pannier::policy {

using ClassId = std::uint16_t;  // place in Policy::classes of Rules
inline constexpr ClassId kNoClass = 0xFFFF;
inline constexpr std::size_t kMaxClasses = 1024;  // as many as a file may have

// Which class a key belongs to: all globs of the policy in one compiled structure whose cost does
// not grow with the number of classes. Immutable, no allocation while it matches.
//
// Behaviour 8.1: the longest literal prefix wins, then more literal characters.
class KeyMatcher {
 public:
  KeyMatcher();
  ~KeyMatcher();
  KeyMatcher(const KeyMatcher&) = delete;
  KeyMatcher& operator=(const KeyMatcher&) = delete;
  KeyMatcher(KeyMatcher&&) noexcept;
  KeyMatcher& operator=(KeyMatcher&&) noexcept;

  // Adds a glob; `glob` is well formed (see glob_fault). Equally specific globs that can match one
  // key are an error that the loader finds; of such the first one counts. `kNoClass` takes keys out
  // of less specific classes.
  void add(std::string_view glob, ClassId id);
  // To be called once, after the last `add`.
  void compile();

  [[nodiscard]] ClassId match(std::string_view key) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::policy
