#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "relay.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

// From the start to the end of the process and of its upstream, and what it says about itself.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kPatient = "timeouts: { connect: 5s, read: 20s, write: 20s }";

bool is_upstream_error(const std::string& reply) {
  const bool says_how = reply.find("(not sent)") != std::string::npos ||
                        reply.find("(may have run)") != std::string::npos;
  return reply.starts_with("-UPSTREAM ") && says_how;
}

std::chrono::milliseconds time_of(const std::function<void()>& action) {
  const auto started = Clock::now();
  action();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started);
}

bool is_ready(const PannierProcess& pannier) {
  return pannier.get("/readyz").starts_with("HTTP/1.1 200");
}

}  // namespace

TEST_CASE("lifecycle: with upstream down at the start handshakes are answered, and it heals",
          "[proxy]") {
  RedisServer server;
  server.kill();
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"HELLO", "2"}).starts_with("*14\r\n"));
  CHECK(client.call({"CLIENT", "SETINFO", "LIB-NAME", "x"}) == "+OK\r\n");
  CHECK(client.call({"SELECT", "3"}) == "+OK\r\n");
  CHECK(client.call({"SELECT", "16"}) == "-ERR DB index is out of range\r\n");
  CHECK(client.call({"PING"}) == "+PONG\r\n");
  CHECK(client.call({"INFO"}).find("redis_version:7.0.0\r\n") != std::string::npos);
  for (const Words& words : {Words{"GET", "k"}, Words{"SET", "k", "v"}, Words{"BLPOP", "k", "0"}}) {
    std::string reply;
    CHECK(time_of([&] { reply = client.call(words); }) < 1s);
    CHECK(is_upstream_error(reply));
    CHECK(reply.find("(not sent)") != std::string::npos);
  }
  // A transaction fails as a whole.
  client.send(request({"MULTI"}) + request({"SET", "k", "half"}) + request({"EXEC"}));
  CHECK(client.read() == "+OK\r\n");
  CHECK(is_upstream_error(client.read()));
  const std::string ended = client.read();
  CHECK((is_upstream_error(ended) || ended.starts_with("-EXECABORT ")));
  CHECK(is_ready(pannier));  // it is not Pannier that is ill
  server.restart();
  CHECK(wait_until([&] { return client.call({"SET", "k", "v"}) == "+OK\r\n"; }));
  CHECK(client.call({"GET", "k"}) == bulk("v"));
  RawClient direct(server.port());
  CHECK(direct.call({"SELECT", "3"}) == "+OK\r\n");
  CHECK(direct.call({"GET", "k"}) == bulk("v"));
}

TEST_CASE("lifecycle: a primary killed under load costs replies, not clients", "[proxy]") {
  RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "lanes: { min: 2, max: 2 }"), "", {}});
  constexpr int kDepth = 2000;
  std::string load;
  for (int i = 0; i < kDepth; ++i) {
    load += request({"INCR", "count"}) + request({"ECHO", std::to_string(i)});
  }
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(pannier.port());
    CHECK(clients.back().call_integer({"INCR", "count"}) == i + 1);
  }
  for (RawClient& client : clients) {
    client.send(load);
  }
  server.kill();
  for (RawClient& client : clients) {
    for (int i = 0; i < kDepth; ++i) {
      const std::string reply = client.read();
      REQUIRE((reply.starts_with(':') || is_upstream_error(reply)));
      REQUIRE(client.read() == bulk(std::to_string(i)));  // still in order
    }
  }
  server.restart();
  for (RawClient& client : clients) {
    CHECK(wait_until([&] { return client.call({"INCR", "count"}).starts_with(':'); }));
  }
}

TEST_CASE(
    "lifecycle: a frozen node is an error after the read deadline; its late replies harm none",
    "[proxy]") {
  RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, "probe: 5s, timeouts: { read: 300ms, write: 600ms }"),
       "",
       {}});
  RawClient client(pannier.port());
  RawClient other(pannier.port());
  for (int i = 0; i < 20; ++i) {
    const std::string text = std::to_string(i);
    CHECK(client.call({"SET", "k" + text, text}) == "+OK\r\n");
  }
  for (int i = 0; i < 3; ++i) {
    server.freeze();
    std::string reply;
    const auto took = time_of([&] { reply = client.call({"GET", "k1"}); });
    CHECK(is_upstream_error(reply));
    CHECK(took >= 290ms);
    CHECK(took < 2s);
    other.ask({"APPEND", "log", "x"});
    CHECK(is_upstream_error(other.read()));
    server.thaw();
    for (int j = 0; j < 20; ++j) {
      const std::string text = std::to_string(j);
      CHECK(client.call({"GET", "k" + text}) == bulk(text));
      CHECK(other.call({"GET", "k" + text}) == bulk(text));
    }
  }
  CHECK(pannier.metric_sum("pannier_upstream_late_replies_total") >= 3);
  CHECK(RawClient(server.port()).call({"GET", "log"}) == bulk("xxx"));  // each ran once
}

