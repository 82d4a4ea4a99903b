#pragma once

#include "pannier/command/command.hpp"
#include "pannier/policy/rules.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the policy says of a request, in lines of "what: why", decided from the rules alone: what
// PANNIER EXPLAIN and `pannier explain` have in common. Pure functions.
namespace pannier::proxy {

struct ExplainedRequest {
  const command::CommandSpec* row = nullptr;
  std::span<const std::string_view> arguments;
  std::span<const std::string_view> keys;
  bool keys_known = true;  // else `keys` is empty
};

// What says where reads go when no class does (behaviour 3.1).
struct ReadsSources {
  config::Reads config = config::Reads::Primary;  // pannier.yaml
  std::optional<config::Reads> listener;
  std::string listener_name;
  bool strong = false;  // the listener's
};

// What rules on TTLs ask about the moment.
struct RuleFacts {
  std::int64_t unix_now = 0;   // milliseconds
  bool has_conditions = true;  // the server's PEXPIRE knows NX and LT (7.0)
  bool in_multi = false;
};

// "command", "handling", and, when it goes to a server at all, "arguments" and "keys".
[[nodiscard]] std::string explain_command(const ExplainedRequest& request);

// Whether it goes to a server, and the rest of the lines makes sense.
[[nodiscard]] bool goes_upstream(const command::CommandSpec& row);

// A line per key: its class and the glob that won; then one per class: what it says. Empty when
// there are no keys.
[[nodiscard]] std::string explain_classes(const policy::Rules& rules,
                                          std::span<const std::string_view> keys);

// Where reads of a class go and which rule says so.
[[nodiscard]] std::pair<config::Reads, std::string> reads_of(const policy::Rules& rules,
                                                             const ReadsSources& sources,
                                                             policy::ClassId id);

// What a read of these keys would get while upstream is away; empty for what is no read.
[[nodiscard]] std::string away_line(const policy::Rules& rules,
                                    const ReadsSources& sources,
                                    const ExplainedRequest& request);

// Where reads of these keys go, and which rule says so; one line without its end.
[[nodiscard]] std::string explain_reads(const policy::Rules& rules,
                                        const ReadsSources& sources,
                                        std::span<const std::string_view> keys);

// Denials, limits, and what TTL rules make of it.
[[nodiscard]] std::string explain_rules(const policy::Rules& rules,
                                        const ExplainedRequest& request,
                                        const RuleFacts& facts);

// Why the rules and the command forbid an answer from memory; empty: they allow it.
[[nodiscard]] std::string cache_refusal(const policy::Rules& rules,
                                        const ExplainedRequest& request);

// How long the class keeps a reply, and who may fill a missing key.
[[nodiscard]] std::string life_lines(const config::CacheRules& cache);
[[nodiscard]] std::string lease_line(const config::PolicyClass& rules,
                                     const command::CommandSpec& row);

// All of it, for `pannier explain`, which has no running Pannier to ask. `request` is not empty.
[[nodiscard]] std::string explain_offline(const policy::Rules& rules,
                                          const ReadsSources& sources,
                                          const RuleFacts& facts,
                                          std::span<const std::string_view> request);

}  // namespace pannier::proxy
