#include "pannier/policy/rules.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)

namespace {

KeyMatcher matcher_of(const std::vector<std::string>& globs) {
  KeyMatcher matcher;
  for (std::size_t i = 0; i < globs.size(); ++i) {
    matcher.add(globs[i], static_cast<ClassId>(i));
  }
  matcher.compile();
  return matcher;
}

using Rank = std::pair<std::size_t, std::size_t>;  // literal prefix, literals

Rank rank_of(const std::string& glob) {
  return {literal_prefix(glob).size(), pannier::config::literal_count(glob)};
}

// What behaviour 8.1 says, glob by glob; nothing when no glob matches.
std::optional<Rank> best_rank(const std::vector<std::string>& globs, const std::string& key) {
  std::optional<Rank> best;
  for (const auto& glob : globs) {
    if (glob_matches(glob, key) && (!best || rank_of(glob) > *best)) {
      best = rank_of(glob);
    }
  }
  return best;
}

void check_key(const KeyMatcher& matcher,
               const std::vector<std::string>& globs,
               const std::string& key) {
  const auto best = best_rank(globs, key);
  const auto found = matcher.match(key);
  if (!best) {
    REQUIRE(found == kNoClass);
    return;
  }
  REQUIRE(found != kNoClass);
  REQUIRE(glob_matches(globs[found], key));
  REQUIRE(rank_of(globs[found]) == *best);
}

}  // namespace

TEST_CASE("key_matcher: nothing added, nothing matched", "[policy]") {
  KeyMatcher matcher;
  CHECK(matcher.match("") == kNoClass);
  CHECK(matcher.match("a") == kNoClass);
  matcher.compile();
  CHECK(matcher.match("") == kNoClass);
  CHECK(matcher.match("a") == kNoClass);
}

TEST_CASE("key_matcher: the longest literal prefix wins, then more literals", "[policy]") {
  const auto matcher = matcher_of({"*",
                                   "product:*",
                                   "product:*:price",
                                   "product:special",
                                   "v?:product:*",
                                   "v?:*",
                                   "prod*",
                                   "{tenant}:price:*"});
  CHECK(matcher.match("") == 0);
  CHECK(matcher.match("pro") == 0);
  CHECK(matcher.match("prod") == 6);
  CHECK(matcher.match("product") == 6);
  CHECK(matcher.match("product:") == 1);
  CHECK(matcher.match("product:7") == 1);
  CHECK(matcher.match("product:7:price") == 2);
  CHECK(matcher.match("product:special") == 3);
  CHECK(matcher.match("product:special:price") == 2);
  CHECK(matcher.match("product:specials") == 1);
  CHECK(matcher.match("v1:product:7") == 4);
  CHECK(matcher.match("v1:price:7") == 5);
  CHECK(matcher.match("v11:price:7") == 7);
  CHECK(matcher.match(":price:7") == 0);
  CHECK(matcher.match("x:price:") == 7);
}

TEST_CASE("key_matcher: keys are bytes", "[policy]") {
  const auto matcher = matcher_of({"\xff\xfe*", std::string("a\0b", 3), "[\x80-\xff]?"});
  CHECK(matcher.match("\xff\xfe\xfd") == 0);
  CHECK(matcher.match(std::string("a\0b", 3)) == 1);
  CHECK(matcher.match("a") == kNoClass);
  CHECK(matcher.match("\x90\x01") == 2);
  CHECK(matcher.match("\xff\x01") == 2);
}

TEST_CASE("key_matcher: many stars and a long key that they almost match", "[policy]") {
  const auto matcher = matcher_of({"*a*a*a*a*a*a*a*b", "*a*a*a*a*a*a*c", "*a?a?a*a*a*d"});
  std::string key(20000, 'a');
  CHECK(matcher.match(key) == kNoClass);
  CHECK(matcher.match(key + "b") == 0);
  CHECK(matcher.match(key + "c") == 1);
  CHECK(matcher.match(key + "d") == 2);
}

TEST_CASE("key_matcher: a thousand classes", "[policy]") {
  std::vector<std::string> globs;
  for (int i = 0; i < 500; ++i) {
    globs.push_back("class" + std::to_string(i) + ":*");
    globs.push_back("{tenant}:class" + std::to_string(i) + ":*");
  }
  const auto matcher = matcher_of(globs);
  for (int i = 0; i < 500; ++i) {
    const auto key = "class" + std::to_string(i) + ":1";
    CHECK(matcher.match(key) == 2 * i);
    CHECK(matcher.match("t:" + key) == 2 * i + 1);
    if (i % 20 == 0) {
      check_key(matcher, globs, "class1:" + key);
    }
  }
}

TEST_CASE("key_matcher: agrees with trying every glob", "[policy]") {
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp)
  const std::vector<std::string> parts = {"a",
                                          "b",
                                          ":",
                                          "ab",
                                          "ba:",
                                          "a:b",
                                          "*",
                                          "*",
                                          "?",
                                          "[ab]",
                                          "[^:]",
                                          "[b:]",
                                          "[^:-a]",
                                          "{x}:",
                                          "{y}b"};
  const auto text = [&](std::size_t most) {
    std::string out;
    for (auto n = random() % (most + 1); n > 0; --n) {
      out += "ab:"[random() % 3];
    }
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> globs;
    const auto count = 1 + random() % 24;
    while (globs.size() < count) {
      auto glob = text(random() % 5);
      for (auto n = random() % 6; n > 0; --n) {
        glob += parts[random() % parts.size()];
      }
      if (glob_fault(glob).empty()) {
        globs.push_back(glob);
      }
    }
    const auto matcher = matcher_of(globs);
    for (int i = 0; i < 60; ++i) {
      const auto key = text(14);
      INFO("key " << key << " of " << Catch::StringMaker<std::vector<std::string>>::convert(globs));
      check_key(matcher, globs, key);
    }
  }
}
