#include "pannier/config/glob.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

TEST_CASE("glob: Redis's wildcards", "[config]") {
  CHECK(glob_matches("product:*", "product:"));
  CHECK(glob_matches("product:*", "product:1:x"));
  CHECK_FALSE(glob_matches("product:*", "product"));
  CHECK_FALSE(glob_matches("product:*", "Product:1"));
  CHECK(glob_matches("h?llo", "hello"));
  CHECK_FALSE(glob_matches("h?llo", "hllo"));
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("*a*b", "xaybzb"));
  CHECK_FALSE(glob_matches("*a*b", "xaybz"));
  CHECK(glob_matches("a**b", "ab"));
  CHECK(glob_matches("a", "a"));
  CHECK_FALSE(glob_matches("a", "ab"));
}

TEST_CASE("glob: sets read as Redis reads them", "[config]") {
  CHECK(glob_matches("h[ae]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[ae]llo", "hillo"));
  CHECK(glob_matches("h[^e]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[^e]llo", "hello"));
  CHECK(glob_matches("[a-c]", "b"));
  CHECK(glob_matches("[c-a]", "b"));
  CHECK_FALSE(glob_matches("[a-c]", "-"));
  CHECK(glob_matches("[a^]", "^"));
  CHECK(glob_matches("[\\]\\^-]", "]"));
  CHECK(glob_matches("[a\\-z]", "-"));
  CHECK_FALSE(glob_matches("[a\\-z]", "k"));
  CHECK(glob_matches("[a-]]", "^"));  // a range from ']' to 'a'
  CHECK(glob_matches("[{}*]", "*"));
}

TEST_CASE("glob: escapes", "[config]") {
  CHECK(glob_matches("\\*", "*"));
  CHECK_FALSE(glob_matches("\\*", "a"));
  CHECK(glob_matches("\\{a\\}\\\\", "{a}\\"));
  CHECK(glob_matches("\\a", "a"));
}

TEST_CASE("glob: a capture is one segment that is not empty", "[config]") {
  CHECK(glob_matches("search:{user}:*", "search:7:"));
  CHECK(glob_matches("search:{user}:*", "search:7:8:9"));
  CHECK_FALSE(glob_matches("search:{user}:*", "search::8"));
  CHECK_FALSE(glob_matches("search:{user}:*", "search:7"));
  CHECK(glob_matches("search:{user}", "search:7:8"));
  CHECK_FALSE(glob_matches("search:{user}", "search:"));
  CHECK(glob_matches("{a}/{b}.x", "1/2.x"));
  CHECK_FALSE(glob_matches("{a}/{b}.x", "1/2.3.x"));
  CHECK(glob_matches("*:{a}:x", "p:q:r:x"));
}

TEST_CASE("glob: what is wrong with it", "[config]") {
  CHECK(glob_fault("product:*").empty());
  CHECK(glob_fault("{a}:{b-2}").empty());
  CHECK(glob_fault("") == "is empty");
  CHECK(glob_fault(std::string(257, 'a')) == "is longer than 256 bytes");
  CHECK(glob_fault(std::string(256, 'a')).empty());
  CHECK(glob_fault("a[bc") == "'[' is not closed; write \\[ for a bracket");
  CHECK(glob_fault("a[b-]") == "'[' is not closed; write \\[ for a bracket");
  CHECK(glob_fault("[") == "'[' is not closed; write \\[ for a bracket");
  CHECK(glob_fault("a[]") == "has a set [] without a character");
  CHECK(glob_fault("a[^]") == "has a set [] without a character");
  CHECK(glob_fault("a\\") == "ends with a lone '\\'; write \\\\ for a backslash");
  CHECK(glob_fault("{a") == "'{' is not closed; write \\{ for a brace");
  CHECK(glob_fault("a}") == "has '}' without '{'; write \\} for a brace");
  CHECK(glob_fault("{}") == "{} is not a capture, which is a name; write \\{ for a brace");
  CHECK(glob_fault("{user:1}") ==
        "{user:1} is not a capture, which is a name; write \\{ for a brace");
  CHECK(glob_fault("{a}:{a}") == "has the capture {a} twice");
  CHECK(glob_fault("{a}*") ==
        "has a capture that is not followed by a plain character; its end would be unclear");
  CHECK(glob_fault("{a}{b}") ==
        "has a capture that is not followed by a plain character; its end would be unclear");
  CHECK(glob_fault("*a*a*a*a*a*a*a*").empty());
  CHECK(glob_fault("*a*a*a*a*a*a*a*a*") == "has more than 8 stars");
}

