#include "ttl_rewrite.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace pannier::policy {
namespace {

using base::equals_ignoring_case;
using metrics::TtlAction;
using Arguments = std::span<const std::string_view>;

// How a client said a time.
struct Unit {
  bool seconds = false;
  bool absolute = false;

  [[nodiscard]] bool operator==(const Unit&) const = default;
};

// Of SET's and GETEX's options.
std::optional<Unit> unit_of(std::string_view word) {
  if (equals_ignoring_case(word, "ex")) {
    return Unit{true, false};
  }
  if (equals_ignoring_case(word, "px")) {
    return Unit{false, false};
  }
  if (equals_ignoring_case(word, "exat")) {
    return Unit{true, true};
  }
  if (equals_ignoring_case(word, "pxat")) {
    return Unit{false, true};
  }
  return std::nullopt;
}

// How long from now on; empty for what the server refuses, and for what is a delete: times that
// are not positive or past.
std::optional<std::int64_t> life_of(std::string_view text, Unit unit, std::int64_t unix_now) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto value = base::parse_int(text);
  const std::int64_t scale = unit.seconds ? 1000 : 1;
  // The server adds its clock to a relative time and refuses what does not fit then.
  const std::int64_t most = (unit.absolute ? kMost : kMost - unix_now) / scale;
  if (!value || *value <= 0 || *value > most) {
    return std::nullopt;
  }
  const std::int64_t ms = *value * scale - (unit.absolute ? unix_now : 0);
  return ms > 0 ? std::optional(ms) : std::nullopt;
}

std::string_view print(std::int64_t number, TtlPlan& plan) {
  char* const begin = plan.digits.data();
  auto* const end = std::to_chars(begin, begin + plan.digits.size(), number).ptr;
  return {begin, static_cast<std::size_t>(end - begin)};
}

void note_life(const TtlSubject& subject, std::int64_t ms, bool is_explicit, TtlPlan& plan) {
  if (subject.rules.sliding) {
    plan.life = TtlLife{subject.target.key, subject.target.key_class, ms, is_explicit};
  }
}

// Counts what was done to an explicit time. True: it is to be rewritten.
bool changes(const TtlSubject& subject, std::int64_t asked, std::int64_t ms, TtlPlan& plan) {
  if (asked == ms) {
    return false;
  }
  const auto& rules = subject.rules;
  const bool too_long = rules.max.count() > 0 && asked > rules.max.count();
  const bool too_short = asked < rules.min.count();
  count(subject,
        too_long    ? TtlAction::Shortened
        : too_short ? TtlAction::Raised
                    : TtlAction::Jittered,
        plan);
  return subject.enforced();
}

// Not longer than the maximum: all that is asked of a time that is no store's.
std::int64_t capped(const config::TtlRules& rules, std::int64_t ms) {
  return rules.max.count() > 0 ? std::min<std::int64_t>(ms, rules.max.count()) : ms;
}

void begin_rewrite(Arguments arguments, TtlPlan& plan) {
  plan.outcome = TtlPlan::Outcome::Rewrite;
  plan.arguments.assign(arguments.begin(), arguments.end());
}

// The option at `at` and its time behind it: in the client's unit if that can say it. A time that
// the rules made counts from now.
void rewrite_option(
    Arguments arguments, std::size_t at, Unit unit, std::int64_t ms, TtlPlan& plan) {
  begin_rewrite(arguments, plan);
  const bool seconds = unit.seconds && ms % 1000 == 0;
  plan.arguments[at] = seconds ? "EX" : "PX";
  plan.arguments[at + 1] = print(seconds ? ms / 1000 : ms, plan);
}

// GETEX with one and the same option several times, of which the last counts.
bool repeats_time(Arguments arguments) {
  if (arguments.size() < 6 || arguments.size() % 2 != 0) {
    return false;
  }
  const auto unit = unit_of(arguments[2]);
  for (std::size_t i = 4; i < arguments.size(); i += 2) {
    if (unit_of(arguments[i]) != unit) {
      return false;
    }
  }
  return unit.has_value();
}

struct SetOptions {
  bool is_good = true;
  bool nx = false;
  bool xx = false;
  bool compares = false;  // IFEQ value
  bool keep = false;
  std::size_t time_at = 0;    // of EX, PX, EXAT or PXAT; 0: none
  bool repeats_time = false;  // the same one again, of which the last counts
  Unit unit{};

