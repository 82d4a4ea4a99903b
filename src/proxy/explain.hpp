#pragma once

#include "pannier/proxy/context.hpp"

#include <span>
#include <string>
#include <string_view>

namespace pannier::proxy {

// The reply of PANNIER EXPLAIN, TOPOLOGY, STATS or VERSION (`subcommand` in lower case), as RESP
// for the session's version.
[[nodiscard]] std::string pannier_command(Context& context,
                                          const Session& session,
                                          std::string_view subcommand,
                                          std::span<const std::string_view> arguments);

// Lines of STATS and TOPOLOGY: the level of the memory budget, and who holds how much.
[[nodiscard]] std::string memory_lines(const base::MemoryBudget& memory);

// "key: value" lines for PANNIER TOPOLOGY, over all workers: what each node is and does, breakers,
// failovers, further tries, refusals, memory.
[[nodiscard]] std::string describe_topology(const Context& context);

}  // namespace pannier::proxy
