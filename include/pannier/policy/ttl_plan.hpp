#pragma once

#include "pannier/command/command.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/policy/rules.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

// What the policy's rules on storing (behaviour §4) make of a request: decided from the request
// alone, without I/O. Times are milliseconds.
namespace pannier::policy {

struct TtlRequest {
  const command::CommandSpec* row = nullptr;
  std::span<const std::string_view> arguments;
  std::size_t announced = 0;  // how many there are in all; more than `arguments`: it is streamed
  bool in_multi = false;
  bool has_conditions = true;      // the server's PEXPIRE knows NX, LT and XX (7.0)
  std::int64_t unix_now = 0;       // wall clock
  std::uint32_t random = 0;        // decides the jitter
  std::optional<ClassId> first{};  // the class of arguments[1], where it is known already
};

// A TTL that a store cannot carry itself: PEXPIRE key ms NX, or LT. Never an unconditional one, so
// that nothing is made to live longer.
struct TtlAddition {
  std::string_view key;  // a view into the request
  ClassId key_class = kNoClass;
  std::int64_t ms = 0;
  bool is_bound = false;  // LT, of a maximum; else NX, of a default
};

struct TtlCount {
  ClassId key_class = kNoClass;
  metrics::TtlAction action = metrics::TtlAction::Default;
  bool enforced = false;  // else it was only observed
};

// What a store or an explicit TTL means to sliding.
struct TtlLife {
  std::string_view key;
  ClassId key_class = kNoClass;
  std::int64_t ms = 0;       // how long the key lives from now on
  bool is_explicit = false;  // by the client: nothing renews it
};

// Made anew by each `plan_ttl`; keeps its memory. Views into the request and into itself.
struct TtlPlan {
  enum class Outcome : std::uint8_t {
    Pass,     // as it came, but look at `additions`
    Rewrite,  // `arguments` instead
    Refuse    // for `refusal`, by `refused_by`
  };

  TtlPlan() = default;
  ~TtlPlan() = default;
  TtlPlan(const TtlPlan&) = delete;
  TtlPlan& operator=(const TtlPlan&) = delete;

  Outcome outcome = Outcome::Pass;
  metrics::TtlAction refusal = metrics::TtlAction::Required;
  ClassId refused_by = kNoClass;
  std::vector<std::string_view> arguments;
  bool answers_integer = false;  // the rewritten request's OK is :1 to the client, its null :0
  std::vector<TtlAddition> additions;
  bool after_stored = false;  // they go only once the reply says that something was stored
  std::vector<TtlCount> counts;
  std::optional<TtlLife> life;
  bool life_if_stored = false;  // it begins only once the reply says so

  // Working memory.
  struct Target {
    std::string_view key;
    ClassId key_class = kNoClass;
  };

  std::vector<Target> targets;
  std::vector<std::string_view> keys;
  std::array<char, 24> digits{};

  [[nodiscard]] bool is_idle() const {
    return outcome == Outcome::Pass && additions.empty() && counts.empty() && !life;
  }

  void clear();
};

// How a command stores, as far as TTLs go.
enum class TtlForm : std::uint8_t {
  None,     // it stores nothing, or its keys are not to be seen
  Set,      // SET with its options
  SetEx,    // SETEX and PSETEX
  SetNx,    // becomes SET NX PX
  GetSet,   // becomes SET PX GET
  GetEx,    // a read that may set a TTL
  Expire,   // EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT
  Persist,  // under a maximum becomes PEXPIRE XX
  Restore,  // its TTL is an argument
  Other,    // cannot carry a TTL: additions
  Script    // EVAL, FCALL and the like
};

[[nodiscard]] TtlForm ttl_form(const command::CommandSpec& row);

// REQUIRES: rules.any_ttl. Requests that the server will refuse for their syntax pass unchanged, so
// that it words its refusal.
void plan_ttl(const Rules& rules, const TtlRequest& request, TtlPlan& plan);

// What a request of Pannier's own needs to do what PEXPIRE key ms NX|LT|XX does, on servers that do
// not know these words; its arguments are `key ms word`.
inline constexpr std::string_view kExpireScript =
    "local p=redis.call('PTTL',KEYS[1]) local w=ARGV[2] "
    "if (w=='NX' and p==-1) or (w=='LT' and (p==-1 or p>tonumber(ARGV[1]))) or "
    "(w=='XX' and p>=0) then return redis.call('PEXPIRE',KEYS[1],ARGV[1]) end return 0";

}  // namespace pannier::policy
