#include "redis_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
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

// Only what is allowed between fork and exec in a program with threads.
[[noreturn]] void become(char* const* line, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(126);  // the parent died before the line above
  }
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(null, STDERR_FILENO);
  ::execvp(line[0], line);
  ::_exit(127);
}

std::filesystem::path make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "pannier_redis_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  return name;
}

}  // namespace

int free_port() {
  constexpr int kFirst = 16'000;
  constexpr int kLast = 32'000;
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<int> any(kFirst, kLast);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = any(random);
    if (can_listen(port)) {
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
      directory_(make_directory()) {
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
    end(SIGKILL);
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
      pid_(std::exchange(other.pid_, 0)) {}

RedisServer::~RedisServer() {
  end(SIGKILL);
  if (!directory_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
}

void RedisServer::stop() {
  end(SIGTERM);
}

void RedisServer::kill() {
  end(SIGKILL);
}

void RedisServer::restart() {
  const auto deadline = Clock::now() + kStartLimit;
  end(SIGKILL);
  while (!start_once()) {
    if (Clock::now() > deadline) {
      throw std::runtime_error("redis-server does not start again: " + log_end());
    }
    std::this_thread::sleep_for(kPause);
  }
}

void RedisServer::freeze() {
  if (!is_running() || ::kill(pid_, SIGSTOP) != 0) {
    throw std::runtime_error("redis-server is not there to be frozen");
  }
  // Stopped only when the kernel says so; until then it may still answer.
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
  if (!WIFSTOPPED(status)) {
    pid_ = 0;
    throw std::runtime_error("redis-server ended instead of freezing: " + log_end());
  }
}

void RedisServer::thaw() const {
  if (is_running()) {
    ::kill(pid_, SIGCONT);
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

bool RedisServer::start_once() {
  std::vector<std::string> words = command_line();
  std::vector<char*> line;
  line.reserve(words.size() + 1);
  for (std::string& word : words) {
    line.push_back(word.data());
  }
  line.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    pid_ = 0;
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (pid_ == 0) {
    become(line.data(), parent);
  }
  return wait_until_ready();
}

bool RedisServer::wait_until_ready() {
  const auto deadline = Clock::now() + kStartLimit;
  while (Clock::now() < deadline) {
    if (has_exited()) {
      return false;
    }
    // Any answer will do (-NOAUTH, -NOPERM): it serves. LOADING: not yet.
    if (!ask(place_.host, port_, "PING", "LOADING").empty()) {
      // It may be somebody else's answer if ours could not have the port.
      return !has_exited();
    }
    std::this_thread::sleep_for(kPause);
  }
  throw std::runtime_error("redis-server does not answer: " + log_end());
}

bool RedisServer::has_exited() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) {
    return false;
  }
  pid_ = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    throw std::runtime_error("cannot run " + command_line().front());
  }
  return true;
}

void RedisServer::end(int signal) {
  if (!is_running()) {
    return;
  }
  ::kill(pid_, signal);
  ::kill(pid_, SIGCONT);  // a frozen one would not hear SIGTERM
  const auto deadline = Clock::now() + kStopLimit;
  while (signal != SIGKILL && Clock::now() < deadline) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = 0;
      return;
    }
    std::this_thread::sleep_for(kPause);
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
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
