#include "cache_fixture.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier::cache;

// What a reply that was shown means for others to the same query, while no push has come. "" stands
// for nil.

TEST_CASE("near_cache: after a reply was shown an older read is neither joined nor kept") {
  CacheFixture f;
  const Ticket older = f.begin({"k"});
  Ticket newer = f.begin({"k"});
  const std::string bytes = GENERATE(as<std::string>{}, "", "v2");
  CAPTURE(bytes);
  f.show({"k"}, newer, bytes);
  CHECK_FALSE(f.may_join({"k"}, older));
  SECTION("the newer one is kept before the older one comes") {
    f.reply.negative = bytes.empty();
    REQUIRE(f.install({"k"}, newer, bytes) == Kept::Yes);
    f.reply.negative = false;
    CHECK(f.install({"k"}, older, "v1") == Kept::Doomed);
    CHECK(f.get({"k"}) == bytes);
  }
  SECTION("it is not kept at all") {
    CHECK(f.install({"k"}, older, "v1") == Kept::Doomed);
    CHECK(f.get({"k"}) == "-");
  }
  const Ticket later = f.begin({"k"});
  CHECK(f.may_join({"k"}, later));
  CHECK(f.install({"k"}, later, "v3") == Kept::Yes);
}

TEST_CASE("near_cache: of two that were shown neither is kept: which is newer is not known") {
  CacheFixture f;
  Ticket one = f.begin({"k"});
  Ticket two = f.begin({"k"});
  f.show({"k"}, one, "v2");
  SECTION("before the first is kept") {
    f.show({"k"}, two, "v1");
    CHECK(f.install({"k"}, one, "v2") == Kept::Doomed);
  }
  SECTION("after it") {
    REQUIRE(f.install({"k"}, one, "v2") == Kept::Yes);
    f.show({"k"}, two, "v1");
  }
  CHECK(f.install({"k"}, two, "v1") == Kept::Doomed);
  CHECK(f.get({"k"}) == "-");
}

TEST_CASE("near_cache: what is kept stays when the same is shown, and goes when another is") {
  CacheFixture f;
  f.reply.negative = GENERATE(false, true);
  const std::string kept = f.reply.negative ? "" : "v1";
  CAPTURE(kept);
  REQUIRE(f.keep({"k"}, kept) == Kept::Yes);
  Ticket ticket = f.begin({"k"});
  f.show({"k"}, ticket, kept);
  CHECK(f.get({"k"}) == kept);
  SECTION("there is no such key, or one again") {
    f.show({"k"}, ticket, f.reply.negative ? "v1" : "");
  }
  SECTION("another value") {
    f.show({"k"}, ticket, "v2");
  }
  SECTION("bytes that are not known") {
    f.show({"k"}, ticket, std::nullopt);
  }
  CHECK(f.get({"k"}) == "-");
  CHECK(f.cache.used_bytes() == f.cache.recount());
}

TEST_CASE("near_cache: an empty value is not the absence of one") {
  CacheFixture f;
  REQUIRE(f.keep({"k"}, "") == Kept::Yes);
  Ticket ticket = f.begin({"k"});
  f.show({"k"}, ticket, "");
  CHECK(f.get({"k"}) == "-");
}

TEST_CASE("near_cache: what is kept but unproven or over goes too") {
  CacheFixture f;
  f.reply.life = f.life(1s, 10s);
  REQUIRE(f.keep({"k"}, "v1") == Kept::Yes);
  Ticket ticket = f.begin({"k"});
  f.now += 2s;
  f.cache.lose(kNode);
  f.show({"k"}, ticket, "v2");
  CHECK(f.cache.entries() == 0);
}

TEST_CASE("near_cache: variants of one key that are read at once are all kept") {
  CacheFixture f;
  std::vector<Wish> wishes;
  std::vector<Ticket> tickets;
  for (int i = 0; i < 50; ++i) {
    wishes.push_back({"h", kHget, {"f" + std::to_string(i)}});
    tickets.push_back(f.begin(wishes.back()));
  }
  wishes.push_back({"h", kHget, {"f1"}, 1});     // another db
  wishes.push_back({"h", kHget, {"f1"}, 0, 3});  // another encoding
  wishes.push_back({"h", kGet, {}});
  for (std::size_t i = tickets.size(); i < wishes.size(); ++i) {
    tickets.push_back(f.begin(wishes[i]));
  }
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    f.show(wishes[i], tickets[i], "v");
  }
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    CHECK(f.install(wishes[i], tickets[i], "v") == Kept::Yes);
  }
}

TEST_CASE("near_cache: showing does not make a ticket good that was not") {
  CacheFixture f;
  Ticket ticket = f.begin({"k"});
  SECTION("an invalidation came before") {
    f.cache.invalidate(f.hash("k"));
  }
  SECTION("or a local write") {
    f.cache.begin_write(f.hash("k"));
    f.cache.end_write(f.hash("k"));
  }
  SECTION("or another reply") {
    Ticket other = f.begin({"k"});
    f.show({"k"}, other, "v");
  }
  f.show({"k"}, ticket, "v");
  CHECK(f.install({"k"}, ticket, "v") == Kept::Doomed);
}

TEST_CASE("near_cache: what was kept under another class is not found") {
  CacheFixture f;
  REQUIRE(f.keep({"k"}, "v1") == Kept::Yes);
  f.key_class = kClass + 1;
  REQUIRE_FALSE(f.find({"k"}));
  CHECK(f.cache.used_bytes() == f.cache.recount());
  f.key_class = kClass;  // nor when the key comes back to it: meanwhile others were shown
  CHECK_FALSE(f.find({"k"}));
  CHECK(f.cache.use_of(kClass).entries == 0);
}
