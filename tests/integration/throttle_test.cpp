#include "near_cache_rig.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// CL.THROTTLE through the whole program. Periods are so long that the time which a test takes does
// not matter; a test that wants time to pass moves what is kept into the past.
namespace pannier::test {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kDay = "86400";

struct Throttled {
  long long limited = -1;
  long long limit = -1;
  long long remaining = -1;
  long long retry_after = -1;
  long long reset_after = -1;
};

Throttled parse(const std::string& reply) {
  INFO(reply);
  REQUIRE(reply.starts_with("*5\r\n:"));
  std::array<long long, 5> numbers{};
  std::size_t at = 4;
  for (long long& number : numbers) {
    REQUIRE(reply.at(at) == ':');
    number = std::stoll(reply.substr(at + 1));
    at = reply.find("\r\n", at) + 2;
  }
  REQUIRE(at == reply.size());
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
}

// One token a day, `burst` more at once.
Throttled throttle(RawClient& client, std::string_view key, std::string_view burst) {
  return parse(client.call({"CL.THROTTLE", key, burst, "1", kDay}));
}

// That time, less what the test has taken.
void check_seconds(long long seconds, long long expected) {
  CHECK(seconds <= expected);
  CHECK(seconds >= expected - (expected > 0 ? 60 : 0));
}

long runs_of(const RedisServer& server, const std::string& command) {
  const std::string line = server.info("cmdstat_" + command);
  return line.empty() ? 0 : std::stol(line.substr(line.find('=') + 1));
}

constexpr std::string_view kPatient =
    "lanes: { min: 1, max: 1 }, "
    "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

struct Rig {
  RedisServer server;
  RawClient direct{server.port()};
  PannierProcess pannier{{upstream_of({server.address()}, kPatient), {}, {}}};

  [[nodiscard]] RawClient connect() const { return RawClient(pannier.port()); }
};

}  // namespace

TEST_CASE("throttle: redis-cell's own vectors, a thousand times slower") {
  struct Row {
    long long at;  // seconds
    std::string_view quantity;
    long long limited;
    long long remaining;
    long long reset;
    long long retry;
  };

  constexpr std::array<Row, 15> kRows{{{0, "6", 1, 5, 0, -1},
                                       {0, "1", 0, 4, 1000, -1},
                                       {0, "1", 0, 3, 2000, -1},
                                       {0, "1", 0, 2, 3000, -1},
                                       {0, "1", 0, 1, 4000, -1},
                                       {0, "1", 0, 0, 5000, -1},
                                       {0, "1", 1, 0, 5000, 1000},
                                       {3000, "1", 0, 2, 3000, -1},
                                       {3100, "1", 0, 1, 3900, -1},
                                       {4000, "1", 0, 1, 4000, -1},
                                       {8000, "1", 0, 4, 1000, -1},
                                       {9500, "1", 0, 4, 1000, -1},
                                       {9500, "0", 0, 4, 1000, -1},
                                       {9500, "2", 0, 2, 3000, -1},
                                       {9500, "5", 1, 2, 3000, 3000}}};
  Rig rig;
  RawClient client = rig.connect();
  long long now = 0;
  for (const Row& row : kRows) {
    CAPTURE(row.at, row.quantity);
    if (const long long passed = std::exchange(now, row.at); row.at > passed) {
      const long long kept = std::stoll(text_of(rig.direct.call({"GET", "k"})));
      const std::string earlier = std::to_string(kept - (row.at - passed) * 1'000'000);
      REQUIRE(rig.direct.call({"SET", "k", earlier, "KEEPTTL"}) == "+OK\r\n");
    }
    const Throttled result =
        parse(client.call({"CL.THROTTLE", "k", "4", "1", "1000", row.quantity}));
    CHECK(result.limited == row.limited);
    CHECK(result.limit == 5);
    CHECK(result.remaining == row.remaining);
    check_seconds(result.reset_after, row.reset);
    if (row.retry < 0) {
      CHECK(result.retry_after == -1);
    } else {
      check_seconds(result.retry_after, row.retry);
    }
  }
}

