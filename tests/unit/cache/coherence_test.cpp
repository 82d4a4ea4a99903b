#include "cache_fixture.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using namespace pannier::cache;

// What keeps an old value out: the store's side of the cases in research/coherence.md §6.

TEST_CASE("near_cache: an invalidation between begin and install keeps the reply out") {
  CacheFixture f;
  const Ticket ticket = f.begin({"k"});
  f.cache.invalidate(f.hash("k"));
  REQUIRE(f.install({"k"}, ticket, "$2\r\nv1\r\n") == Kept::Doomed);
  REQUIRE(f.get({"k"}) == "-");
  REQUIRE(f.cache.used_bytes() == f.cache.recount());
}

TEST_CASE("near_cache: an invalidation after the fill removes it") {
  CacheFixture f;
  f.keep({"k"}, "v1");
  REQUIRE(f.cache.invalidate(f.hash("k")) == 1);
  REQUIRE(f.get({"k"}) == "-");
  REQUIRE(f.cache.invalidate(f.hash("k")) == 0);
}

TEST_CASE("near_cache: an invalidation before the read was sent does not matter") {
  CacheFixture f;
  f.cache.invalidate(f.hash("k"));
  REQUIRE(f.keep({"k"}, "v2") == Kept::Yes);
  REQUIRE(f.get({"k"}) == "v2");
}

TEST_CASE("near_cache: of two fills only the one sent after the invalidation is kept") {
  CacheFixture f;
  const Ticket first = f.begin({"k"});
  f.cache.invalidate(f.hash("k"));
  const Ticket second = f.begin({"k"});
  SECTION("the newer reply comes first") {
    REQUIRE(f.install({"k"}, second, "v2") == Kept::Yes);
    REQUIRE(f.install({"k"}, first, "v1") == Kept::Doomed);
  }
  SECTION("the older reply comes first") {
    REQUIRE(f.install({"k"}, first, "v1") == Kept::Doomed);
    REQUIRE(f.get({"k"}) == "-");
    REQUIRE(f.install({"k"}, second, "v2") == Kept::Yes);
  }
  REQUIRE(f.get({"k"}) == "v2");
}

TEST_CASE("near_cache: one invalidation removes a key from every db and of every command") {
  CacheFixture f;
  f.keep({"k", kGet, {}, 0}, "a");
  f.keep({"k", kGet, {}, 5}, "b");
  f.keep({"k", kHget, {"f"}, 0}, "c");
  f.keep({"k", kHget, {"g"}, 0, 3}, "d");
  f.keep({"other"}, "e");
  REQUIRE(f.cache.invalidate(f.hash("k")) == 4);
  REQUIRE(f.cache.entries() == 1);
  REQUIRE(f.get({"other"}) == "e");
}

TEST_CASE("near_cache: while a write to the key is in flight nothing is kept") {
  CacheFixture f;
  f.keep({"k"}, "v0");
  const Ticket before = f.begin({"k"});
  f.cache.begin_write(f.hash("k"));
  REQUIRE(f.get({"k"}) == "-");
  const Ticket during = f.begin({"k"});
  REQUIRE_FALSE(during.clean);
  REQUIRE(f.install({"k"}, before, "v1") == Kept::Doomed);
  REQUIRE(f.install({"k"}, during, "v1") == Kept::Doomed);
  f.cache.end_write(f.hash("k"));
  REQUIRE(f.install({"k"}, before, "v1") == Kept::Doomed);
  REQUIRE(f.install({"k"}, during, "v1") == Kept::Doomed);
  REQUIRE(f.keep({"k"}, "v2") == Kept::Yes);
}

TEST_CASE("near_cache: a write whose outcome is not known yet blocks fills until it is over") {
  CacheFixture f;
  f.cache.begin_write(f.hash("k"));
  f.cache.begin_write(f.hash("k"));
  f.cache.end_write(f.hash("k"));
  REQUIRE(f.keep({"k"}, "v") == Kept::Doomed);
  REQUIRE(f.keep({"other"}, "v") == Kept::Yes);
  f.cache.end_write(f.hash("k"));
  REQUIRE(f.keep({"k"}, "v") == Kept::Yes);
}

