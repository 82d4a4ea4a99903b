#include "pannier/metrics/registry.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pannier::metrics;

TEST_CASE("failover_families: each node's breaker, and what became of the primary") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  std::vector<NodeState> nodes(2);
  nodes[0].name = "a:6379";
  nodes[1].name = "b:6379";
  registry.set_nodes(nodes, 1);
  FailoverState state;
  state.breakers.resize(2);
  state.breakers[1] = {2, {3, 3, 4}};
  state.failovers = 5;
  state.outages = 6;
  state.last_seconds = 1.5;
  registry.set_failover(state);
  const auto text = registry.serialize();
  const auto has = [&](const std::string& line) {
    INFO(line);
    CHECK(text.find(line + "\n") != std::string::npos);
  };
  has(R"(pannier_upstream_breaker_state{node="a:6379"} 0)");
  has(R"(pannier_upstream_breaker_state{node="b:6379"} 2)");
  has(R"(pannier_upstream_breaker_transitions_total{node="b:6379",state="closed"} 3)");
  has(R"(pannier_upstream_breaker_transitions_total{node="b:6379",state="open"} 4)");
  has("pannier_failovers_total 5");
  has("pannier_primary_outages_total 6");
  has("pannier_last_primary_outage_seconds 1.5");
}
