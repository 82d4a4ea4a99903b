#include "pannier/proxy/session_table.hpp"

#include "session_fixture.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace pannier;
using proxy::Session;
using proxy::Sessions;
using proxy::SessionTable;
using upstream::SessionRef;

TEST_CASE("session_table: a session is found by its reference, nobody by others", "[proxy]") {
  Sessions sessions;
  SessionTable table;
  REQUIRE(table.find({}) == nullptr);
  const SessionRef ref = table.reserve();
  REQUIRE(ref.generation != 0);
  REQUIRE(table.find(ref) == nullptr);  // not put yet
  auto made = sessions.make(ref);
  Session* const session = made.get();
  table.put(ref, std::move(made));
  REQUIRE(table.find(ref) == session);
  REQUIRE(table.size() == 1);
  REQUIRE(table.find({ref.index, 0}) == nullptr);
  REQUIRE(table.find({ref.index, ref.generation + 1}) == nullptr);
  REQUIRE(table.find({ref.index + 1, ref.generation}) == nullptr);
}

TEST_CASE("session_table: a removed session is found no more, but lives until sweep", "[proxy]") {
  Sessions sessions;
  SessionTable table;
  const SessionRef ref = table.reserve();
  table.put(ref, sessions.make(ref));
  const auto& gauge = sessions.context.runtime.metrics.sessions;
  REQUIRE(gauge.value() == 1);
  table.remove(ref);
  REQUIRE(table.find(ref) == nullptr);
  REQUIRE(table.size() == 0);
  REQUIRE(gauge.value() == 1);
  table.sweep();
  REQUIRE(gauge.value() == 0);
}

TEST_CASE("session_table: a place is used again under a new generation", "[proxy]") {
  Sessions sessions;
  SessionTable table;
  const SessionRef first = table.reserve();
  table.put(first, sessions.make(first));
  table.remove(first);
  const SessionRef second = table.reserve();
  table.put(second, sessions.make(second));
  REQUIRE(second.index == first.index);
  REQUIRE(second.generation != first.generation);
  REQUIRE(table.find(first) == nullptr);
  REQUIRE(table.find(second) != nullptr);
  table.sweep();
  REQUIRE(table.find(second) != nullptr);
}

TEST_CASE("session_table: every session is visited, those removed meanwhile are not", "[proxy]") {
  Sessions sessions;
  SessionTable table;
  std::vector<SessionRef> refs;
  for (int i = 0; i < 4; ++i) {
    refs.push_back(table.reserve());
    table.put(refs.back(), sessions.make(refs.back()));
  }
  std::vector<std::uint32_t> visited;
  table.for_each([&](Session& session) {
    visited.push_back(session.ref().index);
    if (session.ref() == refs[0]) {
      table.remove(refs[0]);  // itself
      table.remove(refs[2]);
    }
  });
  REQUIRE(visited == std::vector{refs[0].index, refs[1].index, refs[3].index});
  REQUIRE(table.size() == 2);
}
