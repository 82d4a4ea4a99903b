#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/proxy/explain_rules.hpp"

#include <string>

// The part of PANNIER EXPLAIN that only a running Pannier knows. Lines of "what: why".
namespace pannier::proxy {

[[nodiscard]] ReadsSources reads_sources(const Context& context, const Session& session);

[[nodiscard]] RuleFacts rule_facts(const Context& context, const Session& session);

// Whether it may be answered from memory or why not, by which rules, and what is there now. A
// lookup counts as a use of what is kept. `node`: that would be asked.
[[nodiscard]] std::string explain_near_cache(Context& context,
                                             const Session& session,
                                             const ExplainedRequest& request,
                                             route::NodeId node);

}  // namespace pannier::proxy
