#include "epochs.hpp"

#include <catch2/catch.hpp>

using namespace pannier::cache;
using Standing = Epochs::Standing;

TEST_CASE("epochs: what a flush means holds across the wrap of the counter") {
  constexpr NodeIndex kNode = 1;
  constexpr NodeIndex kOther = 2;
  Epochs epochs(0xfffffff0U);
  epochs.regain(kNode);
  epochs.regain(kOther);
  for (int i = 0; i < 40; ++i) {
    const Epochs::Stamp before{epochs.current(), kNode, 0, true};
    const Epochs::Stamp other{epochs.current(), kOther, 0, true};
    REQUIRE(epochs.standing(before) == Standing::Good);
    epochs.flush_node(kNode);
    REQUIRE(epochs.standing(before) == Standing::Flushed);
    // Every 2^28 epochs everything is flushed, so that no floor falls too far behind.
    const bool renewed = epochs.current() == 0;
    REQUIRE(epochs.standing(other) == (renewed ? Standing::Flushed : Standing::Good));
    REQUIRE(epochs.standing({epochs.current(), kNode, 0, true}) == Standing::Good);
    REQUIRE(epochs.standing({epochs.current(), kOther, 0, true}) == Standing::Good);
  }
}

TEST_CASE("epochs: a class is closed and opened across the wrap of the counter") {
  constexpr ClassIndex kClosed = 7;
  Epochs epochs(0xfffffff0U);
  epochs.regain(0);
  for (int i = 0; i < 20; ++i) {
    epochs.close_class(kClosed);
    epochs.flush_class(kClosed + 1);
    REQUIRE(epochs.standing({epochs.current(), 0, kClosed, true}) == Standing::Flushed);
    epochs.open_class(kClosed);
    REQUIRE(epochs.standing({epochs.current(), 0, kClosed, true}) == Standing::Good);
  }
}

TEST_CASE("epochs: each kind of flush has a floor of its own") {
  Epochs epochs;
  epochs.regain(1);
  const auto stamp = [&](NodeIndex node, ClassIndex key_class, bool tracked) {
    return Epochs::Stamp{epochs.current(), node, key_class, tracked};
  };
  const auto tracked = stamp(1, 1, true);
  const auto timed = stamp(1, 1, false);
  const auto elsewhere = stamp(2, 2, false);
  SECTION("of a node") {
    epochs.flush_node(1);
    REQUIRE(epochs.standing(tracked) == Standing::Flushed);
    REQUIRE(epochs.standing(timed) == Standing::Flushed);
    REQUIRE(epochs.standing(elsewhere) == Standing::Good);
  }
  SECTION("of a class") {
    epochs.flush_class(2);
    REQUIRE(epochs.standing(tracked) == Standing::Good);
    REQUIRE(epochs.standing(elsewhere) == Standing::Flushed);
  }
  SECTION("of a node's tracked replies") {
    epochs.lose(1);
    REQUIRE(epochs.standing(tracked) == Standing::Unproven);
    REQUIRE(epochs.standing(timed) == Standing::Good);
    epochs.regain(1);
    REQUIRE(epochs.standing(tracked) == Standing::Flushed);
    REQUIRE(epochs.standing(timed) == Standing::Good);
  }
  SECTION("a class in doubt stays unproven, whatever becomes of its node") {
    epochs.doubt_class(1);
    REQUIRE(epochs.standing(tracked) == Standing::Unproven);
    REQUIRE(epochs.standing(timed) == Standing::Good);
    REQUIRE(epochs.standing(stamp(1, 1, true)) == Standing::Good);
    epochs.lose(1);
    REQUIRE(epochs.standing(tracked) == Standing::Unproven);
    epochs.flush_class(1);
    REQUIRE(epochs.standing(tracked) == Standing::Flushed);
  }
  SECTION("a closed class has nothing, until what begins after it was opened") {
    epochs.close_class(2);
    REQUIRE(epochs.standing(elsewhere) == Standing::Flushed);
    REQUIRE(epochs.standing(stamp(2, 2, false)) == Standing::Flushed);
    REQUIRE(epochs.standing(tracked) == Standing::Good);
    epochs.flush_all();
    const auto while_closed = stamp(2, 2, false);
    epochs.flush_class(2);
    REQUIRE(epochs.standing(stamp(2, 2, false)) == Standing::Flushed);
    epochs.open_class(2);
    REQUIRE(epochs.standing(while_closed) == Standing::Flushed);
    const auto fresh = stamp(2, 2, false);
    REQUIRE(epochs.standing(fresh) == Standing::Good);
    epochs.flush_class(2);
    REQUIRE(epochs.standing(fresh) == Standing::Flushed);
    REQUIRE(epochs.standing(stamp(2, 2, false)) == Standing::Good);
  }
  SECTION("of everything") {
    epochs.flush_all();
    REQUIRE(epochs.standing(tracked) == Standing::Flushed);
    REQUIRE(epochs.standing(elsewhere) == Standing::Flushed);
  }
}
