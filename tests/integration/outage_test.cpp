#include "dns_server.hpp"
#include "failure_rig.hpp"
#include "raw_client.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

// No node is left, or the only one is another than before: what cannot be answered is told at once,
// clients keep their connections, and all is back as soon as a node is.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = 1024UL * 1024;

// Between two requests of a phase that were answered within it.
void check_told_at_once(const LoadReport& report, const std::string& event) {
  for (const Asked asked : {Asked::Read, Asked::Write}) {
    CHECK(report.requests(asked) > 100);
    CHECK(report.count(asked, Answer::OtherError) == 0);
    CHECK(report.count(asked, Answer::Nil) == 0);
  }
  // What is not sent waits for nobody: half of it at least is answered far below any deadline.
  print_figure(event + ": p50 of refused reads", report.percentile(Asked::Read, 0.5), 10);
  CHECK(report.percentile(Asked::Read, 0.5) <= 100);
  CHECK(report.percentile(Asked::Write, 0.5) <= 100);
}

}  // namespace

TEST_CASE("outage: all nodes are gone for 10 s", "[failure]") {
  FailureRig rig;
  const std::size_t resident = rig.pannier().resident_bytes();
  for (std::size_t i = 0; i < rig.servers(); ++i) {
    rig.server(i).kill();
  }
  let_run(3s);  // the first requests find out
  rig.load().show("all nodes die");
  rig.load().begin_phase();
  let_run(7s);
  const LoadReport away = rig.load().show("all nodes away");
  check_told_at_once(away, "all nodes away");
  CHECK(away.count(Asked::Read, Answer::Ok) == 0);
  CHECK(away.count(Asked::Write, Answer::MayHaveRun) == 0);
  CHECK(rig.pannier().resident_bytes() <= resident + 64 * kMiB);

  rig.load().expect_nothing();
  rig.load().begin_phase();
  rig.server(0).restart();
  const auto restarted = Clock::now();
  rig.server(1).restart_as_replica_of(rig.server(0));
  rig.server(2).restart_as_replica_of(rig.server(0));
  rig.load().seed(rig.server(0));
  rig.time_until([&] { return rig.is_primary(0); }, 5s);
  const auto visible = Clock::now();
  REQUIRE(rig.load().wait_for_success(Asked::Write, 5s));
  REQUIRE(rig.load().wait_for_success(Asked::Read, 5s));
  rig.wait_for_copies(0);
  rig.load().expect_all();
  const LoadReport back = rig.load().show("all nodes back");
  print_figure("restart until the first write succeeds",
               back.first_success(Asked::Write, restarted).value().count(),
               500);
  print_figure("restart is visible until the first write succeeds",
               back.first_success(Asked::Write, visible).value().count(),
               100);
  CHECK(back.first_success(Asked::Write, visible).value().count() <= 100 * kSlack);
  CHECK(back.first_success(Asked::Read, visible).value().count() <= 100 * kSlack);
  rig.finish(0);
}

TEST_CASE("outage: the only node starts again, empty", "[failure]") {
  RigOptions options;
  options.replicas = 0;
  FailureRig rig(options);
  rig.server(0).kill();
  let_run(1s);
  rig.load().show("only node killed");
  rig.load().expect_nothing();
  rig.load().begin_phase();
  const auto started = Clock::now();
  rig.server(0).restart();
  const auto restarted = Clock::now();
  REQUIRE(rig.load().wait_for_success(Asked::Write, 5s));
  REQUIRE(rig.load().wait_for_success(Asked::Read, 5s));
  rig.load().seed(rig.server(0));
  rig.load().expect_all();
  const LoadReport back = rig.load().show("only node back");
  // The start of the server itself is part of the first one.
  print_figure("start of the server until the first read succeeds",
               back.first_success(Asked::Read, started).value().count(),
               500);
  const double measured = back.first_success(Asked::Read, restarted).value().count();
  print_figure("restarted until the first read succeeds", measured, 100);
  CHECK(measured <= 500 * kSlack);
  rig.finish(0);
}

TEST_CASE("outage: the only node is frozen for 2 s and has lost nothing", "[failure]") {
  RigOptions options;
  options.replicas = 0;
  FailureRig rig(options);
  rig.server(0).freeze();
  let_run(2s);
  const LoadReport frozen = rig.load().show("only node frozen");
  CHECK(frozen.count(Asked::Read, Answer::Nil) == 0);
  rig.load().begin_phase();
  rig.server(0).thaw();
  const auto thawed = Clock::now();
  REQUIRE(rig.load().wait_for_success(Asked::Write, 5s));
  REQUIRE(rig.load().wait_for_success(Asked::Read, 5s));
  const LoadReport after = rig.load().show("only node thawed");
  print_figure("thaw until the first read succeeds",
               after.first_success(Asked::Read, thawed).value().count(),
               500);
  rig.finish(0);
}

TEST_CASE("outage: the primary dies and its endpoint's name moves to a promoted replica",
          "[failure]") {
  RedisServer a;
  RedisServer b = RedisServer::start_replica_of(a, {}, {"127.0.0.2", a.port()});
  DnsServer dns({{"a.test", {"127.0.0.1"}}, {"b.test", {"127.0.0.2"}}}, {{"main.test", "a.test"}});
  const PannierProcess pannier(
      {"{ kind: replicated, primary: \"main.test:" + std::to_string(a.port()) + "\" }",
       "dns: { servers: [\"" + dns.address() + "\"] }",
       {}});
  LoadOptions options;
  options.port = pannier.port();
  FailureLoad load(options, a);
  b.wait_for_copy_of(a);
  REQUIRE(load.wait_for_calm(10s));
  a.kill();
  let_run(1s);
  load.show("endpoint's primary killed");
  load.begin_phase();
  b.wait_for_info("master_link_status", "down");
  load.expect_what_is_at(b);
  RawClient direct(b.host(), b.port());
  REQUIRE(direct.call({"REPLICAOF", "NO", "ONE"}) == "+OK\r\n");
  dns.set_aliases({{"main.test", "b.test"}});
  const auto flipped = Clock::now();
  REQUIRE(load.wait_for_success(Asked::Write, 10s));
  const LoadReport after = load.show("endpoint moved");
  const double measured = after.first_success(Asked::Write, flipped).value().count();
  // The name's TTL of 1 s is part of it.
  print_figure("name moved until the first write succeeds", measured, 1500);
  CHECK(measured <= 1500 * kSlack);
  check_end(load, b);
}

}  // namespace pannier::test
