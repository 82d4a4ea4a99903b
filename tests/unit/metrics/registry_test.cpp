#include "pannier/metrics/registry.hpp"

#include "exposition.hpp"
#include "families.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <thread>

using namespace pannier::metrics;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string_view> kNames{"get", "set", "config|get"};

struct Fixture {
  Registry registry{BuildInfo{"0.1.0", "abc1234", "gcc 12"}};
  // On the heap: tens of kilobytes each.
  std::unique_ptr<WorkerMetrics> a = std::make_unique<WorkerMetrics>();
  std::unique_ptr<WorkerMetrics> b = std::make_unique<WorkerMetrics>();
  NearCacheState state;
  std::size_t asked_classes = 0;

  Fixture() {
    registry.add_worker(a.get());
    registry.add_worker(b.get());
    registry.set_command_names(kNames);
  }

  void set_two_nodes() {
    NodeState primary{"one:6379", "eu-1a", "primary", true, true, std::nullopt, 0.000250, ""};
    NodeState replica{"two:6379", "", "replica", true, false, 4096, std::nullopt, "link down"};
    registry.set_nodes({primary, replica}, 7);
  }

  // Two cached classes with one between them that is not; both nodes are listened to.
  void set_near_cache() {
    registry.set_classes({{"product", true}, {"cart", false, true, true}, {"price", true}});
    registry.set_near_cache_source([this](std::size_t classes) {
      asked_classes = classes;
      return state;
    });
    state.budget_bytes = 1000;
    state.used_bytes = 600;
    state.entries = 7;
    state.classes = {{400, 4, 2, 1}, {9, 9, 9, 9}, {200, 3, 0, 5}};
    state.nodes.resize(2);
    state.nodes[0] = {"resp3", "", 12, 1, 3, 0.25, 0.0004};
    registry.set_policy({2, "00c0ffee", 1.7e9, {1, 0, 0}, ""});
    registry.set_rules_source([] { return RulesState{{"search"}, {"no-scans"}, 1, 0}; });
    DnsState dns;
    dns.names = {{"main.test:6379", pannier::base::Clock::now()}};
    registry.set_dns(dns);
    FailoverState failover;
    failover.breakers.resize(2);
    registry.set_failover(failover);
  }

  [[nodiscard]] Exposition scrape() const { return Exposition::parse(registry.serialize()); }
};

}  // namespace

TEST_CASE("registry: without workers and nodes the text is valid") {
  const Registry registry(BuildInfo{"0.1.0", "r", "c"});
  const auto text = Exposition::parse(registry.serialize());
  CHECK(text.faults.empty());
  CHECK(text.value("pannier_build_info{version=\"0.1.0\",revision=\"r\",compiler=\"c\"}") == 1);
  CHECK(text.value("pannier_client_connections") == 0);
  CHECK_FALSE(text.has("pannier_upstream_up"));
  CHECK_FALSE(text.has("pannier_commands_total"));
  CHECK(text.value("pannier_near_cache_budget_bytes") == 0);
  CHECK_FALSE(text.has("pannier_near_cache_hits_total"));
  CHECK_FALSE(text.has("pannier_coherence_rung"));
}

TEST_CASE("registry: every family has one HELP and one TYPE, and no sample comes twice") {
  Fixture f;
  f.set_two_nodes();
  f.set_near_cache();
  f.a->commands[0].requests.add();
  f.registry.set_memory_source([] {
    MemoryState memory;
    memory.owners.emplace_back("near_cache", 1);
    return memory;
  });
  f.registry.set_faults_source([] { return std::vector<FaultState>(1); });
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  for (const auto& family : families()) {
    INFO(family.name);
    REQUIRE(text.has(std::string(family.name)));
    const auto& shown = text.families.at(std::string(family.name));
    CHECK(shown.help == family.help);
    CHECK(shown.samples.size() >= 1);
  }
  CHECK(text.families.size() == families().size());
}