TEST_CASE("glob: literal prefix and specificity", "[config]") {
  CHECK(literal_prefix("product:*") == "product:");
  CHECK(literal_prefix("v?:product:*") == "v");
  CHECK(literal_prefix("a\\*b*") == "a*b");
  CHECK(literal_prefix("a[b]") == "a");
  CHECK(literal_prefix("{a}:b").empty());
  CHECK(literal_prefix("abc") == "abc");
  CHECK(literal_count("v?:product:*") == 10);
  CHECK(equally_specific("a:*", "b:?"));
  CHECK_FALSE(equally_specific("a:*", "a:*:x"));
  CHECK_FALSE(equally_specific("a:*", "ab:*"));
}

TEST_CASE("glob: a key that two globs share", "[config]") {
  CHECK(common_key("product:*", "product:{id}") == "product:a");
  CHECK(common_key("*:price", "product:*") == "product:price");
  CHECK(common_key("a*", "a*") == "a");
  CHECK(common_key("a?c", "ab*") == "abc");
  CHECK(common_key("[a-f]x", "[e-z]x") == "ex");
  CHECK(common_key("{a}:x", "b*x") == "b:x");
  CHECK(common_key("{a}:*", "b:{c}") == "b:a");
  CHECK_FALSE(common_key("{a}:x", ":x"));
  CHECK_FALSE(common_key("[a-f]x", "[g-z]x"));
  CHECK_FALSE(common_key("product:*", "price:*"));
  CHECK_FALSE(common_key("a", "ab"));
  CHECK_FALSE(common_key("{a}:x", "b:c:x"));
}

TEST_CASE("glob: common keys of random globs are found exactly when there are any", "[config]") {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp)
  const std::vector<std::string> parts = {
      "a", "b", ":", "*", "?", "[ab]", "[^a]", "[b-:]", "{x}:", "{y}b"};
  std::vector<std::string> keys{""};
  for (std::size_t from = 0; keys.back().size() < 6; ++from) {
    for (const char* c : {"a", "b", ":"}) {
      keys.push_back(keys[from] + c);
    }
  }
  int met = 0;
  for (int round = 0; round < 600; ++round) {
    const auto glob = [&] {
      std::string out;
      do {
        out.clear();
        for (auto n = 1 + random() % 4; n > 0; --n) {
          out += parts[random() % parts.size()];
        }
      } while (!glob_fault(out).empty());
      return out;
    };
    const auto a = glob();
    const auto b = glob();
    INFO(a << " and " << b);
    const auto key = common_key(a, b);
    if (key) {
      ++met;
      CHECK(glob_matches(a, *key));
      CHECK(glob_matches(b, *key));
      continue;
    }
    for (const auto& each : keys) {
      if (glob_matches(a, each) && glob_matches(b, each)) {
        FAIL("both match " << each);
      }
    }
  }
  CHECK(met > 40);
  CHECK(met < 560);
}

TEST_CASE("glob: one covers another", "[config]") {
  const auto covered = [](std::string_view a, std::string_view b) {
    return covers(parse_glob(a), parse_glob(b));
  };
  CHECK(covered("*", "a:{x}:?[bc]*"));
  CHECK(covered("a*", "[a]bc"));
  CHECK(covered("a?c", "a[b-d]c"));
  CHECK(covered("a:{x}:*", "a:{y}:b*"));
  CHECK(covered("a", "a"));
  CHECK(covered("*a*", "bab"));
  CHECK_FALSE(covered("a", "*"));
  CHECK_FALSE(covered("a*", "[ab]c"));
  CHECK_FALSE(covered("a?", "a*"));
  CHECK_FALSE(covered("a{x}", "a*"));
  CHECK_FALSE(covered("ab", "a"));
  CHECK_FALSE(covered("a", "ab"));
  CHECK_FALSE(covered("a[b-c]", "a[b-d]"));
}

TEST_CASE("glob: the names of captures, in order", "[config]") {
  CHECK(parse_glob("{b}:x:{a-1}:*").captures == std::vector<std::string>{"b", "a-1"});
  CHECK(parse_glob("\\{b\\}").captures.empty());
}
