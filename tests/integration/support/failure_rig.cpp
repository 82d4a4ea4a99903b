#include "failure_rig.hpp"

#include "raw_client.hpp"

#include <catch2/catch.hpp>

#include <iostream>
#include <stdexcept>
#include <thread>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

std::string policy_of(const RigOptions& options) {
  const std::string reads = options.primary_near ? "same-zone" : "replica";
  return "version: 1\nclasses:\n  - { name: still, keys: [\"still:*\"], reads: " + reads +
         " }\n  - { name: moving, keys: [\"moving:*\"], reads: " + reads + " }\n" + options.classes;
}

}  // namespace

FailureRig::FailureRig(const RigOptions& options) {
  std::string nodes = "{ nodes: [";
  for (std::size_t i = 0; i <= options.replicas; ++i) {
    servers_.push_back(std::make_unique<RedisServer>());
    if (i > 0) {
      follow(i, 0);
    }
    if (options.relays) {
      relays_.push_back(std::make_unique<Relay>(server(i).port()));
    }
    nodes += (i == 0 ? "" : ", ") + std::string("{ address: \"") + node(i) +
             "\", zone: " + (i == 0 ? "near" : "far") + " }";
  }
  for (std::size_t i = 1; i < servers_.size(); ++i) {
    server(i).wait_for_info("master_link_status", "up");
  }
  nodes += "]" + (options.upstream.empty() ? "" : ", " + options.upstream) + " }";
  pannier_.emplace(PannierOptions{
      nodes,
      options.rest + (options.primary_near ? "\nzone: near\n" : "\nzone: elsewhere\n"),
      {},
      policy_of(options)});
  LoadOptions load = options.load;
  load.port = pannier_->port();
  REQUIRE(wait_until(
      [&] {
        return pannier_->metric_sum("pannier_upstream_ready") ==
               static_cast<double>(servers_.size());
      },
      20s));
  load_.emplace(load, server(0));
  wait_for_copies(0);  // else a replica might not have what was written straight to the primary
  REQUIRE(load_->wait_for_calm(10s));
  load_->begin_phase();
}

std::string FailureRig::node(std::size_t i) const {
  const int port = relays_.size() > i ? relays_[i]->port() : servers_.at(i)->port();
  return "127.0.0.1:" + std::to_string(port);
}

void FailureRig::promote(std::size_t i) {
  // By then it has applied all that came from its primary.
  server(i).wait_for_info("master_link_status", "down");
  load().expect_what_is_at(server(i));
  RawClient client(server(i).port());
  REQUIRE(client.call({"REPLICAOF", "NO", "ONE"}) == "+OK\r\n");
  for (std::size_t other = 0; other < servers_.size(); ++other) {
    if (other != i && server(other).is_running()) {
      follow(other, i);
    }
  }
}

void FailureRig::follow(std::size_t i, std::size_t primary) {
  RawClient client(server(i).port());
  const std::string reply =
      client.call({"REPLICAOF", "127.0.0.1", std::to_string(server(primary).port())});
  REQUIRE(reply.starts_with("+OK"));
}

void FailureRig::wait_for_copies(std::size_t primary) {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (i != primary && server(i).is_running()) {
      server(i).wait_for_copy_of(server(primary));
    }
  }
}

bool FailureRig::is_ready(std::size_t i) const {
  return pannier_->metric_sum("pannier_upstream_ready", "node=\"" + node(i) + "\"") == 1;
}

bool FailureRig::is_primary(std::size_t i) const {
  return pannier_->metric_sum("pannier_upstream_up", "node=\"" + node(i) + "\",role=\"primary\"") ==
         1;
}

std::chrono::milliseconds FailureRig::time_until(const std::function<bool()>& condition,
                                                 std::chrono::milliseconds limit) const {
  const auto start = Clock::now();
  while (!condition()) {
    if (Clock::now() > start + limit) {
      throw std::runtime_error("Pannier does not see it within " + std::to_string(limit.count()) +
                               " ms");
    }
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

std::size_t FailureRig::kill_under_way(std::size_t i, Asked asked, std::size_t count) {
  server(i).freeze();
  std::size_t most = 0;
  static_cast<void>(wait_until(
      [&] {
        most = std::max(most, load().in_flight(asked));
        return most >= count;
      },
      1s));
  server(i).kill();
  return most;
}

void FailureRig::finish(std::size_t primary) {
  check_end(load(), server(primary));
  CHECK(pannier_->get("/healthz").find(" 200 ") != std::string::npos);
}

void let_run(std::chrono::milliseconds time) {
  std::this_thread::sleep_for(time);
}

void check_reads(const LoadReport& report, const std::string& event) {
  check_reads_apart(report, event);
  CHECK(report.failures(Asked::ReadBehind) == 0);
}

void check_reads_apart(const LoadReport& report, const std::string& event) {
  constexpr double kReadDeadline = 500;  // timeouts.read
  const double p99 = report.percentile(Asked::Read, 0.99);
  CHECK(report.requests(Asked::Read) > 100);
  CHECK(report.failures(Asked::Read) == 0);
  CHECK(report.count(Asked::ReadBehind, Answer::Nil) == 0);
  CHECK(report.count(Asked::ReadBehind, Answer::OtherError) == 0);
  print_figure(event + ": p99 of reads", p99, kReadDeadline);
  CHECK(p99 <= kSlack * kReadDeadline);
}

void check_end(FailureLoad& load, const RedisServer& primary) {
  load.begin_phase();
  if (!load.wait_for_calm(10s)) {
    FAIL_CHECK("not well again 10 s later:\n" << load.report().text("since") << load.waiting());
  }
  load.check_data(primary);
  load.stop();
  load.check_data(primary);
  for (const std::string& violation : load.violations()) {
    FAIL_CHECK(violation);
  }
  CHECK(load.connections_lost() == 0);
  CHECK(load.acknowledged_writes() > 0);
}

void print_figure(const std::string& what, double measured_ms, double bound_ms) {
  std::cout << what << ": " << measured_ms << " ms (bound " << bound_ms << " ms)" << std::endl;
}

}  // namespace pannier::test
