#include "redis_server.hpp"

#include "raw_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPause = 3ms;
constexpr auto kStartLimit = 20s;
constexpr auto kStopLimit = 5s;
constexpr auto kCopyLimit = 30s;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};

struct FreeReply {
  void operator()(void* reply) const { freeReplyObject(reply); }
};

// One command on a connection of its own; empty when that fails or the server answers an error
// that starts with `refused`.
std::string ask(const std::string& host, int port, const char* command, std::string_view refused) {
  const timeval limit{1, 0};
  const std::unique_ptr<redisContext, FreeContext> context(
      redisConnectWithTimeout(host.c_str(), port, limit));
  if (!context || context->err != 0 || redisSetTimeout(context.get(), limit) != REDIS_OK) {
    return {};
  }
  const std::unique_ptr<void, FreeReply> raw(redisCommand(context.get(), command));
  const auto* reply = static_cast<const redisReply*>(raw.get());
  if (reply == nullptr || reply->str == nullptr) {
    return {};
  }
  std::string text(reply->str, reply->len);
  return reply->type == REDIS_REPLY_ERROR && text.starts_with(refused) ? std::string{} : text;
}

bool can_listen(int port) {
  const int socket_fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) {
    throw std::system_error(errno, std::generic_category(), "socket");
  }
  const int on = 1;
  ::setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      ::bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      ::listen(socket_fd, 1) == 0;
  ::close(socket_fd);
  return bound;
}

// The ports that this program has drawn. Byte N of a file that all test programs share is locked by
// the one that has port N, until it ends: a server that is down for a while, or does not listen
// yet, must find no stranger at its port.
class DrawnPorts {
 public:
  DrawnPorts() {
    const std::string path = "/tmp/pannier_test_ports." + std::to_string(::getuid());
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
      throw std::system_error(errno, std::generic_category(), path);
    }
  }

  ~DrawnPorts() { ::close(descriptor_); }

  DrawnPorts(const DrawnPorts&) = delete;
  DrawnPorts& operator=(const DrawnPorts&) = delete;

  // False when this or another program has it.
  [[nodiscard]] bool draw(int port) {
    struct flock lock {};

    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = port;
    lock.l_len = 1;
    return ::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0 && drawn_.insert(port).second;
  }

 private:
  int descriptor_ = -1;
  std::set<int> drawn_;
};

}  // namespace

int free_port() {
  constexpr int kFirst = 16'000;
  constexpr int kLast = 32'000;
  static std::mt19937 random{std::random_device{}()};
  static DrawnPorts ports;
  std::uniform_int_distribution<int> any(kFirst, kLast);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = any(random);
    if (ports.draw(port) && can_listen(port)) {
      return port;
    }
  }
  throw std::runtime_error("no free port");
}

RedisServer::RedisServer(std::vector<std::string> arguments)
    : RedisServer(std::move(arguments), Place{}) {}

RedisServer::RedisServer(std::vector<std::string> arguments, Place place)
    : arguments_(std::move(arguments)),
      place_(std::move(place)),
      directory_(make_directory("pannier_redis")) {
  try {
    // Someone else may take the port between the look and the start.
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = place_.port != 0 ? place_.port : free_port();
      if (start_once()) {
        return;
      }
    }
    throw std::runtime_error("redis-server does not start: " + log_end());
  } catch (...) {
    child_.kill();
    std::filesystem::remove_all(directory_);
    throw;
  }
}

RedisServer RedisServer::start_replica_of(const RedisServer& primary,
                                          std::vector<std::string> arguments) {
  return start_replica_of(primary, std::move(arguments), Place{});
}

RedisServer RedisServer::start_replica_of(const RedisServer& primary,
                                          std::vector<std::string> arguments,
                                          Place place) {
  arguments.insert(arguments.end(),
                   {"--replicaof", primary.place_.host, std::to_string(primary.port())});
  RedisServer replica(std::move(arguments), std::move(place));
  replica.wait_for_info("master_link_status", "up");
  return replica;
}

RedisServer::RedisServer(RedisServer&& other) noexcept
    : arguments_(std::move(other.arguments_)),
      place_(std::move(other.place_)),
      directory_(std::exchange(other.directory_, {})),
      port_(other.port_),
      role_(std::move(other.role_)),
      child_(std::move(other.child_)) {}

RedisServer::~RedisServer() {
  child_.kill();
  if (!directory_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
}

void RedisServer::stop() {
  child_.stop(kStopLimit);
}

void RedisServer::restart_as_replica_of(const RedisServer& primary) {
  role_ = {"--replicaof", primary.place_.host, std::to_string(primary.port())};
  start_again();
}

void RedisServer::restart() {
  role_.clear();
  start_again();
}

void RedisServer::start_again() {
  const auto deadline = Clock::now() + kStartLimit;
  child_.kill();
  while (!start_once()) {
    if (Clock::now() > deadline) {
      throw std::runtime_error("redis-server does not start again: " + log_end());
    }
    std::this_thread::sleep_for(kPause);
  }
}

std::string RedisServer::info(std::string_view field) const {
  std::istringstream lines(ask(place_.host, port_, "INFO everything", "NOAUTH"));
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    if (line.size() > field.size() && line.starts_with(field) && line[field.size()] == ':') {
      return line.substr(field.size() + 1);
    }
  }
  return {};
}

void RedisServer::wait_for_info(std::string_view field,
                                std::string_view value,
                                std::chrono::milliseconds limit) const {
  const auto deadline = Clock::now() + limit;
  while (info(field) != value) {
    if (Clock::now() > deadline) {
      throw std::runtime_error("redis-server: " + std::string(field) + " is \"" + info(field) +
                               "\", not \"" + std::string(value) + "\": " + log_end());
    }
    std::this_thread::sleep_for(kPause);
  }
}

void RedisServer::wait_for_copy_of(const RedisServer& primary) const {
  const std::string offset = primary.info("master_repl_offset");
  wait_for_info("master_link_status", "up", kCopyLimit);
  const bool has_all = wait_until(
      [&] { return std::stoll(info("slave_repl_offset")) >= std::stoll(offset); }, kCopyLimit);
  if (!has_all) {
    throw std::runtime_error("redis-server: the replica is behind its primary: " + log_end());
  }
}

bool RedisServer::start_once() {
  child_ = ChildProcess(command_line());
  // Any answer will do (-NOAUTH, -NOPERM): it serves. LOADING: not yet.
  const auto answers = [this] {
    return !ask(place_.host, port_, "PING", "LOADING").empty();
  };
  try {
    return child_.wait_until_ready(answers, kStartLimit);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(error.what() + (": " + log_end()));
  }
}

std::vector<std::string> RedisServer::command_line() const {
  const char* program = std::getenv("REDIS_SERVER");  // NOLINT(concurrency-mt-unsafe)
  std::vector<std::string> line{
      program != nullptr ? program : "redis-server",
      "--port",
      std::to_string(port_),
      "--bind",
      place_.host,
      "--dir",
      directory_.string(),
      "--logfile",
      "redis.log",
      "--save",
      "",
      "--appendonly",
      "no",
      // A replica gets its copy at once instead of after 5 s.
      "--repl-diskless-sync-delay",
      "0",
      "--repl-ping-replica-period",
      "1",
  };
  line.insert(line.end(), arguments_.begin(), arguments_.end());
  line.insert(line.end(), role_.begin(), role_.end());
  return line;
}

std::string RedisServer::log_end() const {
  std::ifstream file(directory_ / "redis.log");
  std::ostringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  return all.size() <= 2000 ? all : all.substr(all.size() - 2000);
}

}  // namespace pannier::test