TEST_CASE("near_cache: more writes in flight than 16 bits count do not look like none") {
  CacheFixture f;
  for (int i = 0; i < 1 << 16; ++i) {
    f.cache.begin_write(f.hash("k"));
  }
  REQUIRE_FALSE(f.begin({"k"}).clean);
  for (int i = 0; i < 1 << 16; ++i) {
    f.cache.end_write(f.hash("k"));
  }
  REQUIRE(f.begin({"k"}).clean);
}

TEST_CASE("near_cache: a write of unknown keys removes everything and blocks every fill") {
  CacheFixture f;
  f.keep({"a"}, "v");
  const Ticket before = f.begin({"b"});
  f.cache.begin_write_all();
  REQUIRE(f.get({"a"}) == "-");
  REQUIRE(f.install({"b"}, before, "v") == Kept::Doomed);
  REQUIRE(f.keep({"b"}, "v") == Kept::Doomed);
  f.cache.end_write_all();
  REQUIRE(f.install({"b"}, before, "v") == Kept::Doomed);
  REQUIRE(f.keep({"b"}, "v") == Kept::Yes);
}

TEST_CASE("near_cache: a flight may be joined until its key is written or invalidated") {
  CacheFixture f;
  const auto key = f.hash("k");
  const Ticket ticket = f.begin({"k"});
  REQUIRE(f.may_join({"k"}, ticket));
  SECTION("an invalidation") {
    f.cache.invalidate(key);
  }
  SECTION("a local write") {
    f.cache.begin_write(key);
  }
  SECTION("a local write of unknown keys") {
    f.cache.begin_write_all();
  }
  SECTION("a flush") {
    f.cache.flush_node(kNode);
  }
  REQUIRE_FALSE(f.may_join({"k"}, ticket));
}

TEST_CASE("near_cache: a flight that began during a write is joined by nobody") {
  CacheFixture f;
  f.cache.begin_write(f.hash("k"));
  const Ticket ticket = f.begin({"k"});
  REQUIRE_FALSE(f.may_join({"k"}, ticket));
}

TEST_CASE("near_cache: a flush of everything removes everything and dooms what is on its way") {
  CacheFixture f;
  f.keep({"k", kGet, {}, 0}, "v");
  f.keep({"k", kGet, {}, 3}, "v");
  const Ticket ticket = f.begin({"n"});
  f.cache.flush_all();
  REQUIRE(f.get({"k", kGet, {}, 0}) == "-");
  REQUIRE(f.get({"k", kGet, {}, 3}) == "-");
  REQUIRE(f.install({"n"}, ticket, "v") == Kept::Doomed);
  REQUIRE(f.keep({"n"}, "v") == Kept::Yes);
}

TEST_CASE("near_cache: a flush of a node leaves the replies of others") {
  CacheFixture f;
  f.keep({"a"}, "v");
  f.reply.tracked = false;
  f.keep({"b"}, "v");
  f.reply.node = kNode + 1;
  f.keep({"c"}, "v");
  f.cache.flush_node(kNode);
  REQUIRE(f.get({"a"}) == "-");
  REQUIRE(f.get({"b"}) == "-");
  REQUIRE(f.get({"c"}) == "v");
}

TEST_CASE("near_cache: a flush of a class leaves the replies of others") {
  CacheFixture f;
  f.keep({"a"}, "v");
  f.key_class = kClass + 1;
  f.keep({"b"}, "v");
  const Ticket ticket = f.begin({"c"});
  f.cache.flush_class(kClass);
  REQUIRE(f.get({"b"}) == "v");
  REQUIRE(f.install({"c"}, ticket, "v") == Kept::Yes);
  f.key_class = kClass;
  REQUIRE(f.get({"a"}) == "-");
  REQUIRE(f.install({"d"}, ticket, "v") == Kept::Doomed);
}

