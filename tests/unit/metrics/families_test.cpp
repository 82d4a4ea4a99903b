#include "families.hpp"

#include <catch2/catch.hpp>

#include <regex>
#include <set>
#include <string>

using namespace pannier::metrics;

TEST_CASE("families: names are prefixed, lower case and unique") {
  const std::regex shape("(pannier|process)(_[a-z0-9]+)+");
  std::set<std::string_view> seen;
  for (const auto& family : families()) {
    INFO(family.name);
    CHECK(std::regex_match(std::string(family.name), shape));
    CHECK(seen.insert(family.name).second);
  }
  CHECK(seen.size() > 40);
}

TEST_CASE("families: counters and only counters end in _total") {
  for (const auto& family : families()) {
    INFO(family.name);
    CHECK(family.name.ends_with("_total") == (family.type == FamilyType::Counter));
  }
}

TEST_CASE("families: units are base units and stand at the end") {
  const std::regex derived(
      ".*_(us|ms|milliseconds|microseconds|kb|mb|kib|mib|percent|minutes)(_.*)?");
  const std::regex base_unit_inside(".*_(seconds|bytes)_(?!total$).*");
  for (const auto& family : families()) {
    INFO(family.name);
    CHECK_FALSE(std::regex_match(std::string(family.name), derived));
    CHECK_FALSE(std::regex_match(std::string(family.name), base_unit_inside));
    if (family.type == FamilyType::Histogram) {
      CHECK(family.name.ends_with("_seconds"));
    }
  }
}

TEST_CASE("families: every help text is a sentence") {
  for (const auto& family : families()) {
    INFO(family.name);
    REQUIRE(family.help.size() > 10);
    CHECK(family.help.ends_with('.'));
    CHECK(family.help.find('\n') == std::string_view::npos);
    CHECK(family.collect != nullptr);
  }
}

TEST_CASE("families: no name is taken by a part of the histogram") {
  for (const auto& histogram : families()) {
    if (histogram.type != FamilyType::Histogram) {
      continue;
    }
    for (const auto& other : families()) {
      for (const char* part : {"_bucket", "_sum", "_count"}) {
        CHECK(other.name != std::string(histogram.name) + part);
      }
    }
  }
}
