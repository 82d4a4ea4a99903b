#include "pannier/proxy/faults.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/proxy/cache_actions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

namespace pannier::proxy {
namespace {

using Fault = std::optional<std::string>;  // what is wrong; empty: nothing

constexpr std::size_t kLongestText = 200;

std::optional<int> hex_digit(char c) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  const auto at = kDigits.find(base::to_lower(std::string_view(&c, 1)));
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<int>(at));
}

// As forms are encoded: + and %XX. A % that is followed by anything else means itself.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    if (high && low) {
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<std::chrono::milliseconds> parse_period(std::string_view text) {
  const auto period = parse_bypass_period(text);
  return period ? std::optional(std::chrono::duration_cast<std::chrono::milliseconds>(*period))
                : std::nullopt;
}

std::string words_of(std::chrono::milliseconds period) {
  return period.count() % 1000 == 0 ? fmt::format("{}s", period.count() / 1000)
                                    : fmt::format("{}ms", period.count());
}

Fault set_command(FaultRule& rule, const std::string& value) {
  const auto space = value.find(' ');
  std::vector<std::string_view> words{std::string_view(value).substr(0, space)};
  if (space != std::string::npos) {
    words.push_back(std::string_view(value).substr(space + 1));
  }
  rule.row = command::find(words);
  return rule.row == nullptr
             ? Fault("command: there is no '" + base::printable(value) + "' that Pannier knows")
             : std::nullopt;
}

Fault set_percent(FaultRule& rule, std::string value) {
  if (value.ends_with('%')) {
    value.pop_back();
  }
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), rule.percent);
  const bool good = error == std::errc() && end == value.data() + value.size() &&
                    rule.percent > 0 && rule.percent <= 100;
  return good ? std::nullopt : Fault("percent: write a number above 0 and up to 100");
}

Fault set_error(FaultRule& rule, std::string text) {
  const bool starts_well = !text.empty() && text.front() >= 'A' && text.front() <= 'Z';
  const bool one_line = std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
  if (!starts_well || !one_line || text.size() > kLongestText) {
    return fmt::format(
        "action: error needs one line of at most {} characters that begins with an error's word, "
        "as in error:LOADING Redis is loading the dataset in memory",
        kLongestText);
  }
  rule.action = FaultAction::Error;
  rule.text = std::move(text);
  return std::nullopt;
}

Fault set_action(FaultRule& rule, const std::string& value) {
  const auto colon = value.find(':');
  const auto name = value.substr(0, colon);
  const auto rest = colon == std::string::npos ? std::string() : value.substr(colon + 1);
  if (name == "error") {
    return set_error(rule, rest);
  }
  if (name == "delay") {
    const auto delay = parse_period(rest);
    if (!delay || *delay > FaultRule::kLongestDelay) {
      return "action: delay needs a time of at most " + words_of(FaultRule::kLongestDelay) +
             ", as in delay:200ms";
    }
    rule.action = FaultAction::Delay;
    rule.delay = *delay;
    return std::nullopt;
  }
  if ((name == "drop" || name == "close") && rest.empty()) {
    rule.action = name == "drop" ? FaultAction::Drop : FaultAction::Close;
    return std::nullopt;
  }
  return "action: write delay:TIME, error:TEXT, drop or close";
}

Fault set_period(FaultRule& rule, const std::string& value) {
  const auto period = parse_period(value);
  if (!period || *period > FaultRule::kLongest) {
    return "for: write a time of at most " + words_of(FaultRule::kLongest) + ", as in for=60s";
  }
  rule.period = *period;
  return std::nullopt;
}

Fault set_field(FaultRule& rule, std::string_view name, std::string value) {
  if (name == "class") {
    rule.key_class = std::move(value);
    return std::nullopt;
  }
  if (name == "node") {
    rule.node = std::move(value);
    return std::nullopt;
  }
  if (name == "command") {
    return set_command(rule, value);
  }
  if (name == "percent") {
    return set_percent(rule, std::move(value));
  }
  if (name == "action") {
    return set_action(rule, value);
  }
  if (name == "for") {
    return set_period(rule, value);
  }
  return "there is no field '" + base::printable(name) +
         "'; there are class, command, node, percent, action and for";
}