  [[nodiscard]] bool is_conditional() const { return nx || xx || compares; }
};

SetOptions parse_set(Arguments arguments) {
  SetOptions out;
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    const auto unit = unit_of(word);
    if (unit && (out.time_at == 0 || out.unit == *unit) && i + 1 < arguments.size()) {
      out.repeats_time = out.time_at != 0;
      out.unit = *unit;
      out.time_at = i++;
    } else if (equals_ignoring_case(word, "nx")) {
      out.nx = true;
    } else if (equals_ignoring_case(word, "xx")) {
      out.xx = true;
    } else if (equals_ignoring_case(word, "keepttl")) {
      out.keep = true;
    } else if (equals_ignoring_case(word, "ifeq") && i + 1 < arguments.size()) {
      out.compares = true;
      ++i;
    } else if (!equals_ignoring_case(word, "get")) {
      out.is_good = false;
    }
  }
  const int conditions = (out.nx ? 1 : 0) + (out.xx ? 1 : 0) + (out.compares ? 1 : 0);
  out.is_good = out.is_good && conditions <= 1 && !(out.keep && out.time_at != 0);
  return out;
}

// Its options come behind the value, unseen, and so does what they ask for: NX may be among them.
void plan_streamed_set(const TtlSubject& subject, TtlPlan& plan) {
  const bool has_options = subject.count() > 3;
  if (!has_options && subject.rules.require) {
    refuse(subject, TtlAction::Required, plan);
    return;
  }
  plan.after_stored = has_options;
  add_expiry(subject, !has_options, plan);
}

void plan_set_time(const TtlSubject& subject, const SetOptions& options, TtlPlan& plan) {
  const Arguments arguments = subject.request.arguments;
  const auto asked =
      life_of(arguments[options.time_at + 1], options.unit, subject.request.unix_now);
  if (!asked) {
    return;
  }
  const std::int64_t ms = bounded(subject.rules, *asked, subject.request.random);
  note_life(subject, ms, true, plan);
  plan.life_if_stored = options.is_conditional();
  if (changes(subject, *asked, ms, plan)) {
    rewrite_option(arguments, options.time_at, options.unit, ms, plan);
  }
}

// A store that says no TTL gets one: the time of it, or 0 when there is nothing to do.
// `starts_life`: whatever was there before is gone.
std::int64_t take_preset(const TtlSubject& subject, bool starts_life, TtlPlan& plan) {
  const std::int64_t preset = preset_of(subject.rules);
  if (preset == 0) {
    return 0;
  }
  count(subject, TtlAction::Default, plan);
  const std::int64_t ms = bounded(subject.rules, preset, subject.request.random);
  if (starts_life) {
    note_life(subject, ms, false, plan);
  }
  return subject.enforced() ? ms : 0;
}

}  // namespace

std::int64_t preset_of(const config::TtlRules& rules) {
  return rules.preset.count() > 0 ? rules.preset.count() : rules.max.count();
}

std::int64_t bounded(const config::TtlRules& rules, std::int64_t ms, std::uint32_t random) {
  constexpr double kRange = 4294967296.0;
  ms = capped(rules, std::max<std::int64_t>(ms, rules.min.count()));
  const double share = rules.jitter / 100.0 * (random / kRange);
  const auto cut = static_cast<std::int64_t>(static_cast<double>(ms) * share);
  return std::max({ms - cut, static_cast<std::int64_t>(rules.min.count()), std::int64_t{1}});
}

void count(const TtlSubject& subject, TtlAction action, TtlPlan& plan) {
  plan.counts.push_back({subject.target.key_class, action, subject.enforced()});
}

void refuse(const TtlSubject& subject, TtlAction action, TtlPlan& plan) {
  count(subject, action, plan);
  if (subject.enforced()) {
    plan.outcome = TtlPlan::Outcome::Refuse;
    plan.refusal = action;
    plan.refused_by = subject.target.key_class;
  }
}