TEST_CASE("throttle: seconds are rounded as redis-cell does") {
  Rig rig;
  RawClient client = rig.connect();
  CHECK(client.call({"CL.THROTTLE", "user123", "15", "30", "60"}) ==
        "*5\r\n:0\r\n:16\r\n:15\r\n:-1\r\n:2\r\n");
  CHECK(client.call({"CL.THROTTLE", "third", "0", "3", "1"}) ==
        "*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:1\r\n");
}

TEST_CASE("throttle: what is kept is exact and ends when the limit is whole again") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(throttle(client, "k", "9").limited == 0);
  const std::string first = text_of(rig.direct.call({"GET", "k"}));
  CHECK(first.size() == 16);
  const long long ttl = rig.direct.call_integer({"PTTL", "k"});
  CHECK(ttl > 86'340'000);
  CHECK(ttl <= 86'400'000);
  REQUIRE(throttle(client, "k", "9").limited == 0);
  CHECK(std::stoll(text_of(rig.direct.call({"GET", "k"}))) == std::stoll(first) + 86'400'000'000);
  CHECK(rig.direct.call_integer({"PTTL", "k"}) > 2 * 86'340'000);
}

TEST_CASE("throttle: quantity 0 looks, and makes no key") {
  Rig rig;
  RawClient client = rig.connect();
  CHECK(client.call({"CL.THROTTLE", "k", "4", "1", kDay, "0"}) ==
        "*5\r\n:0\r\n:5\r\n:5\r\n:-1\r\n:0\r\n");
  CHECK(rig.direct.call_integer({"EXISTS", "k"}) == 0);
  REQUIRE(throttle(client, "k", "4").remaining == 4);
  const std::string kept = rig.direct.call({"GET", "k"});
  CHECK(parse(client.call({"CL.THROTTLE", "k", "4", "1", kDay, "0"})).remaining == 4);
  CHECK(rig.direct.call({"GET", "k"}) == kept);
}

TEST_CASE("throttle: the largest numbers overflow nothing") {
  constexpr std::string_view kMost = "9223372036854775807";
  Rig rig;
  RawClient client = rig.connect();
  const Throttled never = parse(client.call({"CL.THROTTLE", "q", "4", "1", "1", kMost}));
  CHECK(never.limited == 1);
  CHECK(never.retry_after == -1);
  CHECK(rig.direct.call_integer({"EXISTS", "q"}) == 0);
  const Throttled long_period = parse(client.call({"CL.THROTTLE", "p", "4", "1", kMost}));
  CHECK(long_period.limited == 0);
  CHECK(long_period.reset_after > 0);
  CHECK(rig.direct.call_integer({"PTTL", "p"}) > 0);
  const Throttled burst = parse(client.call({"CL.THROTTLE", "b", kMost, kMost, kMost}));
  CHECK(burst.limited == 0);
  CHECK(burst.limit == 9007199254740992);
  CHECK(burst.remaining > 0);
}

TEST_CASE("throttle: wrong words are refused in redis-cell's, and nothing is sent") {
  const std::string usage =
      "-Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> "
      "[<quantity>]\r\n";
  const std::string zero = "-Cell error: Zero rates are not supported\r\n";
  const std::string negative = "-Cell error: Negative numbers are not supported\r\n";
  const auto number = [](const std::string& word) {
    return "-Cell error: Couldn't parse as integer: " + word + "\r\n";
  };
  const std::vector<std::pair<Words, std::string>> cases{
      {{}, usage},
      {{"k", "1", "1"}, usage},
      {{"k", "1", "1", "1", "1", "1"}, usage},
      {{"k", "many", "1", "1"}, number("many")},
      {{"k", "1", "1.5", "1"}, number("1.5")},
      {{"k", "1", "1", " 1"}, number(" 1")},
      {{"k", "1", "1", "+-1"}, number("+-1")},
      {{"k", "1", "1", ""}, number("")},
      {{"k", "1", "1", "1", "9223372036854775808"}, number("9223372036854775808")},
      {{"k", "1", "0", "1"}, zero},
      {{"k", "1", "1", "0"}, zero},
      {{"k", "-1", "1", "1"}, negative},
      {{"k", "1", "-1", "1"}, negative},
      {{"k", "1", "1", "-1"}, negative},
      {{"k", "1", "1", "1", "-1"}, negative},
      {{"k", "1", "1000001", "1"},
       "-Cell error: Rates over 1000000 per second are not supported\r\n"},
  };
  Rig rig;
  RawClient client = rig.connect();
  for (const auto& [words, error] : cases) {
    Words request{"cl.throttle"};
    request.insert(request.end(), words.begin(), words.end());
    CHECK(client.call(request) == error);
  }
  CHECK(runs_of(rig.server, "eval") + runs_of(rig.server, "evalsha") == 0);
  CHECK(parse(client.call({"CL.THROTTLE", "k", "+4", "01", kDay, "+2"})).remaining == 3);
}

