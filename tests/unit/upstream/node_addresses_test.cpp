#include "node_addresses.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier;
using base::SocketAddress;
using net::LookupAnswer;
using net::LookupResult;
using upstream::NameRecord;

namespace {

LookupAnswer found(const std::vector<std::string>& hosts, std::chrono::seconds ttl = 5s) {
  LookupAnswer out;
  out.result = LookupResult::Found;
  for (const auto& host : hosts) {
    out.addresses.push_back(SocketAddress::from_ip(host, 6379));
  }
  out.ttl = ttl;
  return out;
}

LookupAnswer bad(LookupResult result) {
  LookupAnswer out;
  out.result = result;
  out.error = "no";
  return out;
}

constexpr base::TimePoint kStart{1000s};

}  // namespace

TEST_CASE("name_record: the last good answer stays, whatever the failure") {
  NameRecord record;
  record.answered(found({"10.0.0.1"}), kStart);
  for (const auto result : {LookupResult::NotFound, LookupResult::Failed, LookupResult::TimedOut}) {
    record.answered(bad(result), kStart + 5s);
    REQUIRE(record.known().size() == 1);
    CHECK(record.known().front().to_string() == "10.0.0.1:6379");
    CHECK(record.error() == "no");
    CHECK(record.good_at() == kStart);
  }
  record.answered(found({"10.0.0.1"}), kStart + 9s);
  CHECK(record.error().empty());
  CHECK(record.good_at() == kStart + 9s);
}

TEST_CASE("name_record: each change of state is news once") {
  NameRecord record;
  const auto first = record.answered(found({"10.0.0.1", "10.0.0.2"}), kStart);
  CHECK_FALSE((first.moved || first.failed || first.healed));
  CHECK(record.answered(bad(LookupResult::Failed), kStart).failed);
  CHECK_FALSE(record.answered(bad(LookupResult::NotFound), kStart).failed);
  const auto back = record.answered(found({"10.0.0.2", "10.0.0.1"}), kStart);
  CHECK(back.healed);
  CHECK_FALSE(back.moved);  // round robin
  CHECK_FALSE(record.answered(found({"10.0.0.1", "10.0.0.2"}), kStart).healed);
  CHECK(record.answered(found({"10.0.0.3"}), kStart).moved);
  CHECK(record.known().size() == 1);
}

TEST_CASE(
    "name_record: asks again when the TTL is over, and after a failure soon, then less often") {
  NameRecord record;
  record.answered(found({"10.0.0.1"}, 15s), kStart);
  CHECK(record.holds() == 15s);
  for (const auto expected : {1s, 2s, 4s, 5s, 5s}) {
    record.answered(bad(LookupResult::TimedOut), kStart);
    CHECK(record.holds() == expected);
  }
  record.answered(found({"10.0.0.1"}, 7s), kStart);
  CHECK(record.holds() == 7s);
  record.answered(bad(LookupResult::TimedOut), kStart);
  CHECK(record.holds() == 1s);
}

TEST_CASE("node_addresses: an address is never asked for") {
  boost::asio::io_context io;
  net::Resolver resolver(io, {base::Endpoint{"127.0.0.1", 9, ""}});
  int answers = 0;
  upstream::NodeAddresses node(
      io, resolver, base::Endpoint{"10.0.0.1", 6379, ""}, [&](LookupResult) { ++answers; });
  node.look_up();
  CHECK_FALSE(node.is_looking());
  CHECK_FALSE(node.is_name());
  CHECK(node.known().front().to_string() == "10.0.0.1:6379");
  io.run();
  CHECK(answers == 0);
}
