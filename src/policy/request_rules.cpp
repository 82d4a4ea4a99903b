#include "pannier/policy/request_rules.hpp"

#include "pannier/command/categories.hpp"

#include "class_reach.hpp"
#include "rule_index.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace pannier::policy {
namespace {

using config::RuleMode;

// Matches that may be there before they are looked through for equal ones: a request may have any
// number of keys.
constexpr std::size_t kRoom = 64;

ClassId class_named(const config::Policy& policy, const std::string& name) {
  const auto found = std::find_if(policy.classes.begin(),
                                  policy.classes.end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == policy.classes.end() ? kNoClass
                                       : static_cast<ClassId>(found - policy.classes.begin());
}

// A command that nobody knows, without flags, may do anything.
bool may_write(const command::CommandSpec& row, bool in_table) {
  return command::may_write(row) || (!in_table && row.flags == 0);
}

std::size_t largest_argument(const RequestView& request) {
  auto largest = request.unfinished;
  for (const auto argument : request.arguments) {
    largest = std::max(largest, argument.size());
  }
  return largest;
}

// Sorted by limit, each subject once.
void tidy(std::vector<LimitMatch>& matches, std::size_t begin) {
  const auto first = matches.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(first, matches.end(), [](const LimitMatch& a, const LimitMatch& b) {
    return std::tie(a.id, a.subject) < std::tie(b.id, b.subject);
  });
  matches.erase(std::unique(first, matches.end()), matches.end());
}

// Of one limit's globs that match one key the last one says what is counted.
void add_or_replace(std::vector<LimitMatch>& matches, std::size_t begin, const LimitMatch& match) {
  for (auto i = begin; i < matches.size(); ++i) {
    if (matches[i].id == match.id) {
      matches[i] = match;
      return;
    }
  }
  matches.push_back(match);
}

// For a row that is not in the table.
RuleIndex::Allowed allowed_outside(const RuleIndex& index, const command::CommandSpec& row) {
  auto allowed = index.allowed_by(static_cast<std::uint16_t>(command::table().size()));
  allowed.categories = command::categories_of(row);
  return allowed;
}

struct DenyTerms {
  RuleMode mode = RuleMode::Off;
  bool keyed = false;
  std::uint64_t max_arguments = 0;
  std::uint64_t max_value = 0;
};

// The first denials of one request, whatever the order is in which they are found.
class FirstDenials {
 public:
  FirstDenials(const std::vector<DenyTerms>& terms, const RequestView& request)
      : terms_(&terms),
        request_(&request) {}

  // False when none behind it can count any more.
  bool take(DenyId id) {
    const DenyTerms& terms = (*terms_)[id];
    const bool enforced = terms.mode == RuleMode::Enforce;
    if (first_enforced_ && first_enforced_->id < id) {
      return false;
    }
    if (!enforced && first_ && first_->id <= id) {
      return true;
    }
    const auto reason = reason_of(terms);
    if (!reason) {
      return true;
    }
    const Denial denial{id, *reason};
    if (!first_ || id < first_->id) {
      first_ = denial;
    }
    if (enforced) {
      first_enforced_ = denial;
    }
    return !enforced;
  }

  [[nodiscard]] Denials result() const {
    return {first_enforced_, first_ == first_enforced_ ? std::nullopt : first_};
  }

 private:
  std::optional<Denial::Reason> reason_of(const DenyTerms& terms) {
    if (terms.max_arguments == 0 && terms.max_value == 0) {
      return terms.keyed ? Denial::Reason::Key : Denial::Reason::Command;
    }
    if (terms.max_arguments > 0 &&
        std::max(request_->announced, request_->arguments.size()) > terms.max_arguments) {
      return Denial::Reason::Arguments;
    }
    if (terms.max_value > 0 && largest() > terms.max_value) {
      return Denial::Reason::Value;
    }
    return std::nullopt;
  }

  std::size_t largest() {
    if (!largest_) {
      largest_ = largest_argument(*request_);
    }
    return *largest_;
  }

  const std::vector<DenyTerms>* terms_;
  const RequestView* request_;
  std::optional<Denial> first_;
  std::optional<Denial> first_enforced_;
  std::optional<std::size_t> largest_;
};

}  // namespace

struct RequestRules::Impl {
  RuleIndex limits;
  RuleIndex denials;
  std::vector<RuleMode> limit_modes;
  std::vector<DenyTerms> deny_terms;
  RuleMode read_only = RuleMode::Off;
  const KeyMatcher* matcher = nullptr;

  void compile_limits(const config::Policy& policy);
  void compile_denials(const config::Policy& policy);
  [[nodiscard]] RequestScreen make_screen(const config::Policy& policy) const;

