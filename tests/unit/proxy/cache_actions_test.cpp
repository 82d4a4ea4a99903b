#include "pannier/proxy/cache_actions.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string_view>
#include <vector>

namespace pannier::proxy {

using namespace std::chrono_literals;

TEST_CASE("cache_actions: a bypass lasts a period with its unit, at most a day", "[proxy]") {
  CHECK(parse_bypass_period("500ms") == 500ms);
  CHECK(parse_bypass_period("30s") == 30s);
  CHECK(parse_bypass_period("10m") == 10min);
  CHECK(parse_bypass_period("24h") == 24h);
  CHECK(parse_bypass_period("86400s") == 24h);
  for (const std::string_view text : {"",
                                      "0s",
                                      "10",
                                      "m",
                                      "-1s",
                                      "1.5s",
                                      "1 s",
                                      "1d",
                                      "25h",
                                      "86401s",
                                      "99999999999999999999s",
                                      "9223372036854775807h",
                                      "off"}) {
    INFO(text);
    CHECK_FALSE(parse_bypass_period(text));
  }
}

TEST_CASE("cache_actions: a bypass begins and ends for all workers", "[proxy]") {
  Sessions sessions;
  const base::TimePoint until{5s};
  set_bypass(sessions.shared, until);
  CHECK(sessions.shared.bypass_until == until.time_since_epoch().count());
  set_bypass(sessions.shared, {});
  CHECK(sessions.shared.bypass_until == 0);
}

TEST_CASE("cache_actions: invalidating tells how many replies went", "[proxy]") {
  Sessions sessions;
  cache::NearCache& cache = sessions.shared.near_cache;
  const base::TimePoint now = base::Clock::now();
  cache::Query query;
  query.key = "a";
  query.hash = cache::NearCache::hash(query.key);
  cache::NearCache::Reply reply;
  reply.tracked = false;
  reply.bytes = "$1\r\nv\r\n";
  reply.life.fresh_until = reply.life.keep_until = now + 10s;
  REQUIRE(cache.install(query, cache.begin(query), reply, now) == cache::Kept::Yes);
  CHECK(invalidate_keys(sessions.context, std::vector<std::string_view>{"a", "b"}) == 1);
  CHECK_FALSE(cache.find(query, now));
  CHECK(invalidate_keys(sessions.context, std::vector<std::string_view>{"a"}) == 0);
}

TEST_CASE("cache_actions: hot keys of all workers are summed, the most used first", "[proxy]") {
  std::vector<std::vector<cache::HotKeys::Entry>> parts{
      {{"a", 10, 1, 100, 5.0}, {"b", 8, 0, 80, 4.0}},
      {{"c", 2, 0, 20, 1.0}, {"b", 8, 2, 80, 4.0}},
      {},
  };
  const auto all = merge_hot_keys(std::move(parts), 2);
  REQUIRE(all.size() == 2);
  CHECK(all[0].key == "b");
  CHECK(all[0].count == 16);
  CHECK(all[0].error == 2);
  CHECK(all[0].bytes == 160);
  CHECK(all[0].per_second == 8.0);
  CHECK(all[1].key == "a");
  CHECK(merge_hot_keys({}, 5).empty());
}

TEST_CASE("cache_actions: a hidden key is always hidden alike, and tells nothing", "[proxy]") {
  const std::string hidden = hidden_key("session:alice");
  CHECK(hidden.size() == 17);
  CHECK(hidden.starts_with("#"));
  CHECK(hidden.find("alice") == std::string::npos);
  CHECK(hidden == hidden_key("session:alice"));
  CHECK(hidden != hidden_key("session:bob"));
}

}  // namespace pannier::proxy
