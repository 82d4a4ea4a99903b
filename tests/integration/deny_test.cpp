#include "rules_rig.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

// Denials through the whole program (behaviour 6.3).
namespace pannier::test {
namespace {

constexpr const char* kOk = "+OK\r\n";

// The starter list of config/policy.yaml.
constexpr const char* kStarter =
    "deny:\n"
    "  - { name: no-scans, commands: [KEYS, FLUSHALL, FLUSHDB, SWAPDB, DEBUG, SHUTDOWN, REPLICAOF, "
    "\"CONFIG SET\", MIGRATE], hint: \"use SCAN\" }\n"
    "  - { name: big, max_value: 1KiB, hint: \"values over 1 KiB belong elsewhere\" }\n"
    "  - { name: wide, commands: [MGET], max_arguments: 3 }\n"
    "  - { name: secret, keys: [\"secret:*\"] }\n";

}  // namespace

TEST_CASE("deny: a denied request is refused by name and hint, and does not run", "[deny]") {
  RulesRig rig(kStarter);
  RawClient client = rig.connect();
  REQUIRE(client.call({"SET", "k", "v"}) == kOk);
  client.send(request({"FLUSHALL"}) + request({"config", "set", "maxmemory", "1"}) +
              request({"GET", "k"}) + request({"CONFIG", "GET", "maxmemory"}));
  CHECK(client.read(2) ==
        "-NOPERM [pannier rule=no-scans] use SCAN\r\n"
        "-NOPERM [pannier rule=no-scans] use SCAN\r\n");
  CHECK(client.read() == bulk("v"));
  CHECK(client.read().starts_with("*2\r\n"));
  CHECK(client.call({"MGET", "a", "b", "c"}) ==
        "-NOPERM [pannier rule=wide] 'MGET' has more than 3 arguments\r\n");
  CHECK(client.call({"MGET", "a", "b"}) == "*2\r\n$-1\r\n$-1\r\n");
  CHECK(client.call({"GET", "secret:1"}) ==
        "-NOPERM [pannier rule=secret] 'GET' is denied for this key\r\n");
  CHECK(client.call({"SET", "k", std::string(1025, 'x')}) ==
        "-NOPERM [pannier rule=big] values over 1 KiB belong elsewhere\r\n");
  CHECK(client.call({"SET", "k", std::string(1024, 'x')}) == kOk);
  client.send(request({"SET", "k", std::string(300 * 1024, 'x')}) + request({"STRLEN", "k"}));
  CHECK(client.read() == "-NOPERM [pannier rule=big] values over 1 KiB belong elsewhere\r\n");
  CHECK(client.read() == ":1024\r\n");
  CHECK(rig.denied("no-scans") == 2);
  CHECK(rig.denied("big") == 2);
}

TEST_CASE("deny: a denied command of MULTI fails EXEC", "[deny]") {
  RulesRig rig(kStarter);
  RawClient client = rig.connect();
  client.send(request({"MULTI"}) + request({"SET", "k", "v"}) + request({"KEYS", "*"}) +
              request({"EXEC"}) + request({"EXISTS", "k"}));
  CHECK(client.read(2) == "+OK\r\n+QUEUED\r\n");
  CHECK(client.read() == "-NOPERM [pannier rule=no-scans] use SCAN\r\n");
  CHECK(client.read() == "-EXECABORT Transaction discarded because of previous errors.\r\n");
  CHECK(client.read() == ":0\r\n");
}

TEST_CASE("deny: no category locks out what clients say at their start", "[deny]") {
  RulesRig rig(
      "deny:\n  - { name: everything, commands: [\"@fast\", \"@slow\"] }\n"
      "  - { name: dangerous, commands: [\"@dangerous\", \"@admin\", \"@connection\"] }\n");
  RawClient client = rig.connect();
  CHECK(client.call({"HELLO", "3"}).starts_with("%"));
  CHECK(client.call({"CLIENT", "SETNAME", "x"}) == kOk);
  CHECK(client.call({"CLIENT", "SETINFO", "LIB-NAME", "redis-py"}) == kOk);
  CHECK(client.call({"INFO"}).starts_with("="));
  CHECK(client.call({"SELECT", "1"}) == kOk);
  CHECK(client.call({"PING"}) == "+PONG\r\n");
  CHECK(client.call({"ROLE"}).starts_with("*"));
  CHECK(client.call({"GET", "k"}).starts_with("-NOPERM [pannier rule=everything] "));
  CHECK(client.call({"QUIT"}) == kOk);
}

TEST_CASE("deny: read_only refuses what may write", "[deny]") {
  RulesRig rig("read_only: true\n");
  REQUIRE(rig.direct.call({"SET", "k", "v"}) == kOk);
  RawClient client = rig.connect();
  for (const Words& words : {Words{"SET", "k", "w"},
                             Words{"DEL", "k"},
                             Words{"FLUSHALL"},
                             Words{"EVAL", "return 1", "0"}}) {
    CHECK(client.call(words).starts_with("-NOPERM [pannier rule=read_only] "));
  }
  CHECK(client.call({"GET", "k"}) == bulk("v"));
  CHECK(rig.denied("read_only") == 4);
}

TEST_CASE("deny: a rule that only observes lets the next one act", "[deny]") {
  RulesRig rig(
      "deny:\n  - { name: watched, commands: [KEYS], mode: observe }\n"
      "  - { name: acting, commands: [KEYS] }\n");
  RawClient client = rig.connect();
  CHECK(client.call({"KEYS", "*"}).starts_with("-NOPERM [pannier rule=acting] "));
  CHECK(rig.denied("watched", "observe") == 1);
  CHECK(rig.denied("acting") == 1);
}

}  // namespace pannier::test
