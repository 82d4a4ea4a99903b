#pragma once

#include "pannier/command/command.hpp"
#include "pannier/config/policy.hpp"
#include "pannier/policy/key_matcher.hpp"
#include "pannier/policy/request_screen.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pannier::policy {

using LimitId = std::uint16_t;                   // place in Policy::limits
using DenyId = std::uint16_t;                    // place in Policy::deny
inline constexpr DenyId kReadOnlyRule = 0xFFFF;  // Policy::read_only
inline constexpr std::size_t kMaxRules = 1024;   // limits, and as many denials

// One request as these rules see it. Views live as long as the call.
struct RequestView {
  const command::CommandSpec* row = nullptr;    // never null; of the table or not
  std::span<const std::string_view> arguments;  // those that are complete, the name first
  std::size_t announced = 0;   // arguments of a request that is streamed; 0: all are there
  std::size_t unfinished = 0;  // announced bytes of the argument that is under way; 0: none
  std::span<const std::string_view> keys;  // needed where `wants` says kKeys
  ClassId key_class = kNoClass;            // of the first key; needed where `wants` says kClasses
};

struct LimitMatch {
  LimitId id = 0;
  std::string_view subject;  // what the capture stands for, in one of the keys; else empty

  [[nodiscard]] bool operator==(const LimitMatch&) const = default;
};

struct Denial {
  enum class Reason : std::uint8_t {
    Command,    // all requests of it
    Key,        // one of its keys
    Arguments,  // there are more than max_arguments
    Value,      // one is larger than max_value
    ReadOnly    // it may write
  };

  DenyId id = 0;
  Reason reason = Reason::Command;

  [[nodiscard]] bool operator==(const Denial&) const = default;
};

// The first rules that hold. As a request is refused once, only the very first counts: `observed`
// is set when that rule only observes, and `enforced` is then what refuses it all the same.
struct Denials {
  std::optional<Denial> enforced;
  std::optional<Denial> observed;
};

// Which limits and denials hold for a request: all of the policy's, compiled, so that their number
// does not matter, only that of the rules that come into question. Rules that are off are gone, the
// policy's mode is in theirs. Immutable; nothing allocates but the caller's vector.
//
// Behaviour 6.3 and 7.1: no denial holds for a handshake command (command::is_handshake), no limit
// for one that ends things (command::is_unlimited). Commands that the table does not have are known
// by their flags, and by no name.
class RequestRules {
 public:
  // What has to be known of a request (bits of `wants`).
  enum Wants : std::uint8_t {
    kLimits = 1U << 0,   // a limit may hold
    kDenials = 1U << 1,  // a denial may hold
    kKeys = 1U << 2,     // such a rule looks at keys
    kClasses = 1U << 3   // such a limit looks at a key's class
  };

  // Without rules.
  RequestRules();
  // `matcher` tells the class of keys behind the first and must outlive this.
  RequestRules(const config::Policy& policy, const KeyMatcher& matcher);
  ~RequestRules();
  RequestRules(const RequestRules&) = delete;
  RequestRules& operator=(const RequestRules&) = delete;
  RequestRules(RequestRules&&) noexcept;
  RequestRules& operator=(RequestRules&&) noexcept;

  [[nodiscard]] bool any_limits() const;
  [[nodiscard]] bool any_denials() const;

  // `row`: command::index_of.
  [[nodiscard]] std::uint8_t wants(std::uint16_t row) const { return wants_[row]; }

  [[nodiscard]] bool may_limit(std::uint16_t row) const { return (wants(row) & kLimits) != 0; }

  [[nodiscard]] bool may_deny(std::uint16_t row) const { return (wants(row) & kDenials) != 0; }

  // Which requests need not be asked for at all: what costs least, for most of them.
  [[nodiscard]] const RequestScreen& screen() const { return screen_; }

  // Whether a limit may hold for a request with this only key, by its beginning.
  // REQUIRES: wants(row) == (kLimits | kKeys)
  [[nodiscard]] bool may_limit_key(std::uint16_t row, std::string_view key) const;

  // Observe or Enforce; Off for a limit that is gone.
  [[nodiscard]] config::RuleMode limit_mode(LimitId id) const;

  // Appends the limits that hold, observed ones too, in file order, each once for one subject.
  void limits_of(const RequestView& request, std::vector<LimitMatch>& out) const;

  [[nodiscard]] Denials denial_of(const RequestView& request) const;

 private:
  struct Impl;

  [[nodiscard]] bool is_in_table(std::uint16_t row) const { return row + 1U < wants_.size(); }

  std::vector<std::uint8_t> wants_;  // by row; the last one is for rows that are not in the table
  RequestScreen screen_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::policy
