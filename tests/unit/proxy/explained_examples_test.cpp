#include "pannier/config/policy_loader.hpp"
#include "pannier/proxy/explain_rules.hpp"

#include <catch2/catch.hpp>

#include <sstream>
#include <string>
#include <vector>

// What `pannier explain` says of the example files: a line of each class, limit and denial.
namespace pannier::proxy {
namespace {

struct Expected {
  std::string request;
  std::vector<std::string> lines;
};

policy::RulesPtr rules_of(const std::string& name) {
  auto loaded = config::load_policy_file(std::string(PANNIER_SOURCE_DIR) + "/config/" + name);
  REQUIRE(loaded.policy);
  return policy::compile(std::move(*loaded.policy));
}

std::string explained(const policy::Rules& rules, const std::string& request) {
  std::istringstream stream(request);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  const std::vector<std::string_view> views(words.begin(), words.end());
  RuleFacts facts;
  facts.unix_now = 1'800'000'000'000;
  return explain_offline(rules, {}, facts, views);
}

void check(const policy::Rules& rules, const std::vector<Expected>& all) {
  for (const Expected& each : all) {
    const std::string text = explained(rules, each.request);
    for (const std::string& line : each.lines) {
      INFO(each.request << "\n" << text);
      CHECK(text.find(line + "\n") != std::string::npos);
    }
  }
}

}  // namespace

TEST_CASE("examples: what the shop's policy does to reads") {
  check(*rules_of("policy.yaml"),
        {
            {"GET product:4711",
             {"reads: same-zone (class product)", "near cache: yes", "denied: no"}},
            {"GET price:4711",
             {"near cache: yes", "ttl: 1s, up to 0% shorter; the key's own TTL bounds it"}},
            {"HGETALL nav:main", {"near cache: yes", "max value: 768KiB"}},
            {"GET reco:user:jane", {"near cache: yes", "negative: 10s", "leases: none"}},
            {"GET promo:summer", {"near cache: yes", "refresh ahead: after 50% of its life"}},
            {"GET discount:rule:7", {"near cache: yes"}},
            {"MGET rating:1 rating:2", {"near cache: yes"}},
            {"GET inventory:1",
             {"near cache: yes", "ttl: 500ms, up to 10% shorter; the key's own TTL bounds it"}},
            {"GET inventory:checkout:1",
             {"answered: here, as for a missing key (store: never)",
              "near cache: no (class stock-checkout is not cached)"}},
            {"GET session:1", {"near cache: no (class session is not cached)"}},
            {"GET cart:1",
             {"reads: primary (class cart)", "near cache: no (class cart is not cached)"}},
            {"GET prefs:jane", {"near cache: yes", "leases: none"}},
            {"GET loyalty:jane", {"near cache: yes"}},
            {"GET counter:visits", {"reads: primary (class counters)"}},
            {"GET other", {"class: none (no glob matches)", "reads: primary (pannier.yaml)"}},
        });
}

TEST_CASE("examples: what the shop's policy does to stores") {
  check(*rules_of("policy.yaml"),
        {
            {"SET product:1 v", {"sent as: SET product:1 v PX 600000"}},
            {"SET product:1 v EX 5", {"sent as: SET product:1 v EX 30"}},
            {"SET product:1 v EX 86400", {"sent as: SET product:1 v EX 3600"}},
            {"SET price:1 v", {"sent as: SET price:1 v PX 30000"}},
            {"HSET session:1 user jane",
             {"sent behind it: PEXPIRE session:1 1800000 NX",
              "sent behind it: PEXPIRE session:1 86400000 LT"}},
            {"SET inventory:checkout:1 3", {"refused: NOTSTORED: store: never (stock-checkout)"}},
            {"EVAL return 1 inventory:checkout:1",
             {"refused: NOPERM: scripts: deny (stock-checkout)"}},
            {"SET lock:order:7 me NX PX 3000",
             {"near cache: no (a write; what is kept of its keys goes)"}},
        });
  CHECK(explained(*rules_of("policy.yaml"), "SET lock:order:7 me NX PX 3000").find("sent") ==
        std::string::npos);
  CHECK(explained(*rules_of("policy.yaml"), "INCR flash-inventory:7").find("sent") ==
        std::string::npos);
}

TEST_CASE("examples: whom the shop's policy limits and what it denies") {
  const auto rules = rules_of("policy.yaml");
  check(
      *rules,
      {
          {"FLUSHALL", {"denied: by no-scans (its command); use SCAN, UNLINK and keys with a TTL"}},
          {"CONFIG SET maxmemory 1",
           {"denied: by not-on-elasticache (its command); ElastiCache does not have it; its "
            "console and parameter groups do"}},
          {"CONFIG GET maxmemory", {"denied: no"}},
          {"CLIENT SETNAME me", {"handling: answered by Pannier"}},
          {"INFO", {"denied: no"}},
      });
  const std::string search = explained(*rules, "GET search:jane:shoes");
  CHECK(search.find("limit search: ") != std::string::npos);
  CHECK(search.find("; counted for \"jane\"\n") != std::string::npos);
  const std::string cart = explained(*rules, "HSET cart:7 sku 1");
  CHECK(cart.find("limit cart-writes: ") != std::string::npos);
  CHECK(cart.find(" (observed)\n") != std::string::npos);
}

TEST_CASE("examples: the smallest policy, explained") {
  check(*rules_of("examples/policy-minimal.yaml"),
        {
            {"GET product:1", {"near cache: yes", "denied: no", "limits: none"}},
            {"GET price:1", {"class: none (no glob matches)"}},
        });
}

}  // namespace pannier::proxy