std::string action_words(const FaultRule& rule) {
  switch (rule.action) {
    case FaultAction::Delay:
      return "delay " + words_of(rule.delay);
    case FaultAction::Error:
      return "error '" + rule.text + "'";
    case FaultAction::Drop:
      return "drop";
    case FaultAction::Close:
      break;
  }
  return "close";
}

void log_end(const ActiveFault& each, const char* how) {
  base::log_warn("fault",
                 "rehearsal {} {} after {} requests: {}",
                 each.id,
                 how,
                 each.hits.load(std::memory_order_relaxed),
                 in_words(each.rule));
}

}  // namespace

std::variant<FaultRule, std::string> parse_fault(std::string_view form) {
  FaultRule rule;
  std::set<std::string> seen;
  while (!form.empty() && (form.back() == '\n' || form.back() == '\r')) {
    form.remove_suffix(1);
  }
  while (!form.empty()) {
    const auto pair = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    const auto equals = std::min(pair.find('='), pair.size());
    const std::string name(pair.substr(0, equals));
    auto value = decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (value.empty()) {
      return "'" + base::printable(name) + "' needs a value; leave it out for any";
    }
    if (auto fault = set_field(rule, name, std::move(value))) {
      return *fault;
    }
    if (!seen.insert(name).second) {
      return "'" + name + "' is there twice";
    }
  }
  if (!seen.contains("action")) {
    return "action is missing: delay:TIME, error:TEXT, drop or close";
  }
  if (!seen.contains("for")) {
    return "for is missing: each rehearsal ends by itself, after at most " +
           words_of(FaultRule::kLongest);
  }
  return rule;
}

std::string in_words(const FaultRule& rule) {
  const auto any = [](std::string_view what, std::string_view value) {
    return value.empty() ? fmt::format("any {}", what) : fmt::format("{} {}", what, value);
  };
  return fmt::format("{}: {}, {}, {}, {}% of requests",
                     action_words(rule),
                     any("class", base::printable(rule.key_class)),
                     any("command", rule.row == nullptr ? std::string_view() : rule.row->name),
                     any("node", base::printable(rule.node)),
                     rule.percent);
}

std::uint64_t FaultTable::add(FaultRule rule, base::TimePoint now) {
  const std::scoped_lock lock(mutex_);
  auto next = faults_ ? std::make_shared<FaultSet>(*faults_) : std::make_shared<FaultSet>();
  if (next->size() >= kMost) {
    return 0;
  }
  auto fault = std::make_shared<ActiveFault>();
  fault->id = next_id_++;
  fault->until = now + rule.period;
  fault->rule = std::move(rule);
  base::log_warn("fault",
                 "rehearsal {} is on for {}: {}; requests fail on purpose, POST /faults/clear on "
                 "the admin port ends it",
                 fault->id,
                 words_of(fault->rule.period),
                 in_words(fault->rule));
  next->push_back(fault);
  faults_ = std::move(next);
  return fault->id;
}

bool FaultTable::expire(base::TimePoint now) {
  const std::scoped_lock lock(mutex_);
  if (!faults_) {
    return false;
  }
  auto next = std::make_shared<FaultSet>();
  for (const auto& each : *faults_) {
    if (each->until <= now) {
      log_end(*each, "is over");
    } else {
      next->push_back(each);
    }
  }
  const bool changed = next->size() < faults_->size();
  faults_ = next->empty() ? nullptr : FaultSetPtr(std::move(next));
  return changed;
}

std::size_t FaultTable::clear() {
  const std::scoped_lock lock(mutex_);
  const FaultSetPtr all = std::exchange(faults_, nullptr);
  if (!all) {
    return 0;
  }
  for (const auto& each : *all) {
    log_end(*each, "was ended");
  }
  return all->size();
}

FaultSetPtr FaultTable::all() const {
  const std::scoped_lock lock(mutex_);
  return faults_;
}

}  // namespace pannier::proxy