TEST_CASE("throttle: a key that holds something else is left alone") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(client.call({"RPUSH", "list", "x"}) == ":1\r\n");
  CHECK(client.call({"CL.THROTTLE", "list", "1", "1", "1"}) ==
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  for (const std::string_view value : {"word", "", "nan", "inf", "1e300"}) {
    REQUIRE(client.call({"SET", "string", value}) == "+OK\r\n");
    CHECK(client.call({"CL.THROTTLE", "string", "1", "1", "1"}) ==
          "-Cell error: the key holds something else than a limit\r\n");
    CHECK(client.call({"GET", "string"}) == bulk(value));
  }
}

TEST_CASE("throttle: the server's own errors pass through") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(rig.direct.call({"CONFIG", "SET", "maxmemory", "1"}) == "+OK\r\n");
  CHECK(client.call({"CL.THROTTLE", "k", "1", "1", kDay}).starts_with("-OOM "));
  REQUIRE(rig.direct.call({"CONFIG", "SET", "maxmemory", "0"}) == "+OK\r\n");
  REQUIRE(throttle(client, "k", "1").limited == 0);
  REQUIRE(rig.direct.call({"ACL", "SETUSER", "default", "-evalsha", "-eval"}) == "+OK\r\n");
  CHECK(client.call({"CL.THROTTLE", "k", "1", "1", kDay}).starts_with("-NOPERM "));
}

TEST_CASE("throttle: two sidecars share one limit") {
  Rig rig;
  const PannierProcess other({upstream_of({rig.server.address()}, kPatient), {}, {}});
  RawClient here = rig.connect();
  RawClient there(other.port());
  for (long long left = 9; left >= 0; --left) {
    const Throttled result = throttle(left % 2 == 0 ? here : there, "k", "9");
    CHECK(result.limited == 0);
    CHECK(result.remaining == left);
  }
  for (RawClient* client : {&here, &there}) {
    const Throttled result = throttle(*client, "k", "9");
    CHECK(result.limited == 1);
    CHECK(result.remaining == 0);
    check_seconds(result.retry_after, 86400);
  }
}

TEST_CASE("throttle: eight connections admit exactly the burst, whatever becomes of the script") {
  constexpr std::size_t kRounds = 5;
  constexpr std::size_t kEach = 20;
  constexpr std::size_t kAdmitted = 200;
  Rig rig;
  const PannierProcess other({upstream_of({rig.server.address()}, kPatient), {}, {}});
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(i % 2 == 0 ? rig.pannier.port() : other.port());
  }
  std::string pipeline;
  for (std::size_t i = 0; i < kEach; ++i) {
    pipeline += request({"CL.THROTTLE", "k", "199", "1", kDay});
  }
  std::vector<long long> left;
  std::size_t refused = 0;
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (RawClient& client : clients) {
      client.send(pipeline);
      REQUIRE(rig.direct.call({"SCRIPT", "FLUSH"}) == "+OK\r\n");
    }
    for (RawClient& client : clients) {
      for (std::size_t i = 0; i < kEach; ++i) {
        const Throttled result = parse(client.read());
        refused += static_cast<std::size_t>(result.limited);
        if (result.limited == 0) {
          left.push_back(result.remaining);
        }
      }
    }
  }
  CHECK(left.size() == kAdmitted);
  CHECK(refused == kRounds * kEach * clients.size() - kAdmitted);
  std::sort(left.begin(), left.end());
  for (std::size_t i = 0; i < left.size(); ++i) {
    REQUIRE(left[i] == static_cast<long long>(i));
  }
}