TEST_CASE("lifecycle: SIGTERM means not ready, serving on, finishing and exit code 0", "[app]") {
  const RedisServer server;
  PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
  CHECK(is_ready(pannier));
  pannier.signal(SIGTERM);
  REQUIRE(wait_until([&] { return !is_ready(pannier); }));
  CHECK(client.call({"GET", "k"}) == bulk("v"));
  CHECK(RawClient(pannier.port()).call({"GET", "k"}) == bulk("v"));  // latecomers too
  client.close();
  CHECK(pannier.wait_for_exit(4s) == 0);  // nobody is left to wait for
}

TEST_CASE("lifecycle: what is in flight when the drain closes clients is answered first", "[app]") {
  const RedisServer server;
  Relay relay(server.port());
  PannierProcess pannier(
      {upstream_of({"127.0.0.1:" + std::to_string(relay.port())}, kPatient), "", {}});
  RawClient reader(pannier.port());
  RawClient blocked(pannier.port());
  RawClient idle(pannier.port());
  RawClient transaction(pannier.port());
  CHECK(reader.call({"SET", "k", "v"}) == "+OK\r\n");
  CHECK(idle.call({"PING"}) == "+PONG\r\n");
  CHECK(transaction.call({"MULTI"}) == "+OK\r\n");
  blocked.ask({"BLPOP", "queue", "0"});
  server.wait_for_info("blocked_clients", "1");
  relay.delay_replies(200ms);
  reader.send(request({"GET", "k"}) + request({"GET", "k"}));
  transaction.ask({"INCR", "count"});
  REQUIRE(wait_until([&] { return server.info("cmdstat_get").starts_with("calls=2,"); }));
  pannier.signal(SIGINT);  // as SIGTERM, without its grace
  CHECK(reader.read_to_end() == bulk("v") + bulk("v"));
  CHECK(blocked.read_to_end() == "*-1\r\n");
  CHECK(idle.read_to_end().empty());
  CHECK(transaction.read() == "+QUEUED\r\n");
  CHECK(transaction.call({"EXEC"}) == "*1\r\n:1\r\n");
  CHECK(transaction.read_to_end().empty());
  CHECK(pannier.wait_for_exit(5s) == 0);
}

TEST_CASE("lifecycle: a second SIGTERM leaves at once", "[app]") {
  const RedisServer server;
  PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient client(pannier.port());
  client.ask({"BLPOP", "queue", "0"});
  server.wait_for_info("blocked_clients", "1");
  pannier.signal(SIGTERM);
  REQUIRE(wait_until([&] { return !is_ready(pannier); }));
  CHECK(time_of([&] { CHECK(pannier.stop() == 0); }) < 1s);
}

TEST_CASE("lifecycle: SELECT of a bad index gets the server's own error", "[proxy]") {
  const RedisServer server({"--databases", "20"});
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient ours(pannier.port());
  RawClient theirs(server.port());
  REQUIRE(wait_until([&] { return ours.call({"GET", "k"}) == "$-1\r\n"; }));
  for (const char* index : {"0", "15", "19", "20", "99", "-1", "x", "4294967296"}) {
    CHECK(ours.call({"SELECT", index}) == theirs.call({"SELECT", index}));
  }
  CHECK(ours.call({"SET", "k", "in 19"}) == "+OK\r\n");
  CHECK(theirs.call({"GET", "k"}) == bulk("in 19"));
}

