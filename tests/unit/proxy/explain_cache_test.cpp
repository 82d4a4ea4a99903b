#include "explain_cache.hpp"

#include "pannier/command/command.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace pannier::proxy {

namespace {

using config::Milliseconds;
using config::PolicyClass;
using config::Reads;
using config::RuleMode;

using Words = std::vector<std::string_view>;

PolicyClass cached(std::string name, std::vector<std::string> keys) {
  PolicyClass out;
  out.name = std::move(name);
  out.keys = std::move(keys);
  out.cache.emplace();
  return out;
}

// One session, one node, and the classes of a shop.
struct Shop {
  Shop() {
    config::Policy policy;
    policy.classes = {cached("product", {"product:*", "product:4?"}),
                      cached("rest", {"*"}),
                      cached("price", {"price:*"}),
                      cached("stock", {"stock:*"}),
                      PolicyClass{}};
    policy.classes[0].reads = Reads::SameZone;
    policy.classes[0].miss = config::MissRules{Milliseconds(2000), Milliseconds(50)};
    policy.classes[0].cache->negative = Milliseconds(1500);
    policy.classes[0].cache->stale_if_error = Milliseconds(5 * 60 * 1000);
    policy.classes[0].cache->refresh_ahead = 80;
    policy.classes[0].cache->mget = true;
    policy.classes[2].cache->coherence = config::Coherence::Ttl;
    policy.classes[3].cache->mode = RuleMode::Observe;
    policy.classes[3].cache->mget = true;
    policy.classes[4].name = "cart";
    policy.classes[4].keys = {"cart:*"};
    set(std::move(policy));
  }

  void set(config::Policy policy) {
    context.rules = policy::compile(std::move(policy));
    auto topology = std::make_shared<route::Topology>();
    topology->nodes.resize(1);
    topology->nodes[0].name = "one:6379";
    topology->primary = 0;
    context.topology = topology;
  }

  [[nodiscard]] std::string near_cache(const Words& request) {
    const command::CommandSpec* row = command::find(request);
    REQUIRE(row != nullptr);
    std::vector<std::string_view> keys;
    const bool known = command::extract_keys(*row, request, keys) == command::KeyStatus::Ok;
    return explain_near_cache(context, session, {row, request, keys, known}, 0);
  }

  [[nodiscard]] std::string classes(const Words& keys) const {
    return explain_classes(*context.rules, keys);
  }

  [[nodiscard]] std::string reads(const Words& keys) const {
    return explain_reads(*context.rules, reads_sources(context, session), keys);
  }

  void keep(const Words& request, std::string_view reply, base::Duration life) {
    cache::Query query;
    query.hash = cache::NearCache::hash(request[1]);
    query.key = request[1];
    query.row = command::index_of(*command::find(request));
    cache::NearCache::Reply kept;
    kept.tracked = false;
    kept.negative = reply.empty();
    kept.bytes = reply;
    kept.life.fresh_until = now + life;
    kept.life.keep_until = now + std::chrono::hours(1);
    kept.life.refresh_at = base::TimePoint::max();
    context.shared.near_cache.install(query, context.shared.near_cache.begin(query), kept, now);
  }