TEST_CASE("registry: the workers are summed") {
  Fixture f;
  f.a->sessions.add(3);
  f.b->sessions.add(4);
  f.a->sessions_closed[static_cast<std::size_t>(CloseReason::MaxClients)].add(2);
  f.b->refusals[static_cast<std::size_t>(Refusal::MayHaveRun)].add(5);
  f.b->bytes_received.add(1'000'000'007);
  const auto text = f.scrape();
  CHECK(text.value("pannier_workers") == 2);
  CHECK(text.value("pannier_client_connections") == 7);
  CHECK(text.value("pannier_client_connections_closed_total{reason=\"max_clients\"}") == 2);
  CHECK(text.value("pannier_client_connections_closed_total{reason=\"drain\"}") == 0);
  CHECK(text.value("pannier_refusals_total{reason=\"may_have_run\"}") == 5);
  CHECK(text.value("pannier_client_received_bytes_total") == 1'000'000'007);
}

TEST_CASE("registry: commands are named by row, silent ones are left out, the rest is other") {
  Fixture f;
  f.a->commands[2].requests.add(3);
  f.b->commands[2].requests.add(4);
  f.b->commands[2].errors.add();
  f.a->commands[2].duration_us.add(1500);
  f.a->commands[kNames.size()].requests.add(1);  // a row that the server taught us
  f.a->commands[kMaxCommandRows - 1].requests.add(2);
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  CHECK(text.families.at("pannier_commands_total").samples.size() == 2);
  CHECK(text.value("pannier_commands_total{cmd=\"config|get\"}") == 7);
  CHECK(text.value("pannier_commands_failed_total{cmd=\"config|get\"}") == 1);
  CHECK(text.value("pannier_commands_duration_seconds_total{cmd=\"config|get\"}") ==
        Approx(0.0015));
  CHECK(text.value("pannier_commands_total{cmd=\"other\"}") == 3);
}

TEST_CASE("registry: the last slot stays other when there are names for all rows") {
  Fixture f;
  f.registry.set_command_names(std::vector<std::string_view>(kMaxCommandRows, "x"));
  f.a->commands[kMaxCommandRows - 1].requests.add();
  CHECK(f.scrape().value("pannier_commands_total{cmd=\"other\"}") == 1);
}

TEST_CASE("registry: node families carry the node, and only `up` its role and zone") {
  Fixture f;
  f.set_two_nodes();
  f.a->nodes[1].requests.add(10);
  f.b->nodes[1].requests.add(1);
  f.a->nodes[0].pinned[static_cast<std::size_t>(PinnedState::Used)].add(2);
  f.a->nodes[2].requests.add(99);  // no such node
  const auto text = f.scrape();
  CHECK(text.faults.empty());
  CHECK(text.value("pannier_upstream_up{node=\"one:6379\",role=\"primary\",zone=\"eu-1a\"}") == 1);
  CHECK(text.value("pannier_upstream_up{node=\"two:6379\",role=\"replica\",zone=\"\"}") == 1);
  CHECK(text.value("pannier_upstream_ready{node=\"two:6379\"}") == 0);
  CHECK(text.value("pannier_upstream_requests_total{node=\"two:6379\"}") == 11);
  CHECK(text.value("pannier_upstream_pinned{node=\"one:6379\",state=\"used\"}") == 2);
  CHECK(text.value("pannier_topology_generation") == 7);
  // What is not known is absent, not 0.
  CHECK(text.families.at("pannier_upstream_lag_bytes").samples.size() == 1);
  CHECK(text.value("pannier_upstream_lag_bytes{node=\"two:6379\"}") == 4096);
  CHECK(text.value("pannier_upstream_probe_rtt_seconds{node=\"one:6379\"}") == Approx(0.00025));
}

TEST_CASE("registry: more nodes than there are counters for are cut off") {
  Fixture f;
  std::vector<NodeState> nodes(kMaxNodes + 5);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].name = "n" + std::to_string(i);
  }
  f.registry.set_nodes(nodes, 1);
  CHECK(f.scrape().families.at("pannier_upstream_lanes").samples.size() == kMaxNodes);
  CHECK(f.registry.snapshot().totals.nodes.size() == kMaxNodes);
}

