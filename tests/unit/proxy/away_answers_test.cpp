#include "away_answers.hpp"

#include "pannier/proxy/explain_rules.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace pannier::proxy {
namespace {

using config::Milliseconds;
using config::OnError;
using config::PolicyClass;
using config::Reads;
using metrics::AwayAnswer;

using Words = std::vector<std::string_view>;

PolicyClass named(std::string name, OnError on_error) {
  PolicyClass out;
  out.keys = {name + ":*"};
  out.name = std::move(name);
  out.on_error = on_error;
  return out;
}

// A primary and a replica, and a class for each kind of answer.
struct Shop {
  Shop() {
    config::Policy policy;
    policy.classes = {named("miss", OnError::Miss),
                      named("fail", OnError::Fail),
                      named("stale", OnError::Stale),
                      named("zone", OnError::Miss),
                      named("capped", OnError::Miss),
                      named("kept", OnError::Fail)};
    policy.classes[3].reads = Reads::SameZone;
    policy.classes[4].miss = config::MissRules{.lease = Milliseconds(2000), .concurrent = 1};
    policy.classes[5].cache.emplace();
    policy.classes[5].cache->stale_if_error = Milliseconds(60000);
    context.rules = policy::compile(policy);
    observed.mode = config::RuleMode::Observe;
    observed.classes = policy.classes;
    set_ready(false, false);
  }

  void set_ready(bool primary, bool replica) {
    auto topology = std::make_shared<route::Topology>();
    topology->generation = 1;
    topology->primary = 0;
    topology->nodes.resize(2);
    topology->nodes[0].id = 0;
    topology->nodes[0].role = route::Role::Primary;
    topology->nodes[0].ready = primary;
    topology->nodes[1].id = 1;
    topology->nodes[1].role = route::Role::Replica;
    topology->nodes[1].ready = replica;
    context.topology = topology;
    context.lanes.set_topology(topology);
  }

  [[nodiscard]] std::string answer(const Words& words,
                                   resp::Version version = resp::Version::Resp2) {
    const auto found =
        find_away_answer(context, {*command::find(words), words, version, &session, nullptr});
    return found ? std::string(found->view()) : "none";
  }

  [[nodiscard]] std::uint64_t count(policy::ClassId id, AwayAnswer answer, bool enforced = true) {
    const auto& metrics = context.runtime.metrics.classes[id];
    return (enforced ? metrics.away_answers : metrics.away_observed)
        .at(static_cast<std::size_t>(answer))
        .value();
  }

  [[nodiscard]] std::string explain(const Words& words) {
    const command::CommandSpec* row = command::find(words);
    std::vector<std::string_view> keys;
    const bool known = command::extract_keys(*row, words, keys) == command::KeyStatus::Ok;
    return away_line(*context.rules, {}, {row, words, keys, known});
  }

  Sessions sessions{};
  Context& context = sessions.context;
  Session& session = sessions.add();
  config::Policy observed;
};

}  // namespace

TEST_CASE("away: a nil only where no ready node is left that the class reads from") {
  Shop shop;
  CHECK(shop.answer({"GET", "miss:1"}) == "$-1\r\n");
  CHECK(shop.answer({"GET", "zone:1"}) == "$-1\r\n");
  shop.set_ready(false, true);
  CHECK(shop.answer({"GET", "miss:1"}) == "$-1\r\n");  // reads: primary
  CHECK(shop.answer({"GET", "zone:1"}) == "none");
  shop.set_ready(true, false);
  CHECK(shop.answer({"GET", "miss:1"}) == "none");
  CHECK(shop.answer({"GET", "zone:1"}) == "none");
  CHECK(shop.count(0, AwayAnswer::Nil) == 2);
}

TEST_CASE("away: a node whose breaker is open is not ready") {
  Shop shop;
  shop.set_ready(true, false);
  auto topology = std::make_shared<route::Topology>(*shop.context.topology);
  topology->nodes[0].breaker = route::BreakerState::Open;
  shop.context.topology = topology;
  CHECK(primary_is_away(shop.context));
  CHECK(shop.answer({"GET", "miss:1"}) == "$-1\r\n");
}

TEST_CASE("away: a replica at rest serves before a nil does") {
  Shop shop;
  shop.set_ready(false, false);
  auto topology = std::make_shared<route::Topology>(*shop.context.topology);
  topology->nodes[1].breaker = route::BreakerState::Open;
  shop.context.topology = topology;
  CHECK(shop.answer({"GET", "zone:1"}) == "$-1\r\n");
  topology->nodes[1].spare = true;
  CHECK(shop.answer({"GET", "zone:1"}) == "none");
}