TEST_CASE("throttle: the script is sent once per connection, and again when it was forgotten") {
  Rig rig;
  RawClient client = rig.connect();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(throttle(client, "k", "99").limited == 0);
  }
  CHECK(runs_of(rig.server, "eval") == 1);
  CHECK(runs_of(rig.server, "evalsha") == 9);
  REQUIRE(rig.direct.call({"SCRIPT", "FLUSH"}) == "+OK\r\n");
  REQUIRE(throttle(client, "k", "99").remaining == 89);
  CHECK(runs_of(rig.server, "eval") == 2);
  REQUIRE(throttle(client, "k", "99").remaining == 88);
  CHECK(runs_of(rig.server, "eval") == 2);
}

TEST_CASE("throttle: a restarted server begins anew; while it is away the error says so") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(throttle(client, "k", "0").limited == 0);
  REQUIRE(throttle(client, "k", "0").limited == 1);
  rig.server.stop();
  CHECK(client.call({"CL.THROTTLE", "k", "0", "1", kDay}).starts_with("-UPSTREAM "));
  CHECK(client.call({"CL.THROTTLE", "k", "0", "x", kDay}).starts_with("-Cell error: "));
  rig.server.restart();
  REQUIRE(wait_until([&] {
    return client.call({"CL.THROTTLE", "k", "0", "1", kDay, "0"}).starts_with("*5\r\n:0\r\n");
  }));
  CHECK(throttle(client, "k", "0").limited == 0);
  CHECK(throttle(client, "k", "0").limited == 1);
}

TEST_CASE("throttle: it keeps its place in a pipeline, in RESP2 and RESP3") {
  for (const bool resp3 : {false, true}) {
    Rig rig;
    RawClient client = rig.connect();
    if (resp3) {
      REQUIRE(client.call({"HELLO", "3"}).starts_with("%"));
    }
    client.send(request({"SET", "a", "1"}) + request({"CL.THROTTLE", "k", "4", "1", kDay}) +
                request({"STRLEN", "k"}) + request({"CL.THROTTLE", "k", "4", "1", kDay, "4"}) +
                request({"DEL", "k"}) + request({"CL.THROTTLE", "k", "4", "1", kDay, "5"}) +
                request({"CL.THROTTLE", "k", "4", "x", kDay}) + request({"GET", "a"}));
    CHECK(client.read() == "+OK\r\n");
    CHECK(client.read() == "*5\r\n:0\r\n:5\r\n:4\r\n:-1\r\n:86400\r\n");
    CHECK(client.read() == ":16\r\n");
    CHECK(parse(client.read()).remaining == 0);
    CHECK(client.read() == ":1\r\n");
    CHECK(client.read() == "*5\r\n:0\r\n:5\r\n:0\r\n:-1\r\n:432000\r\n");
    CHECK(client.read() == "-Cell error: Couldn't parse as integer: x\r\n");
    CHECK(client.read() == bulk("1"));
  }
}

TEST_CASE("throttle: CLIENT REPLY OFF counts and says nothing, also for a forgotten script") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(throttle(client, "k", "9").remaining == 9);
  REQUIRE(rig.direct.call({"SCRIPT", "FLUSH"}) == "+OK\r\n");
  const std::string one = request({"CL.THROTTLE", "k", "9", "1", kDay});
  client.send(request({"CLIENT", "REPLY", "OFF"}) + one + one +
              request({"CL.THROTTLE", "k", "9", "x", kDay}) + request({"CLIENT", "REPLY", "ON"}));
  CHECK(client.read() == "+OK\r\n");
  CHECK(throttle(client, "k", "9").remaining == 6);
}

TEST_CASE("throttle: inside MULTI it is refused as Pannier's other commands are") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(client.call({"MULTI"}) == "+OK\r\n");
  CHECK(client.call({"CL.THROTTLE", "k", "4", "1", kDay}) ==
        "-ERR Command not allowed inside a transaction\r\n");
  CHECK(client.call({"EXEC"}).starts_with("-EXECABORT "));
  CHECK(rig.direct.call_integer({"EXISTS", "k"}) == 0);
  CHECK(throttle(client, "k", "4").remaining == 4);
}