void add_expiry(const TtlSubject& subject, bool is_fresh, TtlPlan& plan) {
  const TtlPlan::Target& target = subject.target;
  const config::TtlRules& rules = subject.rules;
  if (rules.preset.count() > 0 || is_fresh) {
    if (const std::int64_t ms = take_preset(subject, false, plan); ms > 0) {
      plan.additions.push_back({target.key, target.key_class, ms, false});
    }
  }
  if (rules.max.count() > 0 && !is_fresh) {
    count(subject, TtlAction::Shortened, plan);
    if (subject.enforced()) {
      plan.additions.push_back({target.key, target.key_class, rules.max.count(), true});
    }
  }
}

void plan_set(const TtlSubject& subject, TtlPlan& plan) {
  if (subject.streamed()) {
    return plan_streamed_set(subject, plan);
  }
  const Arguments arguments = subject.request.arguments;
  const SetOptions options = parse_set(arguments);
  if (!options.is_good) {
    return;
  }
  if (options.repeats_time) {
    plan.after_stored = options.is_conditional();
    return add_expiry(subject, false, plan);
  }
  if (options.time_at != 0) {
    return plan_set_time(subject, options, plan);
  }
  if (options.keep && !options.nx) {
    plan.after_stored = options.is_conditional();
    return add_expiry(subject, false, plan);
  }
  if (subject.rules.require && !options.keep) {
    return refuse(subject, TtlAction::Required, plan);
  }
  if (const std::int64_t ms = take_preset(subject, !options.is_conditional(), plan); ms > 0) {
    begin_rewrite(arguments, plan);
    if (options.keep) {  // with NX there is none to be kept
      const auto is_keep = [](std::string_view word) {
        return equals_ignoring_case(word, "keepttl");
      };
      plan.arguments.erase(
          std::remove_if(plan.arguments.begin() + 3, plan.arguments.end(), is_keep),
          plan.arguments.end());
    }
    plan.arguments.emplace_back("PX");
    plan.arguments.push_back(print(ms, plan));
  }
}

void plan_setex(const TtlSubject& subject, TtlPlan& plan) {
  const Arguments arguments = subject.request.arguments;
  const Unit unit{subject.request.row->name == "setex", false};
  const auto asked =
      arguments.size() > 2 ? life_of(arguments[2], unit, subject.request.unix_now) : std::nullopt;
  if (!asked) {
    return;
  }
  if (subject.streamed()) {
    if (subject.rules.max.count() > 0 && *asked > subject.rules.max.count()) {
      add_expiry(subject, false, plan);
    }
    return;
  }
  const std::int64_t ms = bounded(subject.rules, *asked, subject.request.random);
  note_life(subject, ms, true, plan);
  if (changes(subject, *asked, ms, plan)) {
    begin_rewrite(arguments, plan);
    const bool seconds = unit.seconds && ms % 1000 == 0;
    plan.arguments[0] = seconds ? "SETEX" : "PSETEX";
    plan.arguments[2] = print(seconds ? ms / 1000 : ms, plan);
  }
}

void plan_setnx(const TtlSubject& subject, TtlPlan& plan) {
  if (subject.streamed()) {
    plan.after_stored = true;
    return add_expiry(subject, true, plan);
  }
  const Arguments arguments = subject.request.arguments;
  if (const std::int64_t ms = take_preset(subject, false, plan); ms > 0) {
    plan.outcome = TtlPlan::Outcome::Rewrite;
    plan.answers_integer = true;
    plan.arguments.assign({"SET", arguments[1], arguments[2], "NX", "PX", print(ms, plan)});
  }
}

void plan_getset(const TtlSubject& subject, TtlPlan& plan) {
  if (subject.streamed()) {
    return add_expiry(subject, true, plan);
  }
  const Arguments arguments = subject.request.arguments;
  if (const std::int64_t ms = take_preset(subject, true, plan); ms > 0) {
    plan.outcome = TtlPlan::Outcome::Rewrite;
    plan.arguments.assign({"SET", arguments[1], arguments[2], "PX", print(ms, plan), "GET"});
  }
}