TEST_CASE("away: the reads of a stale class go to replicas only while the primary is away") {
  Shop shop;
  shop.set_ready(true, true);
  CHECK(reads_now(shop.context, &shop.session, 2) == Reads::Primary);
  shop.set_ready(false, true);
  CHECK(reads_now(shop.context, &shop.session, 2) == Reads::SameZone);
  CHECK(reads_now(shop.context, &shop.session, 0) == Reads::Primary);
  CHECK(reads_now(shop.context, &shop.session, policy::kNoClass) == Reads::Primary);
}

TEST_CASE("away: of an MGET one key that must not be made up fails all, and takes no room") {
  Shop shop;
  CHECK(shop.answer({"MGET", "miss:1", "zone:1"}) == "*2\r\n$-1\r\n$-1\r\n");
  CHECK(shop.answer({"MGET", "capped:1", "fail:1"}) == "none");
  CHECK(shop.answer({"MGET", "capped:1", "none:1"}) == "none");
  CHECK(shop.context.shared.miss_cap.out(4) == 0);
  CHECK(shop.answer({"MGET", "capped:1", "capped:2"}).starts_with("-UPSTREAM"));
  CHECK(shop.context.shared.miss_cap.out(4) == 0);
  CHECK(shop.answer({"GET", "capped:1"}) == "$-1\r\n");
  CHECK(shop.answer({"GET", "capped:2"}).find("miss.concurrent") != std::string::npos);
  CHECK(shop.count(4, AwayAnswer::Capped) == 2);
}

TEST_CASE("away: only five commands, with the right number of arguments") {
  Shop shop;
  for (const Words& words : std::vector<Words>{{"EXISTS", "miss:1"},
                                               {"TTL", "miss:1"},
                                               {"GET"},
                                               {"GET", "miss:1", "x"},
                                               {"HMGET", "miss:1"},
                                               {"SET", "miss:1", "v"},
                                               {"GETEX", "miss:1"}}) {
    CAPTURE(words[0]);
    CHECK(shop.answer(words) == "none");
  }
  CHECK(shop.answer({"HGETALL", "miss:1"}, resp::Version::Resp3) == "%0\r\n");
  CHECK(shop.answer({"HMGET", "miss:1", "a", "b"}, resp::Version::Resp3) == "*2\r\n_\r\n_\r\n");
}

TEST_CASE("away: mode observe counts and answers nothing") {
  Shop shop;
  shop.context.rules = policy::compile(shop.observed);
  CHECK(shop.answer({"GET", "miss:1"}) == "none");
  CHECK(shop.answer({"EXISTS", "miss:1"}) == "none");
  CHECK(shop.count(0, AwayAnswer::Nil, false) == 1);
  CHECK(shop.count(0, AwayAnswer::Nil) == 0);
  shop.set_ready(false, true);
  CHECK(shop.answer({"GET", "stale:1"}) == "none");
  CHECK(shop.count(2, AwayAnswer::Replica, false) == 1);
  CHECK(reads_now(shop.context, &shop.session, 2) == Reads::Primary);
}

TEST_CASE("away: EXPLAIN has what a read would get") {
  Shop shop;
  CHECK(shop.explain({"GET", "miss:1"}) == "while upstream is away: \"no such key\"\n");
  CHECK(shop.explain({"EXISTS", "miss:1"}) == "while upstream is away: an error\n");
  CHECK(shop.explain({"GET", "fail:1"}) == "while upstream is away: an error\n");
  CHECK(shop.explain({"GET", "none:1"}) == "while upstream is away: an error\n");
  CHECK(shop.explain({"GET", "stale:1"}) ==
        "while upstream is away: a replica's answer, then an error\n");
  CHECK(shop.explain({"GET", "zone:1"}) ==
        "while upstream is away: a replica's answer, then \"no such key\"\n");
  CHECK(shop.explain({"GET", "kept:1"}) ==
        "while upstream is away: what is kept, up to 1m past its time, then an error\n");
  CHECK(shop.explain({"GET", "capped:1"}) ==
        "while upstream is away: \"no such key\" (to 1 clients at a time, the others an error)\n");
  CHECK(shop.explain({"MGET", "miss:1", "miss:2"}) == "while upstream is away: \"no such key\"\n");
  CHECK(shop.explain({"MGET", "miss:1", "fail:2"})
            .find("as the class of each key says; an error if one") != std::string::npos);
  CHECK(shop.explain({"SET", "miss:1", "v"}).empty());
  shop.context.rules = policy::compile(shop.observed);
  CHECK(shop.explain({"GET", "miss:1"}) ==
        "while upstream is away: an error (on_error: miss is observed)\n");
}

}  // namespace pannier::proxy
