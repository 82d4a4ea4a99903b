#pragma once

#include "pannier/metrics/snapshot.hpp"

// A Pannier in the middle of its day.
inline pannier::metrics::Snapshot sample_snapshot() {
  using namespace pannier::metrics;
  Snapshot s;
  s.build = {"0.1.0", "b2f7433", "gcc 12.2"};
  s.facts = {256U << 20U, 10000, false, "eu-west-1a", "7.0.15"};
  s.process = {412.5, 1.7e9, 93784, 48U << 20U, 300U << 20U, 120, 1024};
  s.topology_generation = 12;
  s.workers = 1;
  s.nodes = {
      {"cache-001:6379", "eu-west-1a", "primary", true, true, std::nullopt, 0.00031, ""},
      {"cache-002:6379", "eu-west-1b", "replica", true, false, 5'000'000, 0.00082, "lag unknown"},
      {"<cache>-003:6379", "", "unknown", false, false, std::nullopt, std::nullopt, "refused\n"}};
  auto& t = s.totals;
  t.sessions = 118;
  t.sessions_accepted = 2031;
  t.sessions_blocked = 3;
  t.sessions_closed[static_cast<std::size_t>(CloseReason::Client)] = 1913;
  t.refusals[static_cast<std::size_t>(Refusal::NotSent)] = 4;
  t.bytes_received = 8'123'456'789;
  t.bytes_sent = 90'123'456'789;
  t.commands = {{"get", 4'812'334, 0, 1'200'000'000},
                {"set", 512'022, 12, 210'000'000},
                {"mget", 99'120, 0, 80'000'000},
                {"config|get", 3, 3, 900}};
  t.nodes.resize(3);
  t.nodes[0].requests = 612'001;
  t.nodes[0].lanes = 2;
  t.nodes[1].requests = 4'811'478;
  t.nodes[1].inflight = 7;
  t.upstream_duration.buckets[3] = 5'000'000;
  t.upstream_duration.buckets[5] = 400'000;
  t.upstream_duration.count = 5'400'000;
  t.reads_same_zone = 4'700'000;
  t.reads_cross_zone = 111'478;
  s.near_cache = {128U << 20U, 12U << 20U, 41'002, 0, {}, {}};
  s.near_cache.nodes = {{"resp3", "", 812, 1, 2, 0.4, 0.0006},
                        {"ttl", "resp3: <refused>", 0, 0, 0, std::nullopt, std::nullopt}};
  s.policy = {4, "00c0ffee", 1.7e9, {3, 2, 1}, "policy.yaml:3:5: <keys>: is missing and 2 more"};
  t.invalidated_keys = 812;
  t.classes.resize(2);
  t.classes[0].name = "product";
  t.classes[0].hits = 900'001;
  t.classes[0].negative_hits = 20;
  t.classes[0].misses[static_cast<std::size_t>(Miss::Absent)] = 99'999;
  t.classes[0].lease_ends[static_cast<std::size_t>(LeaseEnd::Filled)] = 7;
  t.classes[0].use = {11U << 20U, 40'000, 5, 6};
  t.classes[1].name = "<price>";
  return s;
}
