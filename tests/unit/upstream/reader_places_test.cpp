#include "reader_places.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using pannier::base::SocketAddress;
using pannier::upstream::ReaderPlaces;

namespace {

std::vector<SocketAddress> at(const std::vector<int>& hosts) {
  std::vector<SocketAddress> out;
  for (const int host : hosts) {
    out.push_back(SocketAddress::from_ip("10.0.0." + std::to_string(host), 6379));
  }
  return out;
}

bool nobody(std::size_t) {
  return false;
}

// "+0=10.0.0.1:6379 -1"
std::string text(const ReaderPlaces::Changes& changes) {
  std::string out;
  for (const auto place : changes.left) {
    out += "-" + std::to_string(place) + " ";
  }
  for (const auto& [place, address] : changes.taken) {
    out += "+" + std::to_string(place) + "=" + address.to_string() + " ";
  }
  return out + (changes.no_room == 0 ? "" : "full " + std::to_string(changes.no_room));
}

}  // namespace

TEST_CASE("reader_places: each address is a node, whatever their order") {
  ReaderPlaces places(16);
  CHECK(text(places.answered(at({1, 2}), nobody)) == "+0=10.0.0.1:6379 +1=10.0.0.2:6379 ");
  CHECK(text(places.answered(at({2, 1}), nobody)).empty());
  CHECK(text(places.answered(at({3, 2, 1}), nobody)) == "+2=10.0.0.3:6379 ");
}

TEST_CASE("reader_places: who is missing from an answer with several has left") {
  ReaderPlaces places(16);
  static_cast<void>(places.answered(at({1, 2, 3}), nobody));
  CHECK(text(places.answered(at({1, 3}), nobody)) == "-1 ");
  CHECK(text(places.answered(at({1, 3, 4}), nobody)) == "+1=10.0.0.4:6379 ");
}

TEST_CASE("reader_places: answers with one address add up, until somebody falls silent") {
  ReaderPlaces places(16);
  CHECK(text(places.answered(at({1}), nobody)) == "+0=10.0.0.1:6379 ");
  CHECK(text(places.answered(at({2}), nobody)) == "+1=10.0.0.2:6379 ");
  CHECK(text(places.answered(at({1}), nobody)).empty());
  CHECK_FALSE(places.fell_silent(0));  // the name still points there
  CHECK(places.fell_silent(1));
  CHECK_FALSE(places.fell_silent(1));
  CHECK(text(places.answered(at({3}), nobody)) == "+1=10.0.0.3:6379 ");
}

TEST_CASE("reader_places: a place that must stay does, until it need not") {
  ReaderPlaces places(16);
  static_cast<void>(places.answered(at({1, 2, 3}), nobody));
  const auto second = [](std::size_t place) {
    return place == 1;
  };
  CHECK(text(places.answered(at({1, 3}), second)).empty());
  CHECK(text(places.answered(at({1, 3}), nobody)) == "-1 ");
}

TEST_CASE("reader_places: addresses beyond the last place are counted") {
  ReaderPlaces places(2);
  CHECK(text(places.answered(at({1, 2, 3, 4}), nobody)) ==
        "+0=10.0.0.1:6379 +1=10.0.0.2:6379 full 2");
  CHECK(text(ReaderPlaces(0).answered(at({1}), nobody)) == "full 1");
}
