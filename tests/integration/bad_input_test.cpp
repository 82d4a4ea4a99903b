#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <random>
#include <string>
#include <vector>

// What clients and operators get wrong: they are told, and nobody else notices.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kPatient = "timeouts: { connect: 5s, read: 20s, write: 20s }";
constexpr std::size_t kMiB = 1024UL * 1024;

struct Setup {
  RedisServer server;
  PannierProcess pannier{{upstream_of({server.address()}, kPatient), "", {}}};
  RawClient bystander{pannier.port()};

  // Called after each misdeed of others.
  void check_undisturbed() {
    CHECK(bystander.call({"SET", "k", "v"}) == "+OK\r\n");
    CHECK(bystander.call({"GET", "k"}) == bulk("v"));
    CHECK(pannier.pid() > 0);
  }
};

// All that comes until the other side closes. Not every misdeed ends a connection: QUIT does.
std::string answer_to(int port, const std::string& bytes) {
  RawClient client(port);
  client.send(bytes);
  client.finish();
  return client.read_to_end();
}

Ended serve(const std::string& yaml, const PannierProcess& beside) {
  const auto file = beside.directory() / "other.yaml";
  std::ofstream(file) << yaml;
  return PannierProcess::run({"serve", "-c", file.string()});
}

}  // namespace

