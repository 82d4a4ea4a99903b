#include "views.hpp"

#include "sample_snapshot.hpp"

#include <catch2/catch.hpp>

using namespace pannier::admin;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

AdminSources page_sources() {
  AdminSources out;
  out.listeners = {{"unix:/run/<x>", "strong reads"}};
  out.token = "s3cret";
  out.readiness = [] {
    return Readiness::Draining;
  };
  return out;
}

}  // namespace

TEST_CASE("views: topology tells what is known of each node") {
  CHECK(topology_json(sample_snapshot()) ==
        R"({"generation":12,"own_zone":"eu-west-1a","server_version":"7.0.15","nodes":[)"
        R"({"name":"cache-001:6379","role":"primary","zone":"eu-west-1a","up":true,"ready":true,)"
        R"("lag_bytes":null,"rtt_seconds":0.00031,"last_error":"","coherence":{"rung":"resp3",)"
        R"("reason":"","invalidated_keys":812,"flushes":1,"losses":2,"canary_age_seconds":0.4,)"
        R"("canary_lag_seconds":0.0006}},)"
        R"({"name":"cache-002:6379","role":"replica","zone":"eu-west-1b","up":true,)"
        R"("ready":false,"lag_bytes":5000000,"rtt_seconds":0.00082,"last_error":"lag unknown",)"
        R"("coherence":{"rung":"ttl","reason":"resp3: <refused>","invalidated_keys":0,"flushes":0,)"
        R"("losses":0,"canary_age_seconds":null,"canary_lag_seconds":null}},)"
        R"({"name":"<cache>-003:6379","role":"unknown","zone":"","up":false,"ready":false,)"
        R"("lag_bytes":null,"rtt_seconds":null,"last_error":"refused\u000a","coherence":null}]})"
        "\n");
}

TEST_CASE("views: stats tell sessions, commands and nodes") {
  const auto text = stats_json(sample_snapshot(), Readiness::Ready);
  CHECK(contains(text, R"("state":"ready","uptime_seconds":93784)"));
  CHECK(contains(text, R"("sessions":{"open":118,"limit":10000,"accepted":2031,"blocked":3)"));
  CHECK(contains(text, R"("config|get":{"requests":3,"errors":3,"duration_us":900})"));
  CHECK(contains(text, R"("cache-002:6379":{"requests":4811478,"inflight":7)"));
  CHECK(contains(text, R"("not_sent":4)"));
}

TEST_CASE("views: stats tell the near cache by class") {
  const auto text = stats_json(sample_snapshot(), Readiness::Ready);
  CHECK(contains(
      text,
      R"("near_cache":{"budget_bytes":134217728,"used_bytes":12582912,"entries":41002,)"
      R"("bypass_seconds":0,"invalidated_keys":812,"classes":{"product":{"hit_ratio":0.9)"));
  CHECK(contains(text,
                 R"("hits":900001,"negative_hits":20,"stale_hits":0,"error_hits":0,)"
                 R"("misses":{"absent":99999,"unproven":0,)"));
  CHECK(contains(text, R"("lease_ends":{"filled":7,"timed_out":0,)"));
  CHECK(contains(text, R"("bytes":11534336,"entries":40000,"evictions":5,"expirations":6)"));
  CHECK(contains(text, R"("<price>":{"hit_ratio":null)"));
}

TEST_CASE("views: the policy in force and what is wrong with its file") {
  auto snapshot = sample_snapshot();
  const auto text = stats_json(snapshot, Readiness::Ready);
  CHECK(contains(text, R"("policy":{"generation":4,"hash":"00c0ffee","age_seconds":)"));
  CHECK(contains(text,
                 R"("reloads":{"changed":3,"unchanged":2,"failed":1},)"
                 R"("last_error":"policy.yaml:3:5: <keys>: is missing and 2 more"})"));
  auto page = status_page(snapshot, page_sources());
  CHECK(contains(page, "generation 4 <span class=soft>hash</span> <code>00c0ffee</code>"));
  CHECK(contains(page, "not loaded: policy.yaml:3:5: &lt;keys&gt;: is missing and 2 more</p>"));
  snapshot.policy.last_error.clear();
  CHECK_FALSE(contains(status_page(snapshot, page_sources()), "not loaded"));
  snapshot.policy = {};
  page = status_page(snapshot, page_sources());
  CHECK_FALSE(contains(page, "<h2>Policy</h2>"));
  CHECK(contains(stats_json(snapshot, Readiness::Ready), R"("policy":null)"));
}

