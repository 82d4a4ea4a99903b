#pragma once

#include "pannier/config/loader.hpp"
#include "pannier/policy/rules.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// The policy's file becomes rules. Pure but for the file and the time; any thread.
namespace pannier::app {

// What the same bytes have in common on every sidecar.
[[nodiscard]] std::string hash_of(std::string_view text);

// A look at the file. With faults, or when it is unchanged, there are no rules.
struct PolicyLook {
  policy::RulesPtr rules;                // of the next generation
  std::vector<policy::ClassId> dropped;  // see policy::classes_to_drop
  std::vector<std::string> faults;       // all of them, "file:line:column: path: message"
  std::vector<std::string> warnings;
};

// Reads and checks the whole file and compares it with what is in force. Half a file may well be a
// policy: one that somebody writes in place is read when it has been left alone for `quiet`; after
// 1 s of waiting for that, this is a fault. Blocks for so long.
[[nodiscard]] PolicyLook look_at_policy(
    const std::string& path,
    const policy::Rules& current,
    std::chrono::milliseconds quiet = std::chrono::milliseconds(20));

// "FIRST and 3 more"; empty for none.
[[nodiscard]] std::string first_of(const std::vector<std::string>& faults);

}  // namespace pannier::app