TEST_CASE("throttle: a session with a connection of its own uses that one") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(client.call({"WATCH", "k"}) == "+OK\r\n");
  CHECK(throttle(client, "k", "4").remaining == 4);
  REQUIRE(rig.direct.call({"SCRIPT", "FLUSH"}) == "+OK\r\n");
  CHECK(throttle(client, "k", "4").remaining == 3);
  client.send(request({"MULTI"}) + request({"SET", "a", "1"}) + request({"EXEC"}));
  CHECK(client.read(3) == "+OK\r\n+QUEUED\r\n*-1\r\n");
  CHECK(throttle(client, "k", "4").remaining == 2);

  REQUIRE(client.call({"HELLO", "3"}).starts_with("%"));
  REQUIRE(client.call({"SUBSCRIBE", "news"}).starts_with(">3\r\n"));
  CHECK(throttle(client, "k", "4").remaining == 1);

  RawClient subscriber = rig.connect();
  REQUIRE(subscriber.call({"SUBSCRIBE", "news"}).starts_with("*3\r\n"));
  CHECK(subscriber.call({"CL.THROTTLE", "k", "4", "1", kDay})
            .starts_with("-ERR Can't execute 'cl.throttle'"));
}

TEST_CASE("throttle: CLIENT PAUSE WRITE holds it back") {
  Rig rig;
  RawClient pauser = rig.connect();
  RawClient client = rig.connect();
  REQUIRE(throttle(client, "k", "4").remaining == 4);
  REQUIRE(pauser.call({"CLIENT", "PAUSE", "60000", "WRITE"}) == "+OK\r\n");
  client.ask({"CL.THROTTLE", "k", "4", "1", kDay});
  CHECK_FALSE(client.has_input(100ms));
  REQUIRE(pauser.call({"CLIENT", "UNPAUSE"}) == "+OK\r\n");
  CHECK(parse(client.read()).remaining == 3);
}

TEST_CASE("throttle: the near cache never shows what was kept before") {
  CacheRig rig;
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const std::string key = rig.key("1");
  for (int i = 0; i < 20; ++i) {
    REQUIRE(client.call({"SET", key, "0"}) == "+OK\r\n");
    rig.keep(client, "1");
    REQUIRE(throttle(client, key, "4").remaining == 4);
    REQUIRE(text_of(other.call({"GET", key})).size() == 16);
    REQUIRE(text_of(client.call({"GET", key})).size() == 16);
  }
}

TEST_CASE("throttle: a replica is not asked for the key before it knows") {
  const RedisServer primary;
  const RedisServer replica = RedisServer::start_replica_of(primary);
  const PannierProcess pannier(
      {upstream_of({primary.address(), replica.address()}, kPatient), "reads: replica", {}});
  RawClient client(pannier.port());
  REQUIRE(wait_until([&] {
    static_cast<void>(client.call({"GET", "nothing"}));
    return runs_of(replica, "get") > 0;
  }));
  for (int i = 0; i < 200; ++i) {
    const std::string key = "k" + std::to_string(i);
    client.send(request({"GET", key}) + request({"CL.THROTTLE", key, "4", "1", kDay}) +
                request({"GET", key}));
    REQUIRE(client.read() == "$-1\r\n");
    REQUIRE(parse(client.read()).remaining == 4);
    REQUIRE(text_of(client.read()).size() == 16);
  }
}

TEST_CASE("throttle: SLOWLOG shows what was asked, not the script") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, kPatient), "slowlog: { slower_than: 1us }", {}});
  RawClient client(pannier.port());
  REQUIRE(throttle(client, "k", "4").limited == 0);
  const std::string log = client.call({"SLOWLOG", "GET"});
  CHECK(log.find(bulk("cl.throttle") + bulk("k")) != std::string::npos);
  CHECK(log.find("eval") == std::string::npos);
}

TEST_CASE("throttle: PANNIER EXPLAIN says where it goes") {
  Rig rig;
  RawClient client = rig.connect();
  REQUIRE(throttle(client, "k", "1").limited == 0);  // by now the primary is known
  const std::string text =
      text_of(client.call({"PANNIER", "EXPLAIN", "CL.THROTTLE", "k", "1", "1", "1"}));
  CHECK(text.find("a script of Pannier's on the primary") != std::string::npos);
  CHECK(text.find(rig.server.address() + " (primary)") != std::string::npos);
}

}  // namespace pannier::test
