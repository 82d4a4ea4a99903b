#include "pannier/policy/command_checks.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/command/categories.hpp"
#include "pannier/config/nearest.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace pannier::policy {
namespace {

using command::CommandSpec;

// The rows that a name means; of a category none.
std::vector<const CommandSpec*> rows_of(std::string_view name) {
  std::vector<const CommandSpec*> out;
  for (const auto& row : command::table()) {
    if (command::is_named(row, name)) {
      out.push_back(&row);
    }
  }
  return out;
}

bool all_are(const std::vector<const CommandSpec*>& rows, bool (*quality)(const CommandSpec&)) {
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const CommandSpec* row) {
    return quality(*row);
  });
}

// "; did you mean GET?"
std::string advice(const std::string& name) {
  std::vector<std::string> known;
  if (name.starts_with('@')) {
    for (const auto category : command::category_names()) {
      known.push_back("@" + std::string(category));
    }
  } else {
    for (const auto& row : command::table()) {
      std::replace_copy(
          row.name.begin(), row.name.end(), std::back_inserter(known.emplace_back()), '|', ' ');
    }
  }
  const std::vector<std::string_view> views(known.begin(), known.end());
  const auto meant = config::nearest_name(name, views);
  return meant.empty() ? "" : "; did you mean \"" + std::string(meant) + "\"?";
}

// What is wrong with a name; empty: nothing.
std::string fault_of(const std::string& name) {
  const auto shown = "\"" + base::printable(name) + "\"";
  if (name == "@all") {
    return "there is no category \"@all\" here; leave `commands` out, or write \"@fast\" and "
           "\"@slow\", which hold all";
  }
  if (name.starts_with('@')) {
    return command::category_of(std::string_view(name).substr(1)) != 0
               ? ""
               : "there is no category " + shown + advice(name);
  }
  return rows_of(name).empty() ? "there is no command " + shown + advice(name) : "";
}

// Why a rule never holds for a name; empty: it does.
std::string doubt_of(const config::NamedCommand& command) {
  if (command.name.starts_with('@')) {
    return "";
  }
  const auto rows = rows_of(command.name);
  if (command.path.starts_with("deny") && all_are(rows, command::is_handshake)) {
    return "is never denied: client libraries send it of their own accord, or it only ends what "
           "was begun; leave it out";
  }
  if (command.path.starts_with("limits") && all_are(rows, command::is_unlimited)) {
    return "is never limited: it only ends what was begun, or asks whether Pannier is there; leave "
           "it out";
  }
  return "";
}

void add(std::vector<config::Issue>& issues,
         const config::NamedCommand& command,
         std::string message) {
  issues.push_back(config::Issue{command.line, command.column, command.path, std::move(message)});
  std::stable_sort(
      issues.begin(), issues.end(), [](const config::Issue& a, const config::Issue& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
      });
}

}  // namespace

void check_commands(config::LoadPolicyResult& loaded) {
  constexpr std::size_t kMaxTold = 100;
  for (const auto& command : loaded.commands) {
    auto fault = fault_of(command.name);
    if (!fault.empty()) {
      loaded.policy.reset();
      if (loaded.errors.size() < kMaxTold) {
        add(loaded.errors, command, std::move(fault));
      }
    } else if (auto doubt = doubt_of(command); !doubt.empty()) {
      add(loaded.warnings, command, std::move(doubt));
    }
  }
}

}  // namespace pannier::policy
