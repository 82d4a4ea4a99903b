#include "families.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace pannier::metrics;

namespace {

// "pannier_x_total" -> pannier, x, total
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> out(1);
  for (const char c : name) {
    if (c == '_') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool is_word(const std::string& word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
}

}  // namespace

TEST_CASE("families: names are prefixed, lower case and unique") {
  std::set<std::string_view> seen;
  for (const auto& family : families()) {
    INFO(family.name);
    const auto words = words_of(family.name);
    CHECK((words.front() == "pannier" || words.front() == "process"));
    CHECK(words.size() > 1);
    CHECK(std::ranges::all_of(words, is_word));
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
  const std::set<std::string> derived{
      "us", "ms", "milliseconds", "microseconds", "kb", "mb", "kib", "mib", "percent", "minutes"};
  for (const auto& family : families()) {
    INFO(family.name);
    auto words = words_of(family.name);
    if (words.back() == "total") {
      words.pop_back();
    }
    const bool measured = words.back() == "seconds" || words.back() == "bytes";
    CHECK((measured || family.type != FamilyType::Histogram));
    words.pop_back();
    for (const auto& word : words) {
      CHECK_FALSE(derived.contains(word));
      CHECK(word != "seconds");
      CHECK(word != "bytes");
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