TEST_CASE("registry: label values are escaped") {
  Fixture f;
  NodeState odd;
  odd.name = "a\"b\\c\nd";
  f.registry.set_nodes({odd}, 1);
  CHECK(f.scrape().faults.empty());
  CHECK(f.registry.serialize().find("node=\"a\\\"b\\\\c\\nd\"") != std::string::npos);
}

TEST_CASE("registry: the histogram is cumulative and its last bucket is the count") {
  Fixture f;
  f.a->upstream_duration.observe(20us);
  f.a->upstream_duration.observe(30us);
  f.b->upstream_duration.observe(3ms);
  f.b->upstream_duration.observe(5s);
  const auto text = f.scrape();
  const auto& family = text.families.at("pannier_request_duration_seconds");
  CHECK(family.type == "histogram");
  double last = 0;
  std::size_t buckets = 0;
  for (const auto& [sample, value] : family.samples) {
    if (sample.find("path=\"upstream\",le=") == std::string::npos) {
      continue;
    }
    CHECK(value >= last);
    last = value;
    ++buckets;
  }
  CHECK(buckets == Histogram::kBoundsUs.size() + 1);
  const std::string name = "pannier_request_duration_seconds";
  CHECK(text.value(name + "_bucket{path=\"upstream\",le=\"2.5e-05\"}") == 1);
  CHECK(text.value(name + "_bucket{path=\"upstream\",le=\"0.005\"}") == 3);
  CHECK(text.value(name + "_bucket{path=\"upstream\",le=\"1\"}") == 3);
  CHECK(text.value(name + "_bucket{path=\"upstream\",le=\"+Inf\"}") == 4);
  CHECK(text.value(name + "_count{path=\"upstream\"}") == 4);
  CHECK(text.value(name + "_sum{path=\"upstream\"}") == Approx(5.00305));
  CHECK(text.value(name + "_count{path=\"local\"}") == 0);
}

TEST_CASE("registry: facts are shown, draining also by itself") {
  Fixture f;
  f.registry.set_facts(Facts{256 << 20, 10000, false, "eu-1a", "7.0.15"});
  CHECK(f.scrape().value("pannier_memory_budget_bytes") == 268435456);
  CHECK(f.scrape().value("pannier_max_clients") == 10000);
  CHECK(f.scrape().value("pannier_draining") == 0);
  f.registry.set_draining(true);
  CHECK(f.scrape().value("pannier_draining") == 1);
  CHECK(f.registry.snapshot().facts.own_zone == "eu-1a");
}

TEST_CASE("registry: what the process uses is read") {
  const auto stats = read_process_stats();
  CHECK(stats.resident_bytes > 1'000'000);
  CHECK(stats.virtual_bytes >= stats.resident_bytes);
  CHECK(stats.open_fds >= 3);
  CHECK(stats.max_fds >= stats.open_fds);
  CHECK(stats.start_time_seconds > 1.6e9);
  CHECK(stats.uptime_seconds < 3600);
  CHECK(read_process_stats().start_time_seconds == stats.start_time_seconds);
}

TEST_CASE("registry: scrapes while workers count and nodes change") {
  Fixture f;
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    while (!stop) {
      f.a->sessions.add();
      f.a->commands[0].requests.add();
      f.a->local_duration.observe(100us);
    }
  });
  std::thread control([&] {
    while (!stop) {
      f.set_two_nodes();
      f.registry.set_nodes({}, 8);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const auto text = f.scrape();
    CHECK(text.faults.empty());
    const std::string name = "pannier_request_duration_seconds";
    CHECK(text.value(name + "_bucket{path=\"local\",le=\"+Inf\"}") ==
          text.value(name + "_count{path=\"local\"}"));
  }
  stop = true;
  worker.join();
  control.join();
}
