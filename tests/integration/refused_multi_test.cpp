#include "rules_rig.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

// A transaction that cannot begin fails as a whole, however late its commands come: none of them
// runs on its own (behaviour 2.4).
namespace pannier::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kOk = "+OK\r\n";

bool is_aborted(const std::string& reply, const std::string& why) {
  INFO(reply);
  return reply.starts_with("-EXECABORT Transaction discarded because of: ") &&
         reply.find(why) != std::string::npos;
}

// The rest of a transaction whose MULTI was answered long ago: one segment per command.
void check_that_none_runs(RawClient& client, const std::string& why) {
  for (int i = 0; i < 3; ++i) {
    const std::string reply = client.call({"INCR", "ran"});
    INFO(reply);
    CHECK(reply.starts_with("-"));
    CHECK(reply.find(why) != std::string::npos);
  }
  CHECK(is_aborted(client.call({"EXEC"}), why));
}

void check_that_it_goes_on(RawClient& client) {
  CHECK(client.call({"GET", "ran"}) == "$-1\r\n");
  CHECK(client.call({"EXEC"}) == "-ERR EXEC without MULTI\r\n");
  client.send(request({"MULTI"}) + request({"SET", "after", "v"}) + request({"EXEC"}));
  CHECK(client.read(3) == "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

}  // namespace

TEST_CASE("refused multi: the node was away, and is back before the commands come", "[proxy]") {
  RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  RawClient client(pannier.port());
  RawClient other(pannier.port());
  REQUIRE(client.call({"SET", "k", "v"}) == kOk);
  server.kill();
  REQUIRE(wait_until([&] { return other.call({"GET", "k"}).starts_with("-UPSTREAM "); }));
  CHECK(client.call({"MULTI"}) == kOk);
  server.restart();
  REQUIRE(wait_until([&] { return other.call({"SET", "k", "v"}) == kOk; }));
  check_that_none_runs(client, "(not sent)");
  check_that_it_goes_on(client);
}

TEST_CASE("refused multi: a client that gives it up goes on", "[proxy]") {
  RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  RawClient client(pannier.port());
  server.kill();
  for (const char* end : {"DISCARD", "EXEC", "RESET"}) {
    INFO(end);
    CHECK(client.call({"MULTI"}) == kOk);
    CHECK(client.call({"INCR", "ran"}).find("(not sent)") != std::string::npos);
    const std::string ended = client.call({end});
    CHECK(ended.substr(0, 5) == (end[0] == 'D' ? kOk : end[0] == 'E' ? "-EXEC" : "+RESE"));
  }
  server.restart();
  REQUIRE(wait_until([&] { return client.call({"SET", "k", "v"}) == kOk; }));
  check_that_it_goes_on(client);
}

TEST_CASE("refused multi: no exclusive connection was free, and one is before the commands come",
          "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "pinned: { max: 1, wait: 50ms, reserved_for_multi: 0 }"),
       "",
       {}});
  RawClient holder(pannier.port());
  RawClient client(pannier.port());
  REQUIRE(holder.call({"MULTI"}) == kOk);
  CHECK(client.call({"MULTI"}) == kOk);
  CHECK(holder.call({"DISCARD"}) == kOk);
  check_that_none_runs(client, "pinned.max");
  check_that_it_goes_on(client);
}

TEST_CASE("refused multi: a limit refused it, and would let it pass before the commands come",
          "[limits]") {
  RulesRig rig("limits:\n  - { name: multis, commands: [MULTI], rate: 5/1s, burst: 0 }\n");
  RawClient client = rig.connect();
  RawClient other = rig.connect();
  const auto begins = [&](RawClient& who) {
    CHECK(who.call({"MULTI"}) == kOk);
    return who.call({"DISCARD"}) == kOk && rig.limit("refused", "multis") == 0;
  };
  REQUIRE(begins(other));
  CHECK(client.call({"MULTI"}) == kOk);
  REQUIRE(rig.limit("refused", "multis") == 1);
  REQUIRE(wait_until([&] {
    const double admitted = rig.limit("admitted", "multis");
    CHECK(other.call({"MULTI"}) == kOk);
    CHECK(other.call({"DISCARD"}) == kOk);
    return rig.limit("admitted", "multis") > admitted;
  }));
  check_that_none_runs(client, "THROTTLED rate limit 'multis'");
  CHECK(rig.direct.call({"EXISTS", "ran"}) == ":0\r\n");
}

TEST_CASE("refused multi: WATCH ends with a transaction that was refused", "[limits]") {
  RulesRig rig("deny:\n  - { name: no-multi, commands: [MULTI], hint: \"use EVAL\" }\n");
  RawClient client = rig.connect();
  REQUIRE(client.call({"WATCH", "k"}) == kOk);
  CHECK(client.call({"MULTI"}) == kOk);
  check_that_none_runs(client, "NOPERM [pannier rule=no-multi] use EVAL");
  CHECK(rig.direct.call({"EXISTS", "ran"}) == ":0\r\n");
  CHECK(wait_until(
      [&] { return rig.pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0; }));
  CHECK(client.call({"GET", "ran"}) == "$-1\r\n");
}

TEST_CASE("refused multi: its connection is lost before it was answered", "[proxy]") {
  RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  RawClient client(pannier.port());
  RawClient other(pannier.port());
  REQUIRE(client.call({"WATCH", "k"}) == kOk);
  REQUIRE(client.call({"UNWATCH"}) == kOk);
  server.freeze();
  client.ask({"MULTI"});
  REQUIRE(wait_until(
      [&] { return pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 1; }));
  server.kill();
  CHECK(client.read() == kOk);
  server.restart();
  REQUIRE(wait_until([&] { return other.call({"SET", "k", "v"}) == kOk; }));
  CHECK(client.call({"INCR", "ran"}).starts_with("-UPSTREAM "));
  CHECK(client.call({"EXEC"}).starts_with("-EXECABORT "));
  check_that_it_goes_on(client);
}

TEST_CASE("refused multi: a transaction of which a part timed out does not run", "[proxy]") {
  RedisServer server;
  // The connection outlives the silence: what was sent is run when the server goes on.
  const PannierProcess pannier(
      {upstream_of({server.address()}, "timeouts: { write: 200ms }, probe: 60s"), "", {}});
  RawClient client(pannier.port());
  REQUIRE(client.call({"WATCH", "k"}) == kOk);
  REQUIRE(client.call({"UNWATCH"}) == kOk);
  const bool with_multi = GENERATE(true, false);
  INFO((with_multi ? "MULTI" : "a command behind it"));
  if (!with_multi) {
    REQUIRE(client.call({"MULTI"}) == kOk);
  }
  server.freeze();
  if (with_multi) {
    CHECK(client.call({"MULTI"}) == kOk);
  }
  CHECK(client.call({"INCR", "ran"}).starts_with("-UPSTREAM "));
  server.thaw();
  CHECK(client.call({"EXEC"}).starts_with("-EXECABORT "));
  check_that_it_goes_on(client);
}

}  // namespace pannier::test