TEST_CASE("near_cache: a closed class neither has nor keeps anything") {
  CacheFixture f;
  f.keep({"a"}, "v");
  const Ticket before = f.begin({"b"});
  f.cache.close_class(kClass);
  REQUIRE(f.get({"a"}) == "-");
  REQUIRE(f.install({"b"}, before, "v") == Kept::Doomed);
  const Ticket meanwhile = f.begin({"b"});
  REQUIRE(f.install({"b"}, meanwhile, "v") == Kept::Doomed);
  f.cache.open_class(kClass);
  REQUIRE(f.get({"a"}) == "-");
  REQUIRE(f.install({"b"}, meanwhile, "v") == Kept::Doomed);
  REQUIRE(f.keep({"b"}, "v") == Kept::Yes);
  REQUIRE(f.get({"b"}) == "v");
}

TEST_CASE("near_cache: a node begins incoherent: only replies that live by time are kept") {
  NearCache cache(1 << 20);
  REQUIRE_FALSE(cache.coherent(0));
  const Query query{NearCache::hash("k"), "k", {}, kGet, 0, 0, 0};
  NearCache::Reply reply;
  reply.bytes = "v";
  reply.life = {kStart + 1s, kStart + 1s, pannier::base::TimePoint::max()};
  const Ticket ticket = cache.begin(query);
  REQUIRE(cache.install(query, ticket, reply, kStart) == Kept::Incoherent);
  reply.tracked = false;
  REQUIRE(cache.install(query, ticket, reply, kStart) == Kept::Yes);
  REQUIRE(cache.find(query, kStart).freshness == Freshness::Fresh);
}

TEST_CASE("near_cache: lost coherence makes tracked replies unproven, its return drops them") {
  CacheFixture f;
  f.reply.life = f.life(1s, 10s);
  f.keep({"tracked"}, "v");
  f.reply.tracked = false;
  f.keep({"timed"}, "v");
  f.reply.tracked = true;
  const Ticket before = f.begin({"n"});
  f.cache.lose(kNode);
  REQUIRE_FALSE(f.cache.coherent(kNode));
  REQUIRE(f.find({"tracked"}).freshness == Freshness::Unproven);
  REQUIRE(f.find({"timed"}).freshness == Freshness::Fresh);
  REQUIRE(f.install({"n"}, before, "v") == Kept::Incoherent);
  const Ticket lost = f.begin({"n"});

  SECTION("an unproven reply is still invalidated and still ends") {
    f.now += 10'999ms;
    REQUIRE(f.find({"tracked"}).freshness == Freshness::Unproven);
    f.now += 1ms;
    REQUIRE_FALSE(f.find({"tracked"}));
  }
  SECTION("regained") {
    f.cache.regain(kNode);
    REQUIRE(f.cache.coherent(kNode));
    REQUIRE_FALSE(f.find({"tracked"}));
    REQUIRE(f.find({"timed"}));
    REQUIRE(f.install({"n"}, before, "v") == Kept::Doomed);
    REQUIRE(f.install({"n"}, lost, "v") == Kept::Doomed);
    REQUIRE(f.keep({"n"}, "v") == Kept::Yes);
  }
}

TEST_CASE("near_cache: what an unproven reply holds is not given after an invalidation") {
  CacheFixture f;
  f.keep({"k"}, "v");
  f.cache.lose(kNode);
  f.cache.invalidate(f.hash("k"));
  REQUIRE_FALSE(f.find({"k"}));
}

TEST_CASE("near_cache: the moment of proof is kept per node") {
  CacheFixture f;
  f.cache.prove(kNode, kStart + 5s);
  REQUIRE(f.cache.proven_at(kNode) == kStart + 5s);
  f.cache.lose(kNode);
  REQUIRE(f.cache.proven_at(kNode) == kStart + 5s);
}
