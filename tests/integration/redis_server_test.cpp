#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>

// The helper that every other integration test stands on.
namespace pannier::test {

namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};

// The text of the reply; "(nil)" without one; "(no answer)" when the connection fails within 200
// ms.
std::string run(int port, const char* command) {
  const timeval limit{0, 200'000};
  const std::unique_ptr<redisContext, FreeContext> context(
      redisConnectWithTimeout("127.0.0.1", port, limit));
  redisSetTimeout(context.get(), limit);
  auto* reply = static_cast<redisReply*>(redisCommand(context.get(), command));
  if (reply == nullptr) {
    return "(no answer)";
  }
  std::string text = reply->str == nullptr ? "(nil)" : std::string(reply->str, reply->len);
  freeReplyObject(reply);
  return text;
}

}  // namespace

TEST_CASE("redis server: answers at once, on a port of its own", "[support]") {
  const RedisServer one;
  const RedisServer two({"--maxmemory", "100mb"});
  CHECK(one.port() != two.port());
  CHECK(run(one.port(), "SET k v") == "OK");
  CHECK(run(two.port(), "GET k") == "(nil)");
  CHECK(two.info("maxmemory") == "104857600");
  CHECK(two.info("no_such_field").empty());
}

TEST_CASE("redis server: a replica has its primary's data", "[support]") {
  const RedisServer primary;
  CHECK(run(primary.port(), "SET k v") == "OK");
  const RedisServer replica = RedisServer::start_replica_of(primary);
  CHECK(run(replica.port(), "GET k") == "v");
  CHECK(replica.info("role") == "slave");
  primary.wait_for_info("connected_slaves", "1");
}

TEST_CASE("redis server: frozen it is silent, thawed it answers", "[support]") {
  RedisServer server;
  server.freeze();
  CHECK(run(server.port(), "PING") == "(no answer)");
  server.thaw();
  CHECK(run(server.port(), "PING") == "PONG");
}

TEST_CASE("redis server: starts again on its port after a stop, a crash and a freeze",
          "[support]") {
  RedisServer server;
  const int port = server.port();
  CHECK(run(port, "SET k v") == "OK");
  server.stop();
  CHECK_FALSE(server.is_running());
  CHECK(run(port, "PING") == "(no answer)");
  server.restart();
  CHECK(server.port() == port);
  CHECK(run(port, "GET k") == "(nil)");
  server.kill();
  CHECK(run(port, "PING") == "(no answer)");
  server.restart();
  server.freeze();
  server.restart();
  CHECK(run(port, "PING") == "PONG");
}

TEST_CASE("redis server: a password does not keep it from being ready", "[support]") {
  const RedisServer server({"--requirepass", "secret"});
  CHECK(run(server.port(), "PING").starts_with("NOAUTH"));
}

TEST_CASE("redis server: arguments that it refuses are told with its log", "[support]") {
  CHECK_THROWS_WITH(RedisServer({"--maxmemory-policy", "nonsense"}), Catch::Contains("not start"));
}

TEST_CASE("redis server: its directory goes with it", "[support]") {
  std::filesystem::path directory;
  {
    RedisServer server;
    const RedisServer moved(std::move(server));
    directory = moved.directory();
    CHECK(std::filesystem::exists(directory));
    CHECK(run(moved.port(), "PING") == "PONG");
  }
  CHECK_FALSE(std::filesystem::exists(directory));
}

TEST_CASE("redis server: its port is this program's until that ends", "[support]") {
  int port = 0;
  {
    const RedisServer server;
    port = server.port();
  }
  // As another program sees it.
  const std::string path = "/tmp/pannier_test_ports." + std::to_string(::getuid());
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(descriptor >= 0);

  struct flock lock {};

  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = port;
  lock.l_len = 1;
  CHECK(::fcntl(descriptor, F_OFD_SETLK, &lock) != 0);
  ::close(descriptor);
  std::set<int> ports;
  for (int i = 0; i < 500; ++i) {
    const int other = free_port();
    CHECK(other != port);
    CHECK(ports.insert(other).second);
  }
}

}  // namespace pannier::test