  Sessions sessions{};
  Context& context = sessions.context;
  Session& session = sessions.add();
  base::TimePoint now = base::Clock::now();
};

bool contains(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("explain_cache: the class, and the glob that won it", "[proxy]") {
  const Shop shop;
  CHECK(shop.classes({"product:42"}) ==
        "class: product (glob \"product:4?\"; more specific than \"*\" of rest)\n"
        "rules of product: reads same-zone; cache 30s tracking, negative 1500ms, values to 256KiB, "
        "refreshed after 80%, stale if error 5m, MGET too; misses wait 50ms for a lease of 2s\n");
  CHECK(shop.classes({"product:421"}) ==
        "class: product (glob \"product:*\"; more specific than \"*\" of rest)\n"
        "rules of product: reads same-zone; cache 30s tracking, negative 1500ms, values to 256KiB, "
        "refreshed after 80%, stale if error 5m, MGET too; misses wait 50ms for a lease of 2s\n");
  CHECK(shop.classes({"x"}) ==
        "class: rest (glob \"*\")\n"
        "rules of rest: cache 30s tracking, values to 256KiB\n");
  CHECK(shop.classes({"pannier:canary"}) == "class: none (pannier:* is Pannier's own)\n");
  CHECK(shop.classes({}).empty());
  CHECK(shop.classes({"x", "cart:1\n"}) ==
        "class of \"x\": rest (glob \"*\")\n"
        "class of \"cart:1\\x0a\": cart (glob \"cart:*\"; more specific than \"*\" of rest)\n"
        "rules of rest: cache 30s tracking, values to 256KiB\n"
        "rules of cart: not cached\n");
  CHECK(contains(shop.classes(Words(20, "x")), "class of the others: 4 keys are not shown\n"));
}

TEST_CASE("explain_cache: no class without a policy, or without a glob", "[proxy]") {
  Shop shop;
  shop.set({});
  CHECK(shop.classes({"x"}) == "class: none (there is no policy)\n");
  CHECK(shop.near_cache({"GET", "x"}) == "near cache: no (the key has no class)\n");
  config::Policy policy;
  policy.classes = {cached("product", {"product:*"})};
  shop.set(policy);
  CHECK(shop.classes({"x"}) == "class: none (no glob matches)\n");
}

TEST_CASE("explain_cache: which rule says where reads go", "[proxy]") {
  Shop shop;
  CHECK(shop.reads({"product:1"}) == "same-zone (class product)");
  CHECK(shop.reads({"x"}) == "primary (pannier.yaml)");
  CHECK(shop.reads({}) == "primary (pannier.yaml)");
  CHECK(shop.reads({"product:1", "product:2"}) == "same-zone (class product)");
  CHECK(shop.reads({"product:1", "x"}) == "primary (its keys' rules differ: the strictest counts)");
  shop.sessions.config.listen[0].reads = Reads::Replica;
  CHECK(shop.reads({"x"}) == "replica (listener :0)");
  config::Policy policy = shop.context.rules->policy;
  policy.reads = Reads::Nearest;
  shop.set(policy);
  CHECK(shop.reads({"x"}) == "nearest (policy defaults)");
  CHECK(shop.reads({"product:1"}) == "same-zone (class product)");
  shop.sessions.config.listen[0].strong = true;
  CHECK(shop.reads({"product:1"}) == "primary (listener strong: true)");
}

TEST_CASE("explain_cache: why a command is never answered from memory", "[proxy]") {
  Shop shop;
  CHECK(shop.near_cache({"SET", "product:1", "v"}) ==
        "near cache: no (a write; what is kept of its keys goes)\n");
  CHECK(shop.near_cache({"FLUSHALL"}) ==
        "near cache: no (a write whose keys are not all known; all that is kept goes)\n");
  CHECK(shop.near_cache({"TTL", "product:1"}) ==
        "near cache: no (replies of this command are never kept)\n");
  CHECK(shop.near_cache({"GET", "product:1", "x"}) ==
        "near cache: no (wrong number of arguments)\n");
  CHECK(shop.near_cache({"EXISTS", "product:1", "product:2"}) ==
        "near cache: no (it names several keys)\n");
  CHECK(contains(shop.near_cache({"EXISTS", "product:1"}), "near cache: yes\n"));
  CHECK(shop.near_cache({"BLPOP", "product:1", "0"}) ==
        "near cache: no (sent on an exclusive connection)\n");
  CHECK(shop.near_cache({"GET", "cart:1"}) == "near cache: no (class cart is not cached)\n");
  shop.session.state.db = 256;
  CHECK(shop.near_cache({"GET", "product:1"}) ==
        "near cache: no (databases above 255 are not kept)\n");
}

TEST_CASE("explain_cache: all that a class says of a GET", "[proxy]") {
  Shop shop;
  CHECK(shop.near_cache({"GET", "product:1"}) ==
        "near cache: yes\n"
        "ttl: 30s, up to 10% shorter; the key's own TTL bounds it\n"
        "negative: 1500ms\n"
        "stale: 0s while it is refreshed, 5m while upstream is away\n"
        "refresh ahead: after 80% of its life\n"
        "max value: 256KiB\n"
        "tracking: by prefix \"product:\"; no node is heard yet\n"
        "in memory: no\n"
        "leases: one client fills a missing key within 2s, others wait 50ms; pipelined skip\n");
  CHECK(contains(shop.near_cache({"STRLEN", "product:1"}), "leases: none: of GET only\n"));
  CHECK(contains(shop.near_cache({"GET", "price:1"}), "negative: never kept\n"));
  CHECK(contains(shop.near_cache({"GET", "price:1"}), "leases: none\n"));
}

TEST_CASE("explain_cache: listener, bypass and budget forbid what the class allows", "[proxy]") {
  Shop shop;
  shop.context.runtime.now = shop.now;
  shop.context.shared.bypass_until =
      (shop.now + std::chrono::seconds(90)).time_since_epoch().count();
  CHECK(contains(shop.near_cache({"GET", "product:1"}),
                 "near cache: no (bypassed for another 90 s)\nttl: "));
  shop.sessions.config.listen[0].strong = true;
  CHECK(contains(shop.near_cache({"GET", "product:1"}), "no (listener strong: true)\n"));
  Shop without;
  without.context.shared.near_cache.set_budget(0);
  CHECK(contains(without.near_cache({"GET", "product:1"}), "no (near_cache is 0)\n"));
}

TEST_CASE("explain_cache: a class that observes, and a policy that is off", "[proxy]") {
  Shop shop;
  CHECK(contains(shop.near_cache({"GET", "stock:1"}), "near cache: observed: upstream answers, "));
  CHECK(contains(shop.near_cache({"GET", "stock:1"}), "in memory: no\nleases: none\n"));
  config::Policy policy = shop.context.rules->policy;
  policy.mode = RuleMode::Off;
  shop.set(policy);
  CHECK(shop.near_cache({"GET", "product:1"}) == "near cache: no (class product is not cached)\n");
}

TEST_CASE("explain_cache: how changes are heard", "[proxy]") {
  Shop shop;
  CHECK(
      contains(shop.near_cache({"GET", "price:1"}), "tracking: none: TTL only (coherence: ttl)\n"));
  upstream::TrackingState state;
  state.rung = upstream::Rung::Resp3;
  shop.context.shared.tracking_states.set({state});
  CHECK(contains(shop.near_cache({"GET", "product:1"}),
                 "tracking: by prefix \"product:\"; one:6379 tells by resp3\n"));
  shop.context.shared.optin[0] = true;
  CHECK(contains(shop.near_cache({"GET", "product:1"}),
                 "tracking: key by key (OPTIN); one:6379 tells by resp3\n"));
  state.rung = upstream::Rung::None;
  state.reason = "refused";
  shop.context.shared.tracking_states.set({state});
  CHECK(contains(shop.near_cache({"GET", "product:1"}),
                 "; one:6379 tells by none: nothing is kept until changes are heard (refused)\n"));
  state.rung = upstream::Rung::Ttl;
  shop.context.shared.tracking_states.set({state});
  CHECK(contains(shop.near_cache({"GET", "product:1"}), "tells by ttl: TTL only (refused)\n"));
}

TEST_CASE("explain_cache: what is in memory now", "[proxy]") {
  Shop shop;
  shop.context.runtime.now = shop.now;
  shop.keep({"GET", "product:1"}, "$1\r\nv\r\n", std::chrono::seconds(20));
  shop.keep({"GET", "product:2"}, "", std::chrono::seconds(20));
  CHECK(contains(shop.near_cache({"GET", "product:1"}),
                 "in memory: fresh, a value of 7 bytes as a reply, about 0.0 s old, "));
  CHECK(contains(shop.near_cache({"GET", "product:2"}), "in memory: fresh, no such key, about "));
  shop.context.runtime.now = shop.now + std::chrono::seconds(30);
  CHECK(contains(shop.near_cache({"GET", "product:1"}), "in memory: stale, a value of 7 bytes"));
}

TEST_CASE("explain_cache: MGET needs every key's class to say so", "[proxy]") {
  Shop shop;
  shop.context.runtime.now = shop.now;
  shop.keep({"GET", "product:1"}, "$1\r\nv\r\n", std::chrono::seconds(20));
  CHECK(shop.near_cache({"MGET", "product:1", "product:2"}) ==
        "near cache: yes\nin memory: 1 of 2 fresh; memory answers when all are\n");
  CHECK(shop.near_cache({"MGET", "product:1", "price:2"}) ==
        "near cache: no (\"price:2\": class price does not say mget: true)\n");
  CHECK(shop.near_cache({"MGET", "stock:1"}) ==
        "near cache: no (\"stock:1\": class stock only observes)\n");
  CHECK(shop.near_cache({"MGET", "cart:1"}) ==
        "near cache: no (\"cart:1\": class cart is not cached)\n");
  Words many(130, "product:1");
  many[0] = "MGET";
  CHECK(shop.near_cache(many) == "near cache: no (more than 128 keys)\n");
}

}  // namespace pannier::proxy