TEST_CASE("bad input: what breaks the protocol is answered as the server does, then closed",
          "[proxy]") {
  Setup setup;
  const std::vector<std::string> misdeeds{
      "*1\r\n:5\r\n",
      "*2\r\n$3\r\nGET\r\n+k\r\n",
      "*99999999999999999999\r\n",
      "*x\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$536870913\r\n",
      "*1\r\n$99999999999999999999\r\n",
      "*1\r\n$x\r\n",
      "GET \"unbalanced\r\n",
      "PING\r\n*1\r\n$x\r\n",
      std::string(70'000, 'a'),
      "*" + std::string(70'000, '1'),
      "POST / HTTP/1.1\r\n\r\n",
      "Host: example.org\r\n\r\n",
  };
  for (const std::string& misdeed : misdeeds) {
    INFO(misdeed.substr(0, 60));
    RawClient ours(setup.pannier.port());
    RawClient theirs(setup.server.port());
    ours.send(misdeed);
    theirs.send(misdeed);
    CHECK(ours.read_to_end() == theirs.read_to_end());  // both close
    setup.check_undisturbed();
  }
}

TEST_CASE("bad input: huge announcements cost nothing", "[proxy]") {
  Setup setup;
  const std::size_t before = setup.pannier.resident_bytes();
  std::vector<RawClient> clients;
  for (int i = 0; i < 50; ++i) {
    for (const char* announced : {"*1048576\r\n$3\r\nGET\r\n",
                                  "*2000000000\r\n$3\r\nGET\r\n",
                                  "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nxyz"}) {
      clients.emplace_back(setup.pannier.port());
      clients.back().send(announced);
    }
  }
  setup.check_undisturbed();
  CHECK(setup.pannier.resident_bytes() < before + 16 * kMiB);
}

TEST_CASE("bad input: what does not break the protocol is answered as the server does", "[proxy]") {
  Setup setup;
  const std::string nul("a\0b", 3);
  const std::vector<std::string> oddities{
      "\r\n\r\nPING\r\n",
      "*0\r\n*-1\r\n*-5\r\nPING\r\n",
      "SET \"with space\" 'x'\r\nGET \"with space\"\r\n",
      "SET \"\\x00\\xff\" v\r\nGET \"\\x00\\xff\"\r\n",
      "PING\nPING\n",
      request({"GET"}),
      request({"SET", "k"}),
      request({"MGET"}),
      request({"NOSUCHCOMMAND", "a", "b"}),
      request({"nosuch\r\ncommand", "a\r\nb"}),
      request({"CLIENT", "NOSUCH"}),
      request({"OBJECT", "NOSUCH", "k"}),
      request({"", ""}),
      request({"SET", nul, nul}) + request({"GET", nul}) + request({"KEYS", nul}),
      request({"SET", "", ""}) + request({"GET", ""}),
      request({"SET", "k", "v", "EX", "0"}),
      request({"INCRBY", "k", "99999999999999999999"}),
      request({"EVAL", "return redis.error_reply('MY error')", "0"}),
      request({"EVAL", "return {1,{2,{3,{}}},false}", "0"}),
      request({"LPUSH", "list", "x"}) + request({"GET", "list"}),
      request({"EXEC"}) + request({"DISCARD"}) + request({"UNWATCH"}),
      request({"MULTI"}) + request({"MULTI"}) + request({"NOSUCH"}) + request({"EXEC"}),
      request({"HELLO", "9"}) + request({"HELLO", "x"}) + request({"HELLO", "3", "SETNAME"}),
      request({"SELECT", "x"}) + request({"SELECT", "-1"}) + request({"SELECT", "99999"}),
      request({"ECHO"}) + request({"PING", "a", "b"}) + request({"AUTH"}),
      "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$5\r\nhal",  // and no more
  };
  for (const std::string& oddity : oddities) {
    INFO(oddity);
    const std::string wanted = answer_to(setup.server.port(), oddity);
    static_cast<void>(RawClient(setup.server.port()).call({"FLUSHALL"}));
    CHECK(answer_to(setup.pannier.port(), oddity) == wanted);
    static_cast<void>(RawClient(setup.server.port()).call({"FLUSHALL"}));
    setup.check_undisturbed();
    static_cast<void>(RawClient(setup.server.port()).call({"FLUSHALL"}));
  }
}

TEST_CASE("bad input: noise of any kind ends at most its own connection", "[proxy]") {
  Setup setup;
  std::minstd_rand random(11);
  const std::string alphabet = std::string("*$+-:\r\n0123456789GETSETPINGMULTI \"'\\x\xff") + '\0';
  for (int i = 0; i < 400; ++i) {
    RawClient client(setup.pannier.port());
    std::string noise;
    const std::size_t length = random() % 3000;
    while (noise.size() < length) {
      noise += alphabet[random() % alphabet.size()];
      if (random() % 40 == 0) {
        noise += request({"SET", "noise", "v"});
      }
    }
    try {
      client.send(noise);
    } catch (const std::runtime_error&) {
      continue;  // it was closed while it still talked
    }
    if (i % 20 == 0) {
      setup.check_undisturbed();
    }
  }
  setup.check_undisturbed();
  CHECK(wait_until([&] { return setup.pannier.metric("pannier_client_connections") == 1; }));
}

TEST_CASE("bad input: a client that sends byte by byte is served", "[proxy]") {
  Setup setup;
  RawClient client(setup.pannier.port());
  const std::string bytes = request({"SET", "slow", "value"}) + "GET slow\r\n" +
                            request({"MULTI"}) + request({"GET", "slow"}) + request({"EXEC"});
  for (const char byte : bytes) {
    client.send(std::string(1, byte));
  }
  CHECK(client.read(5) == "+OK\r\n" + bulk("value") + "+OK\r\n+QUEUED\r\n*1\r\n" + bulk("value"));
}

TEST_CASE("bad input: a client that asks on and on and never reads costs bounded memory",
          "[proxy]") {
  Setup setup;
  CHECK(setup.bystander.call({"SET", "page", std::string(10'000, 'x')}) == "+OK\r\n");
  const std::size_t before = setup.pannier.resident_bytes();
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += request({"GET", "page"});
  }
  std::vector<RawClient> greedy;
  for (int i = 0; i < 4; ++i) {
    greedy.emplace_back(setup.pannier.port(), 500ms);
    // Until Pannier reads no more of it.
    CHECK_THROWS_WITH(
        [&] {
          for (int j = 0; j < 1000; ++j) {
            greedy.back().send(many);
          }
        }(),
        Catch::Contains("not in time"));
  }
  CHECK(setup.pannier.resident_bytes() < before + 100 * kMiB);
  setup.check_undisturbed();
}

TEST_CASE("bad input: five thousand clients at once are served, and memory goes back", "[proxy]") {
  Setup setup;
  const std::size_t before = setup.pannier.resident_bytes();
  std::vector<RawClient> clients;
  for (int i = 0; i < 5000; ++i) {
    clients.emplace_back(setup.pannier.port());
    clients.back().send(request({"INCR", "count"}) + request({"PING", std::to_string(i)}));
  }
  int i = 0;
  for (RawClient& client : clients) {
    REQUIRE(client.read().starts_with(':'));
    REQUIRE(client.read() == bulk(std::to_string(i++)));
  }
  CHECK(setup.bystander.call({"GET", "count"}) == bulk("5000"));
  CHECK(setup.pannier.resident_bytes() < before + 64 * kMiB);
  clients.clear();
  CHECK(wait_until([&] { return setup.pannier.metric("pannier_client_connections") == 1; }));
  setup.check_undisturbed();
}

TEST_CASE("bad input: one client too many is told so as the server does", "[proxy]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "maxclients: 3", {}});
  REQUIRE(wait_until([&] { return pannier.metric("pannier_client_connections") == 0; }));
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(pannier.port());
    CHECK(clients.back().call({"PING"}) == "+PONG\r\n");
  }
  CHECK(RawClient(pannier.port()).read_to_end() == "-ERR max number of clients reached\r\n");
  clients.pop_back();
  CHECK(wait_until([&] {
    RawClient next(pannier.port());
    next.ask({"PING"});
    return next.read() == "+PONG\r\n";
  }));
}

TEST_CASE("bad configuration: a port in use is one clear line and exit code 1", "[app]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  const std::string port = std::to_string(pannier.port());
  const Ended ended =
      serve("version: 1\nlisten: [{ address: \"127.0.0.1:" + port +
                "\" }]\nprobe: off\nadmin: off\nupstream: \"" + server.address() + "\"\n",
            pannier);
  CHECK(ended.status == 1);
  CHECK(ended.output.find(port) != std::string::npos);
  CHECK(ended.output.find("in use") != std::string::npos);
  const Ended probe =
      serve("version: 1\nlisten: [{ address: \"127.0.0.1:" + std::to_string(free_port()) +
                "\" }]\nprobe: { address: \"127.0.0.1:" + std::to_string(pannier.probe_port()) +
                "\" }\nadmin: off\nupstream: \"" + server.address() + "\"\n",
            pannier);
  CHECK(probe.status == 1);
  CHECK(probe.output.find("in use") != std::string::npos);
}

TEST_CASE("bad configuration: every mistake is told with its line, and exit code 2", "[app]") {
  const RedisServer server;
  const PannierProcess pannier({upstream_of({server.address()}), "", {}});
  const Ended ended = serve("version: 1\nlistn: []\nworkers: 99\nupstream: nowhere\n", pannier);
  CHECK(ended.status == 2);
  CHECK(ended.output.find("other.yaml:2:1") != std::string::npos);
  CHECK(ended.output.find("other.yaml:3:") != std::string::npos);
  CHECK(ended.output.find("other.yaml:4:") != std::string::npos);
  const auto file = (pannier.directory() / "other.yaml").string();
  CHECK(PannierProcess::run({"check", file}).status == 2);
  CHECK(PannierProcess::run({"check", pannier.config_file().string()}).status == 0);
  CHECK(PannierProcess::run({"serve", "-c", file + ".missing"}).status == 2);
  CHECK(PannierProcess::run({"nonsense"}).status == 2);
}

TEST_CASE("bad configuration: a node whose name does not resolve leaves the handshakes answered",
          "[proxy]") {
  const PannierProcess pannier({upstream_of({"no-such-host.invalid:6379"}), "", {}});
  RawClient client(pannier.port());
  CHECK(client.call({"PING"}) == "+PONG\r\n");
  CHECK(client.call({"HELLO", "3"}).starts_with("%7\r\n"));
  CHECK(client.call({"CLIENT", "SETNAME", "x"}) == "+OK\r\n");
  const std::string reply = client.call({"GET", "k"});
  CHECK(reply.starts_with("-UPSTREAM "));
  CHECK(reply.find("(not sent)") != std::string::npos);
  CHECK(client.call({"PING"}) == "+PONG\r\n");
}

}  // namespace pannier::test