TEST_CASE("views: what reads got while upstream was away, and rehearsals of that") {
  auto snapshot = sample_snapshot();
  CHECK_FALSE(contains(status_page(snapshot, page_sources()), "rehearsal"));
  pannier::metrics::AwayTotals away;
  away.name = "product";
  away.answers = {1, 2, 3, 4};
  away.miss_over_cap = 5;
  snapshot.totals.away = {away};
  CHECK(contains(stats_json(snapshot, Readiness::Ready),
                 R"("away":{"product":{"answers":{"replica":1,"stale":2,"nil":3,"capped":4},)"));
  snapshot.faults = {{7, "error '<ERR>': any class", 12, 30}};
  CHECK(faults_json({}) == "[]\n");
  CHECK(faults_json(snapshot.faults) ==
        "[{\"id\":7,\"rule\":\"error '<ERR>': any class\",\"hits\":12,\"seconds_left\":30}]\n");
  const auto page = status_page(snapshot, page_sources());
  CHECK(contains(page, "A rehearsal is on"));
  CHECK(contains(page, "&lt;ERR&gt;"));
  CHECK(contains(page, "replica 1, stale 2, nil 3, capped 4"));
}

TEST_CASE("views: hot keys are shown as they come") {
  CHECK(hot_keys_json({}) == "[]\n");
  CHECK(hot_keys_json({{"#0123", 12.5, 100, 3, 4096}, {"a\"b", 0, 1, 0, 0}}) ==
        R"([{"key":"#0123","per_second":12.5,"count":100,"error":3,"bytes":4096},)"
        R"({"key":"a\"b","per_second":0,"count":1,"error":0,"bytes":0}])"
        "\n");
}

TEST_CASE("views: the status page shows classes, rungs and the bypass") {
  auto snapshot = sample_snapshot();
  const auto page = status_page(snapshot, page_sources());
  CHECK(contains(page, "<h2>Near cache</h2>"));
  CHECK(contains(page, "90.0 %"));
  CHECK(contains(page, "41,002 in 12MiB of 128MiB"));
  CHECK(contains(page, "&lt;price&gt;"));
  CHECK(contains(page, ">resp3</span>"));
  CHECK(contains(page, "title='resp3: &lt;refused&gt;'>ttl</span>"));
  CHECK_FALSE(contains(page, "bypassed for"));
  snapshot.totals.classes[1].shadow_hits = 3;
  snapshot.totals.classes[1].shadow_misses = 1;
  CHECK(contains(status_page(snapshot, page_sources()), "would be 75.0 %"));
  snapshot.near_cache.bypass_seconds = 75;
  CHECK(contains(status_page(snapshot, page_sources()), "bypassed for another 1 min 15 s"));
  snapshot.totals.classes.clear();
  CHECK_FALSE(contains(status_page(snapshot, page_sources()), "Near cache"));
}

TEST_CASE("views: the status page is one piece, escaped, and without secrets") {
  const auto page = status_page(sample_snapshot(), page_sources());
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(contains(page, "draining"));
  CHECK(contains(page, "up 1 d 2 h"));
  CHECK(contains(page, "4,812,334"));
  CHECK(contains(page, "&lt;cache&gt;-003:6379"));
  CHECK(contains(page, "unix:/run/&lt;x&gt;"));
  for (const char* never :
       {"<cache>", "<price>", "<refused>", "s3cret", "<script", "src=", "http://", "https://"}) {
    INFO(never);
    CHECK_FALSE(contains(page, never));
  }
}

TEST_CASE("views: the status page shows twenty commands, the most used first") {
  auto snapshot = sample_snapshot();
  snapshot.totals.commands.clear();
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) {
    names.push_back("command" + std::to_string(i) + ".");
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    snapshot.totals.commands.push_back({names[i], i + 1, 0, 1});
  }
  const auto page = status_page(snapshot, page_sources());
  CHECK(contains(page, "command29."));
  CHECK(contains(page, "command10."));
  CHECK_FALSE(contains(page, "command9."));
  CHECK(page.find("command29.") < page.find("command10."));
  CHECK(contains(page, "and 10 more"));
}

TEST_CASE("views: nothing is known yet") {
  const auto page = status_page({}, page_sources());
  CHECK(contains(page, "none was asked yet"));
  CHECK(contains(page, "no request yet"));
  CHECK(contains(topology_json({}), "\"nodes\":[]"));
  CHECK(contains(stats_json({}, Readiness::Starting), "\"commands\":{}"));
}
