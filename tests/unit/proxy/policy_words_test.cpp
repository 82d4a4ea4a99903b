#include "policy_words.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>

using namespace pannier::proxy;

namespace {

pannier::metrics::PolicyState sample() {
  pannier::metrics::PolicyState out;
  out.generation = 7;
  out.hash = "00c0ffee";
  out.loaded_at = 1;
  out.reloads = {6, 2, 1};
  return out;
}

std::string field(const InfoFields& fields, std::string_view name) {
  const auto found = std::find_if(
      fields.begin(), fields.end(), [&](const auto& one) { return one.first == name; });
  return found == fields.end() ? "missing" : found->second;
}

}  // namespace

TEST_CASE("policy_words: INFO has generation, hash, reloads and the last error") {
  auto state = sample();
  state.last_error = "policy.yaml:3:5: classes[0].keys: is missing\r\nx: y";
  InfoFields fields;
  add_policy_fields(fields, state);
  CHECK(field(fields, "policy_generation") == "7");
  CHECK(field(fields, "policy_hash") == "00c0ffee");
  CHECK(field(fields, "policy_reloads_changed") == "6");
  CHECK(field(fields, "policy_reloads_unchanged") == "2");
  CHECK(field(fields, "policy_reloads_failed") == "1");
  CHECK(std::stod(field(fields, "policy_age_seconds")) > 1e9);
  const auto error = field(fields, "policy_last_error");
  CHECK(error.starts_with("policy.yaml:3:5: classes[0].keys: is missing"));
  CHECK(error.find('\n') == std::string::npos);
}

TEST_CASE("policy_words: without a policy it says so") {
  InfoFields fields;
  add_policy_fields(fields, {});
  CHECK(fields.size() == 1);
  CHECK(field(fields, "policy_generation") == "0");
  CHECK(policy_lines({}) == "policy: none\n");
  CHECK(policy_line({}) == "policy: none\n");
}

TEST_CASE("policy_words: STATS and EXPLAIN") {
  auto state = sample();
  const auto lines = policy_lines(state);
  CHECK(lines.starts_with("policy: generation=7 hash=00c0ffee age_seconds="));
  CHECK(lines.ends_with(" reloads_changed=6 reloads_unchanged=2 reloads_failed=1\n"));
  state.last_error = "gone";
  CHECK(policy_lines(state).ends_with("\npolicy_error: gone\n"));
  CHECK(policy_line({7, "00c0ffee"}) == "policy: generation 7, hash 00c0ffee\n");
}
