#pragma once

#include "child_process.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// A real redis-server, by default on 127.0.0.1, with a free port and a directory of its own,
// without persistence. Answers when the constructor returns; ended and cleaned up by the
// destructor, and by the kernel should the thread that started it die. Not thread-safe. Failures
// throw std::runtime_error with the end of the server's log.
class RedisServer {
 public:
  // Where it listens; port 0: a free one.
  struct Place {
    std::string host = "127.0.0.1";
    int port = 0;
  };

  // `arguments` are added to the command line: {"--maxmemory", "1mb"}. The program is
  // "redis-server", or what the environment variable REDIS_SERVER says.
  explicit RedisServer(std::vector<std::string> arguments = {});
  RedisServer(std::vector<std::string> arguments, Place place);
  // Returns once the replica has its first copy and its link is up.
  [[nodiscard]] static RedisServer start_replica_of(const RedisServer& primary,
                                                    std::vector<std::string> arguments = {});
  [[nodiscard]] static RedisServer start_replica_of(const RedisServer& primary,
                                                    std::vector<std::string> arguments,
                                                    Place place);
  ~RedisServer();

  RedisServer(RedisServer&& other) noexcept;
  RedisServer& operator=(RedisServer&& other) = delete;
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] int port() const { return port_; }

  [[nodiscard]] const std::string& host() const { return place_.host; }

  [[nodiscard]] std::string address() const {
    const bool v6 = place_.host.find(':') != std::string::npos;
    return (v6 ? "[" + place_.host + "]" : place_.host) + ":" + std::to_string(port_);
  }

  [[nodiscard]] pid_t pid() const { return child_.pid(); }  // 0 when stopped

  [[nodiscard]] bool is_running() const { return child_.is_running(); }

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  void stop();     // SIGTERM: an orderly end; SIGKILL if that takes too long
  void restart();  // on the same port, empty; after stop() or kill()
  // The same, as a replica of that one from its first moment on.
  void restart_as_replica_of(const RedisServer& primary);

  void kill() { child_.kill(); }  // SIGKILL: a crash

  void freeze() { child_.freeze(); }  // accepts connections (the kernel does) and never answers

  void thaw() const { child_.thaw(); }

  // One field of INFO, such as "master_link_status"; empty when it is not there.
  [[nodiscard]] std::string info(std::string_view field) const;
  // Polls until INFO says so; throws after `limit`.
  void wait_for_info(std::string_view field,
                     std::string_view value,
                     std::chrono::milliseconds limit = std::chrono::seconds(20)) const;
  // Until this replica has all that its primary has now. A link that is up says less: the stream
  // begins with the replica's next acknowledgement, up to 1 s after its first copy.
  void wait_for_copy_of(const RedisServer& primary) const;

 private:
  void start_again();
  [[nodiscard]] bool start_once();
  [[nodiscard]] std::vector<std::string> command_line() const;
  [[nodiscard]] std::string log_end() const;

  std::vector<std::string> arguments_;
  Place place_;
  std::filesystem::path directory_;
  int port_ = 0;
  std::vector<std::string> role_;  // further arguments of the last start
  ChildProcess child_;
};

// A port of 127.0.0.1 that nobody listens on now, below the range from which the kernel takes the
// ports of outgoing connections, so that none of these takes it before its server does. No other
// test program gets it before this one ends, nor does this one get it again.
[[nodiscard]] int free_port();

}  // namespace pannier::test
