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
  SECTION("of everything") {
    epochs.flush_all();
    REQUIRE(epochs.standing(tracked) == Standing::Flushed);
    REQUIRE(epochs.standing(elsewhere) == Standing::Flushed);
  }
}
