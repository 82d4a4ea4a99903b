#include "near_cache_words.hpp"

#include "pannier/proxy/near_cache_state.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace pannier::proxy {

namespace {

using metrics::ClassTotals;
using metrics::Miss;
using metrics::NearCacheState;

std::vector<ClassTotals> two_classes() {
  std::vector<ClassTotals> out(2);
  out[0].name = "product";
  out[0].hits = 5;
  out[0].negative_hits = 2;
  out[0].stale_hits = 1;
  out[0].error_hits = 4;
  out[0].misses[static_cast<std::size_t>(Miss::Absent)] = 2;
  out[0].joins = 3;
  out[0].use = {400, 4, 1, 0};
  out[1].name = "price";
  out[1].hits = 1;
  out[1].misses[static_cast<std::size_t>(Miss::Bypass)] = 5;
  return out;
}

NearCacheState some_state() {
  NearCacheState out;
  out.budget_bytes = 1000;
  out.used_bytes = 600;
  out.entries = 7;
  out.bypass_seconds = 89.6;
  out.nodes = {{"redirect", "resp3: -NOPROTO, sorry", 12, 1, 3, 0.25, 0.0004}, {}};
  return out;
}

std::string value_of(const InfoFields& fields, std::string_view name) {
  const auto found = std::find_if(
      fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; });
  return found == fields.end() ? "absent" : found->second;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("near_cache_words: INFO sums the classes and names each node's rung", "[proxy]") {
  InfoFields fields;
  const auto classes = two_classes();
  const std::vector<std::string> names{"one:6379", "two:6379"};
  add_near_cache_fields(fields, some_state(), classes, names);
  CHECK(value_of(fields, "near_cache_bytes") == "600");
  CHECK(value_of(fields, "near_cache_budget") == "1000");
  CHECK(value_of(fields, "near_cache_entries") == "7");
  CHECK(value_of(fields, "near_cache_hits") == "6");
  CHECK(value_of(fields, "near_cache_negative_hits") == "2");
  CHECK(value_of(fields, "near_cache_stale_hits") == "1");
  CHECK(value_of(fields, "near_cache_error_hits") == "4");
  CHECK(value_of(fields, "near_cache_misses") == "7");
  CHECK(value_of(fields, "near_cache_hit_ratio") == "0.5625");  // 9 of 16
  CHECK(value_of(fields, "near_cache_joins") == "3");
  CHECK(value_of(fields, "near_cache_bypass_seconds") == "90");
  CHECK(value_of(fields, "tracking_0") ==
        "node=one:6379,rung=redirect,reason=resp3: -NOPROTO, sorry");
  CHECK(value_of(fields, "tracking_1") == "node=two:6379,rung=none,reason=");
}

TEST_CASE("near_cache_words: INFO without classes has zeros and no tracking", "[proxy]") {
  InfoFields fields;
  add_near_cache_fields(fields, {}, {}, std::vector<std::string>{"one:6379"});
  CHECK(value_of(fields, "near_cache_hits") == "0");
  CHECK(value_of(fields, "near_cache_hit_ratio") == "0.0000");
  CHECK(value_of(fields, "tracking_0") == "absent");
}

TEST_CASE("near_cache_words: STATS has a line for the whole and one per class", "[proxy]") {
  const auto classes = two_classes();
  const std::string text = near_cache_lines(some_state(), classes);
  CHECK(
      text.starts_with("near_cache: workers=all bytes=600 budget=1000 entries=7 "
                       "bypass_seconds=90\nclass: product hit_ratio=0.8000 hits=5 "
                       "negative_hits=2 stale_hits=1 error_hits=4 misses=2 joins=3 "));
  CHECK(contains(text, " bytes=400 entries=4 evictions=1 expirations=0\nclass: price "));
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
}

TEST_CASE("near_cache_words: TOPOLOGY says what is known of a node's coherence", "[proxy]") {
  CHECK(coherence_line("one:6379", some_state().nodes[0]) ==
        "coherence: one:6379 rung=redirect invalidated_keys=12 flushes=1 losses=3 "
        "canary_age_ms=250 canary_lag_us=400 reason=resp3: -NOPROTO, sorry\n");
  CHECK(coherence_line("two:6379", {}) ==
        "coherence: two:6379 rung=none invalidated_keys=0 flushes=0 losses=0 "
        "canary_age_ms=unknown canary_lag_us=unknown\n");
}

TEST_CASE("near_cache_state: rungs have the tracker's names", "[proxy]") {
  for (std::size_t i = 0; i < metrics::kRungs.size(); ++i) {
    CHECK(metrics::kRungs.at(i) == upstream::to_string(static_cast<upstream::Rung>(i)));
  }
}

TEST_CASE("near_cache_state: what is shared becomes plain values", "[proxy]") {
  Sessions sessions;
  Shared& shared = sessions.shared;
  const base::TimePoint now = base::Clock::now();
  CHECK(near_cache_state(shared, 0, now).nodes.empty());
  CHECK(near_cache_state(shared, 0, now).bypass_seconds == 0);
  upstream::TrackingState heard;
  heard.rung = upstream::Rung::Resp3;
  heard.keys = 9;
  heard.losses = 2;
  heard.canary_seen = now - std::chrono::milliseconds(500);
  heard.canary_lag = std::chrono::microseconds(300);
  shared.tracking_states.set({heard, {}});
  shared.bypass_until = (now + std::chrono::seconds(30)).time_since_epoch().count();
  const NearCacheState state = near_cache_state(shared, 3, now);
  CHECK(state.bypass_seconds == Approx(30));
  CHECK(state.classes.size() == 3);
  REQUIRE(state.nodes.size() == 2);
  CHECK(state.nodes[0].rung == "resp3");
  CHECK(state.nodes[0].keys == 9);
  CHECK(state.nodes[0].losses == 2);
  CHECK(*state.nodes[0].canary_age_seconds == Approx(0.5));
  CHECK(*state.nodes[0].canary_lag_seconds == Approx(0.0003));
  CHECK(state.nodes[1].rung == "none");
  CHECK_FALSE(state.nodes[1].canary_age_seconds);
  CHECK_FALSE(state.nodes[1].canary_lag_seconds);
  // A bypass that is over is none.
  CHECK(near_cache_state(shared, 3, now + std::chrono::minutes(1)).bypass_seconds == 0);
}

TEST_CASE("near_cache_state: only classes with a cache are shown", "[proxy]") {
  config::Policy policy;
  policy.classes.resize(3);
  policy.classes[0].name = "cart";
  policy.classes[1].name = "product";
  policy.classes[1].cache.emplace();
  policy.classes[2].name = "price";
  policy.classes[2].cache.emplace().mode = config::RuleMode::Off;
  const auto facts = class_facts(*policy::compile(policy));
  REQUIRE(facts.size() == 3);
  CHECK_FALSE(facts[0].cached);
  CHECK(facts[1].name == "product");
  CHECK(facts[1].cached);
  CHECK_FALSE(facts[2].cached);
}

}  // namespace pannier::proxy