void plan_getex(const TtlSubject& subject, TtlPlan& plan) {
  const Arguments arguments = subject.request.arguments;
  const auto max = subject.rules.max.count();
  if (arguments.size() == 3 && equals_ignoring_case(arguments[2], "persist")) {
    note_life(subject, preset_of(subject.rules), true, plan);
    if (max > 0) {
      count(subject, TtlAction::Shortened, plan);
      if (subject.enforced()) {
        plan.outcome = TtlPlan::Outcome::Rewrite;
        plan.arguments.assign({arguments[0], arguments[1], "PX", print(max, plan)});
      }
    }
    return;
  }
  if (max > 0 && repeats_time(arguments)) {
    plan.after_stored = true;
    count(subject, TtlAction::Shortened, plan);
    if (subject.enforced()) {
      plan.additions.push_back({subject.target.key, subject.target.key_class, max, true});
    }
    return;
  }
  const auto unit = arguments.size() == 4 ? unit_of(arguments[2]) : std::nullopt;
  const auto asked = unit ? life_of(arguments[3], *unit, subject.request.unix_now) : std::nullopt;
  if (!asked) {
    return;
  }
  const std::int64_t ms = capped(subject.rules, *asked);
  note_life(subject, ms, true, plan);
  if (changes(subject, *asked, ms, plan)) {
    rewrite_option(arguments, 2, *unit, ms, plan);
  }
}

void plan_expire(const TtlSubject& subject, TtlPlan& plan) {
  const Arguments arguments = subject.request.arguments;
  const std::string_view name = subject.request.row->name;
  const Unit unit{name.starts_with('e'), name.ends_with("at")};
  const auto asked = life_of(arguments[2], unit, subject.request.unix_now);
  if (subject.streamed() || !asked) {
    return;
  }
  const std::int64_t ms = capped(subject.rules, *asked);
  note_life(subject, ms, true, plan);
  plan.life_if_stored = arguments.size() > 3;
  if (changes(subject, *asked, ms, plan)) {
    begin_rewrite(arguments, plan);
    const bool seconds = unit.seconds && ms % 1000 == 0;
    plan.arguments[0] = seconds ? "EXPIRE" : "PEXPIRE";
    plan.arguments[2] = print(seconds ? ms / 1000 : ms, plan);
  }
}

void plan_persist(const TtlSubject& subject, TtlPlan& plan) {
  const auto max = subject.rules.max.count();
  note_life(subject, preset_of(subject.rules), true, plan);
  if (max == 0) {
    return;
  }
  count(subject, TtlAction::Shortened, plan);
  if (!subject.enforced()) {
    return;
  }
  // XX answers as PERSIST does: 1 where there was a TTL.
  const std::string_view key = subject.request.arguments[1];
  plan.outcome = TtlPlan::Outcome::Rewrite;
  if (subject.request.has_conditions) {
    plan.arguments.assign({"PEXPIRE", key, print(max, plan), "XX"});
  } else {
    plan.arguments.assign({"EVAL", kExpireScript, "1", key, print(max, plan), "XX"});
  }
}

void plan_restore(const TtlSubject& subject, TtlPlan& plan) {
  const Arguments arguments = subject.request.arguments;
  const bool absolute =
      arguments.size() > 4 &&
      std::any_of(arguments.begin() + 4, arguments.end(), [](std::string_view word) {
        return equals_ignoring_case(word, "absttl");
      });
  if (arguments.size() > 2 && arguments[2] == "0") {
    if (subject.rules.require) {
      return refuse(subject, TtlAction::Required, plan);
    }
    if (subject.streamed()) {
      plan.after_stored = true;
      return add_expiry(subject, true, plan);
    }
    if (const std::int64_t ms = take_preset(subject, false, plan); ms > 0) {
      begin_rewrite(arguments, plan);
      plan.arguments[2] = print(absolute ? subject.request.unix_now + ms : ms, plan);
    }
    return;
  }
  const auto asked = arguments.size() > 2
                         ? life_of(arguments[2], Unit{false, absolute}, subject.request.unix_now)
                         : std::nullopt;
  if (!asked) {
    return;
  }
  if (subject.streamed()) {
    plan.after_stored = true;
    return add_expiry(subject, false, plan);
  }
  const std::int64_t ms = bounded(subject.rules, *asked, subject.request.random);
  note_life(subject, ms, true, plan);
  if (changes(subject, *asked, ms, plan)) {
    begin_rewrite(arguments, plan);
    plan.arguments[2] = print(absolute ? subject.request.unix_now + ms : ms, plan);
  }
}

}  // namespace pannier::policy