  [[nodiscard]] std::uint8_t wants_of(std::uint16_t row) const;
  void add_limits(const RequestView& request,
                  const RuleIndex::Allowed& allowed,
                  std::vector<LimitMatch>& out) const;
  void add_limits_of_key(const RuleIndex::Allowed& allowed,
                         std::string_view key,
                         ClassId key_class,
                         std::vector<LimitMatch>& out) const;
  void add_limits_of_more_keys(const RequestView& request,
                               const RuleIndex::Allowed& allowed,
                               std::vector<LimitMatch>& out) const;
  [[nodiscard]] Denials first_denials(const RequestView& request,
                                      const RuleIndex::Allowed& allowed) const;
};

void RequestRules::Impl::compile_limits(const config::Policy& policy) {
  limits = RuleIndex(policy.limits.size(), policy.classes.size());
  limit_modes.resize(policy.limits.size(), RuleMode::Off);
  for (std::size_t i = 0; i < policy.limits.size(); ++i) {
    const auto& limit = policy.limits[i];
    const auto key_class =
        limit.key_class.empty() ? kNoClass : class_named(policy, limit.key_class);
    const auto mode = std::min(policy.mode, limit.mode);
    if (mode == RuleMode::Off || (key_class == kNoClass && !limit.key_class.empty())) {
      continue;
    }
    limit_modes[i] = mode;
    limits.add(static_cast<LimitId>(i),
               {&limit.commands,
                &limit.keys,
                limit.per == config::Per::Capture ? std::string_view(limit.capture) : "",
                key_class,
                command::is_unlimited});
  }
  limits.compile();
}

void RequestRules::Impl::compile_denials(const config::Policy& policy) {
  denials = RuleIndex(policy.deny.size(), policy.classes.size());
  deny_terms.resize(policy.deny.size());
  for (std::size_t i = 0; i < policy.deny.size(); ++i) {
    const auto& rule = policy.deny[i];
    const auto mode = std::min(policy.mode, rule.mode);
    if (mode == RuleMode::Off) {
      continue;
    }
    deny_terms[i] = {mode, !rule.keys.empty(), rule.max_arguments, rule.max_value};
    denials.add(static_cast<DenyId>(i),
                {&rule.commands, &rule.keys, "", kNoClass, command::is_handshake});
  }
  denials.compile();
  read_only = policy.read_only ? policy.mode : RuleMode::Off;
}

std::uint8_t RequestRules::Impl::wants_of(std::uint16_t row) const {
  const bool in_table = row < command::table().size();
  const bool refused_writes =
      read_only != RuleMode::Off && (!in_table || command::may_write(command::table()[row]));
  const auto bit = [](bool is_set, Wants wanted) {
    return is_set ? static_cast<unsigned>(wanted) : 0U;
  };
  const auto& limit = limits.allowed_by(row);
  const auto& denial = denials.allowed_by(row);
  const bool keyed = limit.globbed || limit.classed;
  return static_cast<std::uint8_t>(bit(limit.plain || keyed, kLimits) |
                                   bit(denial.plain || denial.globbed || refused_writes, kDenials) |
                                   bit(keyed || denial.globbed, kKeys) |
                                   bit(limits.looks_at_classes(row), kClasses));
}

RequestScreen RequestRules::Impl::make_screen(const config::Policy& policy) const {
  const auto rows = static_cast<std::uint16_t>(command::table().size() + 1);
  RequestScreen out(rows, policy.classes.size());
  const ClassReach reach(policy);
  const auto each_row = [rows](const RuleIndex& index, std::uint16_t rule, const auto& action) {
    for (std::uint16_t row = 0; row < rows; ++row) {
      if (index.allows(row, rule)) {
        action(row);
      }
    }
  };
  for (std::size_t i = 0; i < policy.limits.size(); ++i) {
    const auto& limit = policy.limits[i];
    const auto classes = limit.key_class.empty()
                             ? reach.of_keys(limit.keys)
                             : reach.of_class(class_named(policy, limit.key_class));
    each_row(limits, static_cast<LimitId>(i), [&](auto row) { out.stop(row, classes); });
  }
  for (std::size_t i = 0; i < policy.deny.size(); ++i) {
    const auto& rule = policy.deny[i];
    const auto or_any = [](std::uint64_t size) {
      return size > 0 ? size : RequestScreen::kAnySize;
    };
    const bool sized = rule.max_arguments > 0 || rule.max_value > 0;
    const auto classes = reach.of_keys(rule.keys);
    each_row(denials, static_cast<DenyId>(i), [&](auto row) {
      if (sized) {
        out.stop_larger(row, or_any(rule.max_arguments), or_any(rule.max_value));
      } else {
        out.stop(row, classes);
      }
    });
  }
  for (std::uint16_t row = 0; row < rows; ++row) {
    const bool in_table = row + 1 < rows;
    if (!in_table || (read_only != RuleMode::Off && command::may_write(command::table()[row]))) {
      out.stop_larger(row, 0, 0);
    }
  }
  return out;
}

RequestRules::RequestRules()
    : wants_(command::table().size() + 1),
      screen_(wants_.size(), 0),
      impl_(std::make_unique<Impl>()) {}

RequestRules::RequestRules(const config::Policy& policy, const KeyMatcher& matcher)
    : wants_(command::table().size() + 1),
      screen_(wants_.size(), policy.classes.size()),
      impl_(std::make_unique<Impl>()) {
  impl_->matcher = &matcher;
  impl_->compile_limits(policy);
  impl_->compile_denials(policy);
  for (std::size_t row = 0; row < wants_.size(); ++row) {
    wants_[row] = impl_->wants_of(static_cast<std::uint16_t>(row));
  }
  screen_ = impl_->make_screen(policy);
}

RequestRules::~RequestRules() = default;
RequestRules::RequestRules(RequestRules&&) noexcept = default;
RequestRules& RequestRules::operator=(RequestRules&&) noexcept = default;

bool RequestRules::any_limits() const {
  return !impl_->limits.empty();
}

bool RequestRules::any_denials() const {
  return !impl_->denials.empty() || impl_->read_only != RuleMode::Off;
}

RuleMode RequestRules::limit_mode(LimitId id) const {
  return impl_->limit_modes[id];
}

void RequestRules::Impl::add_limits_of_key(const RuleIndex::Allowed& allowed,
                                           std::string_view key,
                                           ClassId key_class,
                                           std::vector<LimitMatch>& out) const {
  const auto own = out.size();
  limits.each_of_key(allowed, key, key_class, [&](LimitId id, std::string_view subject) {
    add_or_replace(out, own, {id, subject});
  });
}

void RequestRules::Impl::add_limits_of_more_keys(const RequestView& request,
                                                 const RuleIndex::Allowed& allowed,
                                                 std::vector<LimitMatch>& out) const {
  const auto begin = out.size();
  auto room = begin + kRoom;
  const bool with_classes = limits.looks_at_classes(command::index_of(*request.row));
  for (const auto key : request.keys.subspan(1)) {
    const auto key_class = with_classes ? matcher->match(key) : kNoClass;
    add_limits_of_key(allowed, key, key_class, out);
    if (out.size() > room) {
      tidy(out, begin);
      room = std::max(room, begin + 2 * (out.size() - begin));
    }
  }
}

void RequestRules::Impl::add_limits(const RequestView& request,
                                    const RuleIndex::Allowed& allowed,
                                    std::vector<LimitMatch>& out) const {
  const auto begin = out.size();
  limits.each_plain(allowed, [&](LimitId id) {
    out.push_back({id, {}});
    return true;
  });
  if (!request.keys.empty()) {
    add_limits_of_key(allowed, request.keys.front(), request.key_class, out);
    if (request.keys.size() > 1) {
      add_limits_of_more_keys(request, allowed, out);
    }
  }
  if (out.size() > begin + 1) {
    tidy(out, begin);
  }
}

bool RequestRules::may_limit_key(std::uint16_t row, std::string_view key) const {
  if (!is_in_table(row)) {
    return true;
  }
  const auto& allowed = impl_->limits.allowed_by(row);
  return allowed.plain || impl_->limits.may_hold(allowed, key, kNoClass);
}

void RequestRules::limits_of(const RequestView& request, std::vector<LimitMatch>& out) const {
  const auto row = command::index_of(*request.row);
  if (!may_limit(row)) {
    return;
  }
  if (is_in_table(row)) {
    const auto& allowed = impl_->limits.allowed_by(row);
    const auto& keys = request.keys;
    if (allowed.plain || keys.size() > 1 ||
        (keys.size() == 1 && impl_->limits.may_hold(allowed, keys.front(), request.key_class))) {
      impl_->add_limits(request, allowed, out);
    }
  } else {
    impl_->add_limits(request, allowed_outside(impl_->limits, *request.row), out);
  }
}

Denials RequestRules::Impl::first_denials(const RequestView& request,
                                          const RuleIndex::Allowed& allowed) const {
  FirstDenials first(deny_terms, request);
  denials.each_plain(allowed, [&](DenyId id) { return first.take(id); });
  for (const auto key : request.keys) {
    denials.each_of_key(
        allowed, key, kNoClass, [&](DenyId id, std::string_view /*text*/) { first.take(id); });
  }
  return first.result();
}

Denials RequestRules::denial_of(const RequestView& request) const {
  const auto row = command::index_of(*request.row);
  if (!may_deny(row)) {
    return {};
  }
  const Denial read_only{kReadOnlyRule, Denial::Reason::ReadOnly};
  const bool writes =
      impl_->read_only != RuleMode::Off && may_write(*request.row, is_in_table(row));
  if (writes && impl_->read_only == RuleMode::Enforce) {
    return {read_only, std::nullopt};
  }
  auto out = is_in_table(row)
                 ? impl_->first_denials(request, impl_->denials.allowed_by(row))
                 : impl_->first_denials(request, allowed_outside(impl_->denials, *request.row));
  if (writes) {
    out.observed = read_only;
  }
  return out;
}

}  // namespace pannier::policy
