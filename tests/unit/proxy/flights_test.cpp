#include "pannier/proxy/flights.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

using namespace pannier;
using proxy::CachedRead;
using proxy::Flight;
using proxy::Flights;
using proxy::LeaseWait;
using proxy::LeaseWaits;

namespace {

// GET of this key, whose views point at it.
struct Read {
  explicit Read(std::string_view key) : words{"GET", key} {
    read.row = command::find("get");
    read.arguments = words;
    read.query.key = key;
  }

  std::array<std::string_view, 2> words;
  CachedRead read;
};

}  // namespace

TEST_CASE("flights: one that is over keeps no large memory, and is charged for none", "[proxy]") {
  Flights flights;
  std::size_t memory = 0;
  const std::string key(20'000, 'k');
  const Flights::Id id = flights.open(Read(key).read);
  flights[id].reply.assign(1'000'000, 'v');
  flights.charge(id, memory);
  CHECK(memory >= 1'000'000);
  flights.drop(id, memory);
  CHECK(memory == 0);
  REQUIRE(flights.open(Read("k").read) == id);
  CHECK(flights[id].reply.capacity() <= 4096);
  CHECK(flights[id].words.capacity() <= 4096);
}

TEST_CASE("flights: a small buffer is used again", "[proxy]") {
  Flights flights;
  std::size_t memory = 0;
  const Flights::Id id = flights.open(Read("k").read);
  flights[id].reply.assign(1000, 'v');
  const char* const buffer = flights[id].reply.data();
  flights.drop(id, memory);
  REQUIRE(flights.open(Read("k").read) == id);
  CHECK(flights[id].reply.empty());
  CHECK(flights[id].reply.capacity() >= 1000);
  CHECK(static_cast<const void*>(flights[id].reply.data()) == buffer);
}

TEST_CASE("lease waits: one that is over keeps no large memory", "[proxy]") {
  LeaseWaits waits;
  const std::string key(20'000, 'k');
  const LeaseWaits::Id id = waits.open(Read(key).read, nullptr);
  CHECK(waits[id].words.capacity() >= key.size());
  waits.close(id);
  REQUIRE(waits.open(Read("k").read, nullptr) == id);
  CHECK(waits[id].words.capacity() <= 4096);
}
