#include "pannier/config/loader.hpp"
#include "pannier/config/policy_loader.hpp"
#include "pannier/config/schema.hpp"

#include "config_test_support.hpp"
#include "keys.hpp"

#include <catch2/catch.hpp>

#include <cctype>
#include <fstream>
#include <sstream>
#include <utility>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

const std::string kFolder = std::string(PANNIER_SOURCE_DIR) + "/config/";

std::string text_of(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

// Whether `name` stands in `text` as a whole key: at a line's begin but for blanks, dashes and the
// comment sign.
bool has_line(const std::string& text, const std::string& wanted) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.find_first_not_of(" -#");
    if (begin == std::string::npos || line.compare(begin, wanted.size(), wanted) != 0) {
      continue;
    }
    const auto next = begin + wanted.size();
    if (next == line.size() || line[next] == ' ') {
      return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("examples: all load without errors or warnings", "[config]") {
  variables().clear();
  for (const auto* name : {"pannier.yaml",
                           "examples/minimal.yaml",
                           "examples/local.yaml",
                           "examples/elasticache.yaml"}) {
    INFO(name);
    const auto result = load_file(kFolder + name, fake_environment());
    CHECK(texts(result.errors) == Texts{});
    CHECK(texts(result.warnings) == Texts{});
    CHECK(result.config);
  }
}

TEST_CASE("examples: policies load without errors or warnings", "[config]") {
  for (const auto* name : {"policy.yaml", "examples/policy-minimal.yaml"}) {
    INFO(name);
    const auto result = load_policy_file(kFolder + name);
    CHECK(texts(result.errors) == Texts{});
    CHECK(texts(result.warnings) == Texts{});
    CHECK(result.policy);
    CHECK(is_policy_file(kFolder + name));
  }
}

TEST_CASE("examples: pannier.yaml and policy.yaml show every key with its default", "[config]") {
  const auto [file, table] =
      GENERATE(std::pair("pannier.yaml", &config_keys()), std::pair("policy.yaml", &policy_keys()));
  const auto text = text_of(kFolder + file);
  REQUIRE_FALSE(text.empty());
  for (const auto& key : table->rows()) {
    if (key.path.empty() || key.path.ends_with("[]") || key.type == Type::Refused) {
      continue;
    }
    const auto wanted =
        std::string(name_of(key)) + ":" + (key.shown.empty() ? "" : " " + std::string(key.shown));
    INFO(key.path << " should stand there as `" << wanted << "`");
    CHECK(has_line(text, wanted));
  }
}

TEST_CASE("examples: the schemas for editors are what the tables of keys make", "[config]") {
  INFO("write them anew: build/release/pannier schema policy > config/policy.schema.json");
  CHECK(text_of(kFolder + "policy.schema.json") == policy_schema());
  CHECK(text_of(kFolder + "pannier.schema.json") == config_schema());
}

TEST_CASE("examples: each names the schema that editors check it by", "[config]") {
  const auto [file, schema] = GENERATE(std::pair("pannier.yaml", "pannier"),
                                       std::pair("policy.yaml", "policy"),
                                       std::pair("examples/minimal.yaml", "../pannier"),
                                       std::pair("examples/local.yaml", "../pannier"),
                                       std::pair("examples/elasticache.yaml", "../pannier"),
                                       std::pair("examples/policy-minimal.yaml", "../policy"));
  const auto text = text_of(kFolder + file);
  INFO(file);
  CHECK(text.starts_with("# yaml-language-server: $schema=" + std::string(schema) +
                         ".schema.json\n"));
}

TEST_CASE("examples: the README has a word on every key of the policy", "[config]") {
  const auto readme = text_of(std::string(PANNIER_SOURCE_DIR) + "/README.md");
  const auto begin = readme.find("\n## The policy file\n");
  REQUIRE(begin != std::string::npos);
  const auto section = readme.substr(begin, readme.find("\n## ", begin + 1) - begin);
  for (const auto& key : policy_keys().rows()) {
    if (!key.path.empty() && !key.path.ends_with("[]")) {
      INFO(key.path);
      CHECK(section.find("`" + std::string(name_of(key)) + "`") != std::string::npos);
    }
  }
}

TEST_CASE("examples: the values of pannier.yaml are those of the smallest file", "[config]") {
  const auto full = load_file(kFolder + "pannier.yaml", fake_environment()).config;
  const auto least = load_file(kFolder + "examples/minimal.yaml", fake_environment()).config;
  REQUIRE((full && least));
  CHECK(full->listen.at(0).address == least->listen.at(0).address);
  CHECK(full->probe.address == least->probe.address);
  CHECK(full->admin.address == least->admin.address);
  CHECK(full->workers == least->workers);
  CHECK(full->memory == least->memory);
  CHECK(full->near_cache == least->near_cache);
  CHECK(full->zone == least->zone);
  CHECK(full->imds_address == least->imds_address);
  CHECK(full->reads == least->reads);
  CHECK(full->maxclients == least->maxclients);
  const auto& limits = full->output_limits;
  CHECK(limits.normal.hard + limits.normal.soft == 0);
  CHECK(limits.pubsub.hard == least->output_limits.pubsub.hard);
  CHECK(limits.pubsub.soft == least->output_limits.pubsub.soft);
  CHECK(limits.pubsub.soft_for == least->output_limits.pubsub.soft_for);
  CHECK(full->service == least->service);
  CHECK(full->slowlog.slower_than == least->slowlog.slower_than);
  CHECK(full->slowlog.max_entries == least->slowlog.max_entries);
  CHECK(full->log.level == least->log.level);
  const auto& a = full->upstream;
  const auto& b = least->upstream;
  CHECK(a.kind == b.kind);
  CHECK(a.nodes.at(0).address == b.nodes.at(0).address);
  CHECK(a.lanes.min == b.lanes.min);
  CHECK(a.lanes.max == b.lanes.max);
  CHECK(a.pinned.min == b.pinned.min);
  CHECK(a.pinned.max == b.pinned.max);
  CHECK(a.pinned.wait == b.pinned.wait);
  CHECK(a.pinned.reserved_for_multi == b.pinned.reserved_for_multi);
  CHECK(a.timeouts.connect == b.timeouts.connect);
  CHECK(a.timeouts.attempt == b.timeouts.attempt);
  CHECK(a.timeouts.read == b.timeouts.read);
  CHECK(a.timeouts.write == b.timeouts.write);
  CHECK(a.timeouts.slow == b.timeouts.slow);
  CHECK(a.probe == b.probe);
  CHECK(a.read_your_writes == b.read_your_writes);
  CHECK(a.allow_monitor == b.allow_monitor);
}

TEST_CASE("examples: a class that says all defaults is one that says nothing", "[config]") {
  const auto policy = load_policy_file(kFolder + "policy.yaml").policy;
  REQUIRE(policy);
  CHECK(policy->mode == Policy{}.mode);
  CHECK_FALSE(policy->reads);
  auto product = policy->classes.at(0);
  CHECK(product.mode == PolicyClass{}.mode);
  // What the example sets on purpose, beside the commented default.
  product.cache.value().refresh_ahead = 0;
  product.cache->stale_while_revalidate = {};
  product.cache->stale_if_error = {};
  product.miss.value().concurrent = 0;
  const auto plain = load_policy("classes: [{ name: a, keys: [a], tier: application }]").policy;
  REQUIRE(plain);
  CHECK(product.cache == plain->classes.at(0).cache);
  CHECK(product.miss == plain->classes.at(0).miss);
  CHECK(product.reads == plain->classes.at(0).reads);
}

TEST_CASE("keys: every row has help, one path, and a store unless it is refused", "[config]") {
  for (const auto* table : {&config_keys(), &policy_keys()}) {
    for (const auto& key : table->rows()) {
      INFO(key.path);
      CHECK_FALSE(key.help.empty());
      CHECK(table->find(key.path) == &key);
      CHECK((key.store != nullptr || key.type == Type::Refused || key.path.empty()));
      CHECK(key.min <= key.max);
    }
  }
}
