#pragma once

#include "pannier/proxy/context.hpp"

#include <span>
#include <string>
#include <string_view>

// The part of PANNIER EXPLAIN that the policy and the near cache decide. Lines of "what: why".
namespace pannier::proxy {

// A line per key: its class and the glob that won. Empty when there are no keys.
[[nodiscard]] std::string explain_classes(const Context& context,
                                          std::span<const std::string_view> keys);

// Where reads of these keys go, and which rule says so (behaviour 3.1); one line without its end.
[[nodiscard]] std::string explain_reads(const Context& context,
                                        const Session& session,
                                        std::span<const std::string_view> keys);

struct ExplainedRequest {
  const command::CommandSpec* row = nullptr;
  std::span<const std::string_view> arguments;
  std::span<const std::string_view> keys;
  bool keys_known = true;
  route::NodeId node = route::kNoNode;  // that would be asked
};

// Whether it may be answered from memory or why not, by which rules, and what is there now. A
// lookup counts as a use of what is kept.
[[nodiscard]] std::string explain_near_cache(Context& context,
                                             const Session& session,
                                             const ExplainedRequest& request);

}  // namespace pannier::proxy
