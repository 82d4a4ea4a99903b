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
        R"("lag_bytes":null,"rtt_seconds":0.00031,"last_error":""},)"
        R"({"name":"cache-002:6379","role":"replica","zone":"eu-west-1b","up":true,)"
        R"("ready":false,"lag_bytes":5000000,"rtt_seconds":0.00082,"last_error":"lag unknown"},)"
        R"({"name":"<cache>-003:6379","role":"unknown","zone":"","up":false,"ready":false,)"
        R"("lag_bytes":null,"rtt_seconds":null,"last_error":"refused\u000a"}]})"
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

TEST_CASE("views: the status page is one piece, escaped, and without secrets") {
  const auto page = status_page(sample_snapshot(), page_sources());
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(contains(page, "draining"));
  CHECK(contains(page, "up 1 d 2 h"));
  CHECK(contains(page, "4,812,334"));
  CHECK(contains(page, "&lt;cache&gt;-003:6379"));
  CHECK(contains(page, "unix:/run/&lt;x&gt;"));
  for (const char* never : {"<cache>", "s3cret", "<script", "src=", "http://", "https://"}) {
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