TEST_CASE("lifecycle: a Unix socket serves, has its mode, and goes with the process", "[app]") {
  const RedisServer server;
  PannierProcess pannier({upstream_of({server.address()}, kPatient),
                          "",
                          {"{ address: \"unix:@DIR/sock\", mode: 0600 }"}});
  const auto path = pannier.directory() / "sock";
  {
    RawClient client(path.string());
    CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
    CHECK(client.call({"CLIENT", "LIST"}).find("addr=" + path.string() + ":0") !=
          std::string::npos);
  }
  CHECK(std::filesystem::status(path).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  CHECK(pannier.stop() == 0);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("lifecycle: users log in with the secrets from their files", "[proxy]") {
  const RedisServer server;
  const auto secret = server.directory() / "secret";
  std::ofstream(secret) << "open sesame\n";
  const PannierProcess pannier({upstream_of({server.address()}, kPatient),
                                "users:\n  - { name: default, password_file: \"" + secret.string() +
                                    "\" }\n  - { name: app, password_file: \"" + secret.string() +
                                    "\" }",
                                {}});
  RawClient client(pannier.port());
  CHECK(client.call({"GET", "k"}) == "-NOAUTH Authentication required.\r\n");
  CHECK(client.call({"MULTI"}).starts_with("-NOAUTH "));
  CHECK(client.call({"HELLO", "3"}).starts_with("-NOAUTH "));
  CHECK(client.call({"AUTH", "wrong"}).starts_with("-WRONGPASS "));
  CHECK(client.call({"AUTH", "nobody", "open sesame"}).starts_with("-WRONGPASS "));
  CHECK(client.call({"GET", "k"}).starts_with("-NOAUTH "));
  CHECK(client.call({"AUTH", "open sesame"}) == "+OK\r\n");
  CHECK(client.call({"GET", "k"}) == "$-1\r\n");
  RawClient other(pannier.port());
  CHECK(other.call({"HELLO", "3", "AUTH", "app", "wrong"}).starts_with("-WRONGPASS "));
  CHECK(other.call({"HELLO", "3", "AUTH", "app", "open sesame"}).starts_with('%'));
  CHECK(other.call({"GET", "k"}) == "_\r\n");
  CHECK(other.call({"RESET"}) == "+RESET\r\n");
  CHECK(other.call({"GET", "k"}).starts_with("-NOAUTH "));
  CHECK(pannier.log().find("open sesame") == std::string::npos);
}

TEST_CASE("lifecycle: `pannier health` asks the running process", "[app]") {
  const RedisServer server;
  PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  const std::string file = pannier.config_file().string();
  const Ended well = PannierProcess::run({"health", "-c", file});
  CHECK(well.status == 0);
  CHECK(std::count(well.output.begin(), well.output.end(), '\n') == 1);
  CHECK(pannier.stop() == 0);
  CHECK(PannierProcess::run({"health", "-c", file}).status == 1);
  CHECK(PannierProcess::run({"health", "-c", file + ".missing"}).status == 2);
  CHECK(PannierProcess::run({"--version"}).output.starts_with("pannier "));
}

TEST_CASE("lifecycle: a command that only the server knows is learned and passes", "[proxy]") {
  const RedisServer server({"--rename-command", "GET", "MYGET"});
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
  client.send(request({"MYGET", "k"}) + request({"PING"}) + request({"myget", "k"}));
  CHECK(client.read(3) == bulk("v") + "+PONG\r\n" + bulk("v"));
  CHECK(client.call({"NOSUCH", "k"}) == RawClient(server.port()).call({"NOSUCH", "k"}));
  CHECK(client.call({"GET", "k"}).starts_with("-ERR unknown command"));
}

TEST_CASE("lifecycle: MONITOR shows this sidecar's traffic without its values", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}, kPatient), "workers: 2", {}});
  RawClient monitor(pannier.port());
  CHECK(monitor.call({"MONITOR"}) == "+OK\r\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(pannier.port());
    CHECK(clients.back().call({"SET", "key", "secret"}) == "+OK\r\n");
    const std::string line = monitor.read();
    CHECK(line.find("\"SET\" \"key\"") != std::string::npos);
    CHECK(line.find("secret") == std::string::npos);
  }
}

TEST_CASE("lifecycle: SLOWLOG and INFO tell about Pannier too", "[proxy]") {
  const RedisServer server({"--enable-debug-command", "yes"});
  const PannierProcess pannier(
      {upstream_of({server.address()}, kPatient), "slowlog: { slower_than: 20ms }", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"SLOWLOG", "LEN"}) == ":0\r\n");
  CHECK(client.call({"GET", "k"}) == "$-1\r\n");
  CHECK(client.call({"DEBUG", "SLEEP", "0.05"}).starts_with("+OK"));
  CHECK(client.call({"SLOWLOG", "LEN"}) == ":1\r\n");
  CHECK(client.call({"SLOWLOG", "GET"}).find(server.address()) != std::string::npos);
  CHECK(client.call({"SLOWLOG", "RESET"}) == "+OK\r\n");
  CHECK(client.call({"SLOWLOG", "LEN"}) == ":0\r\n");
  const std::string all = client.call({"INFO"});
  CHECK(all.find("run_id:" + server.info("run_id")) != std::string::npos);
  CHECK(all.find("# Pannier\r\npannier_version:") != std::string::npos);
  CHECK(client.call({"INFO", "pannier"}).find("pannier_node0:address=" + server.address()) !=
        std::string::npos);
}

}  // namespace pannier::test
