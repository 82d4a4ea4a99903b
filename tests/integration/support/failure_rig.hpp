#pragma once

#include "failure_load.hpp"
#include "pannier_process.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pannier::test {

struct RigOptions {
  std::size_t replicas = 2;
  bool relays = false;        // between Pannier and each server
  bool primary_near = false;  // reads go to the primary, which is alone in Pannier's zone
  std::string upstream;       // further keys of `upstream:`
  std::string rest;           // further lines of pannier.yaml
  std::string classes;        // further lines of the policy's `classes:`
  LoadOptions load;
};

// A primary and its replicas, Pannier before them with its default time-outs, and the strict load,
// whose keys belong to classes that allow replicas. All is settled and loaded when the constructor
// returns; the test ends it with `finish`.
class FailureRig {
 public:
  using Clock = std::chrono::steady_clock;

  explicit FailureRig(const RigOptions& options = {});

  [[nodiscard]] RedisServer& server(std::size_t i) { return *servers_.at(i); }

  [[nodiscard]] Relay& relay(std::size_t i) { return *relays_.at(i); }

  [[nodiscard]] std::size_t servers() const { return servers_.size(); }

  [[nodiscard]] const PannierProcess& pannier() const { return *pannier_; }

  [[nodiscard]] FailureLoad& load() { return *load_; }

  // How Pannier calls a node.
  [[nodiscard]] std::string node(std::size_t i) const;

  // Of a dead primary's replica: REPLICAOF NO ONE; the others that run become its replicas. Before
  // it, nothing more is expected of the load's keys than this server has.
  void promote(std::size_t i);
  // Makes one a replica of another, which is running.
  void follow(std::size_t i, std::size_t primary);
  // Until every server has what this one had when it was called.
  void wait_for_copies(std::size_t primary);

  [[nodiscard]] bool is_ready(std::size_t i) const;
  [[nodiscard]] bool is_primary(std::size_t i) const;  // as Pannier sees it
  // Until Pannier says so, asked as often as it can answer; throws after `limit`.
  std::chrono::milliseconds time_until(const std::function<bool()>& condition,
                                       std::chrono::milliseconds limit) const;

  // Kills the server while at least `count` such requests wait for it: it is stopped first.
  // Returns how many there were.
  std::size_t kill_under_way(std::size_t i, Asked asked, std::size_t count);

  // `check_end`, and that Pannier is well.
  void finish(std::size_t primary);

 private:
  std::vector<std::unique_ptr<RedisServer>> servers_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::optional<PannierProcess> pannier_;
  std::optional<FailureLoad> load_;
};

// For tests that busy machines run: bounds are asserted with this much slack.
constexpr int kSlack = 3;

// For as long as a fault lasts, or its consequences are to be seen.
void let_run(std::chrono::milliseconds time);

// What holds of classes that allow replicas where another ready node exists: no read has failed,
// and their p99 is below timeouts.read (with slack; printed).
void check_reads(const LoadReport& report, const std::string& event);
// The same where the primary is silent: reads behind an unanswered write of their session keep to
// the primary (behaviour 1.3), and may be told that it does not answer.
void check_reads_apart(const LoadReport& report, const std::string& event);

// Waits until nothing fails any more, compares the data with the primary's, stops the load, and
// asserts what holds in every scenario: no violation, no client connection lost.
void check_end(FailureLoad& load, const RedisServer& primary);

// "measured (bound ...)" for figures of the issue, where the assertion has slack for busy machines.
void print_figure(const std::string& what, double measured_ms, double bound_ms);

}  // namespace pannier::test
