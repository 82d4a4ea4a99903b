#pragma once

#include "pannier/upstream/connection.hpp"
#include "pannier/upstream/tracking.hpp"

#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pannier::test {

// One command on a connection of its own.
inline std::string command(const RedisServer& server, const std::vector<std::string>& words) {
  redisContext* context = redisConnect("127.0.0.1", server.port());
  REQUIRE(context->err == 0);
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  auto* reply = static_cast<redisReply*>(
      redisCommandArgv(context, static_cast<int>(words.size()), texts.data(), sizes.data()));
  REQUIRE(reply != nullptr);
  const std::string text =
      reply->str != nullptr ? std::string(reply->str, reply->len) : std::string();
  INFO(text);
  REQUIRE(reply->type != REDIS_REPLY_ERROR);
  freeReplyObject(reply);
  redisFree(context);
  return text;
}

// What worker 0 is to the tracker, and what it was told: "coherent 0 resp3", "lost 0", "k 0 name",
// "flush 0".
class Tracked final : public net::TurnHooks, public upstream::TrackingEvents {
 public:
  explicit Tracked(config::Config configuration = {})
      : config(patient(std::move(configuration))),
        runtime(*this, config),
        tracking(runtime, *this) {}

  ~Tracked() {
    tracking.close_all();
    tracking.sweep();
    CHECK(runtime.slots.in_use() == 0);
  }

  Tracked(const Tracked&) = delete;
  Tracked& operator=(const Tracked&) = delete;

  // `servers`: the first is the primary.
  void know(const std::vector<const RedisServer*>& servers, route::NodeId primary = 0) {
    auto next = std::make_shared<route::Topology>();
    for (const RedisServer* server : servers) {
      next->nodes.push_back(node_at(next->nodes.size(), server->port()));
      next->nodes.back().run_id = server->info("run_id");
    }
    publish(next, primary);
  }

  static route::Node node_at(std::size_t id, int port) {
    route::Node node;
    node.id = static_cast<route::NodeId>(id);
    node.name = "127.0.0.1:" + std::to_string(port);
    node.address = base::SocketAddress::from_ip("127.0.0.1", static_cast<std::uint16_t>(port));
    node.role = route::Role::Replica;
    node.reachable = true;
    node.ready = true;
    return node;
  }

  void publish(const std::shared_ptr<route::Topology>& next, route::NodeId primary) {
    next->generation = ++generation;
    next->primary = primary;
    if (primary != route::kNoNode) {
      next->nodes.at(primary).role = route::Role::Primary;
    }
    turn([&] { tracking.set_topology(next); });
  }

  void plan(std::vector<std::string> prefixes, std::vector<policy::ClassId> optin = {}) {
    turn([&] { tracking.set_plan({std::move(prefixes), std::move(optin)}); });
  }

  static config::Config patient(config::Config config) {
    config.upstream.timeouts.connect = std::chrono::seconds(2);  // the machine may be busy
    return config;
  }

  [[nodiscard]] bool run_until(const std::function<bool()>& done,
                               base::Duration limit = std::chrono::seconds(20)) {
    const auto patience = base::Clock::now() + limit;
    while (!done() && base::Clock::now() < patience) {
      runtime.poller.run_turn(base::Clock::now() + std::chrono::milliseconds(5));
      turn([this] { runtime.timers.run(runtime.now); });
    }
    return done();
  }

  void run_for(base::Duration time) {
    static_cast<void>(run_until([] { return false; }, time));
  }

  [[nodiscard]] bool reaches(route::NodeId node, upstream::Rung rung) {
    return run_until([&] { return tracking.state(node).rung == rung; });
  }

  [[nodiscard]] bool hears(const std::string& event) {
    return run_until([&] { return count(event) > 0; });
  }

  [[nodiscard]] std::size_t count(const std::string& event) const {
    return static_cast<std::size_t>(std::count(told.begin(), told.end(), event));
  }

  [[nodiscard]] const upstream::TrackingState& state(route::NodeId node = 0) const {
    return tracking.state(node);
  }

  void turn(const std::function<void()>& action) {
    begin_turn();
    action();
    end_turn();
  }

  void begin_turn() override {
    runtime.now = base::Clock::now();
    keys_in_turn = 0;
  }

  void end_turn() override {
    while (!runtime.unflushed.empty()) {
      upstream::Connection* connection = runtime.unflushed.back();
      runtime.unflushed.pop_back();
      connection->flush();
    }
    tracking.sweep();
    most_keys_in_turn = std::max(most_keys_in_turn, keys_in_turn);
  }

  void on_invalidated(route::NodeId node, std::span<const std::string_view> keys) override {
    keys_in_turn += keys.size();
    invalidated += keys.size();
    if (write_down) {
      for (const std::string_view key : keys) {
        told.push_back("k " + std::to_string(node) + " " + std::string(key));
      }
    }
  }

  void on_flushed(route::NodeId node) override { told.push_back("flush " + std::to_string(node)); }

  void on_coherent(route::NodeId node, const upstream::TrackingState& state) override {
    told.push_back("coherent " + std::to_string(node) + " " + to_string(state.rung));
  }

  void on_lost(route::NodeId node, const std::string& reason) override {
    told.push_back("lost " + std::to_string(node));
    reasons.push_back(reason);
  }

  void on_proven(route::NodeId node, base::TimePoint at, base::Duration lag) override {
    CHECK(at <= base::Clock::now());
    told.push_back((lag == base::Duration{} ? "heard " : "own ") + std::to_string(node));
  }

  config::Config config;
  upstream::Runtime runtime;
  upstream::Tracking tracking;
  std::uint64_t generation = 0;
  std::vector<std::string> told;
  std::vector<std::string> reasons;
  std::size_t keys_in_turn = 0;
  std::size_t most_keys_in_turn = 0;
  std::size_t invalidated = 0;
  bool write_down = true;
};

}  // namespace pannier::test
