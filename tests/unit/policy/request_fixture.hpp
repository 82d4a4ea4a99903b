#pragma once

#include "pannier/command/command.hpp"
#include "pannier/policy/request_rules.hpp"
#include "pannier/policy/rules.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::policy {

using Words = std::vector<std::string>;

inline Words split(std::string_view text) {
  Words words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// What of a rule, in one line.
inline config::LimitRule limit(Words commands, Words keys = {}, std::string capture = "") {
  config::LimitRule out;
  out.commands = std::move(commands);
  out.keys = std::move(keys);
  out.per = capture.empty() ? config::Per::All : config::Per::Capture;
  out.capture = std::move(capture);
  return out;
}

inline config::DenyRule denial(Words commands, Words keys = {}) {
  config::DenyRule out;
  out.commands = std::move(commands);
  out.keys = std::move(keys);
  return out;
}

inline config::Policy policy_of(std::vector<config::LimitRule> limits,
                                std::vector<config::DenyRule> denials = {}) {
  config::Policy out;
  out.limits = std::move(limits);
  out.deny = std::move(denials);
  return out;
}

// A request as the proxy would show it to the rules.
class Asked {
 public:
  Asked(const Rules& rules, std::string_view text) : Asked(rules, split(text)) {}

  Asked(const Rules& rules, Words words) : words_(std::move(words)) {
    arguments_.assign(words_.begin(), words_.end());
    view.row = command::find(arguments_);
    if (view.row == nullptr) {
      view.row = &unknown_;
    }
    view.arguments = arguments_;
    (void)command::extract_keys(*view.row, arguments_, keys_);
    view.keys = keys_;
    view.key_class = keys_.empty() ? kNoClass : rules.matcher.match(keys_.front());
  }

  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  Asked(Asked&&) = delete;
  Asked& operator=(Asked&&) = delete;
  ~Asked() = default;

  RequestView view;

 private:
  Words words_;
  std::vector<std::string_view> arguments_;
  std::vector<std::string_view> keys_;
  command::CommandSpec unknown_{"unknown", -1, 0, command::KeyRule::None, 0, 0, 0};
};

// "0 1=bob": the ids of the limits that hold, and their subjects.
inline std::string limits_of(const Rules& rules, const Asked& asked) {
  std::vector<LimitMatch> found;
  rules.requests.limits_of(asked.view, found);
  std::string out;
  for (const auto& each : found) {
    out += (out.empty() ? "" : " ") + std::to_string(each.id);
    out += each.subject.empty() ? "" : "=" + std::string(each.subject);
  }
  return out;
}

inline std::string limits_of(const Rules& rules, std::string_view request) {
  return limits_of(rules, Asked(rules, request));
}

inline std::string shown(const Denial& denial) {
  constexpr const char* kReasons[] = {"command", "key", "arguments", "value", "read only"};
  const auto id = denial.id == kReadOnlyRule ? std::string("-") : std::to_string(denial.id);
  return id + " " + kReasons[static_cast<std::size_t>(denial.reason)];
}

// "0 key", and behind it "observed 1 command"; empty when nothing holds.
inline std::string denial_of(const Rules& rules, const Asked& asked) {
  const auto found = rules.requests.denial_of(asked.view);
  std::string out = found.enforced ? shown(*found.enforced) : "";
  if (found.observed) {
    out += (out.empty() ? "observed " : ", observed ") + shown(*found.observed);
  }
  return out;
}

inline std::string denial_of(const Rules& rules, std::string_view request) {
  return denial_of(rules, Asked(rules, request));
}

}  // namespace pannier::policy
