#pragma once

#include "load_connection.hpp"
#include "redis_server.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pannier::test {

struct LoadOptions {
  int port = 0;  // Pannier's
  std::size_t readers = 24;
  std::size_t writers = 16;  // each with keys of its own, which the others read
  std::size_t static_keys = 60;
  int depth = 16;
  std::chrono::milliseconds pause{40};
  unsigned seed = 1;
};

// Many sessions that read and write through Pannier on a thread of their own, while the test makes
// things go wrong, and judge every reply. Replies to the wrong request, acknowledged writes that
// are not seen, writes that ran twice and the like are violations; all else is counted. The methods
// may be called from any thread. It stops with the destructor.
class FailureLoad {
 public:
  using Clock = std::chrono::steady_clock;

  // Writes the keys' first values straight to the primary, then begins.
  FailureLoad(const LoadOptions& options, const RedisServer& primary);
  ~FailureLoad();
  FailureLoad(const FailureLoad&) = delete;
  FailureLoad& operator=(const FailureLoad&) = delete;

  // What comes from now on belongs to a new phase.
  void begin_phase();
  // What has come in it so far.
  [[nodiscard]] LoadReport report() const;
  // The same, printed: one line for each kind of request.
  LoadReport show(const std::string& phase) const;

  [[nodiscard]] std::size_t in_flight(Asked asked) const;
  // Polls until a request that was sent from now on has succeeded; false after `limit`.
  [[nodiscard]] bool wait_for_success(Asked asked, std::chrono::milliseconds limit) const;
  // Until nothing has failed for a while, and nothing is older than that; false after `limit`.
  [[nodiscard]] bool wait_for_calm(std::chrono::milliseconds limit) const;

  // Before a server is promoted, while no other acknowledges writes: from now on only what this one
  // has is expected.
  void expect_what_is_at(const RedisServer& server);
  // Before servers come back empty: what was written is gone, and nil is right everywhere.
  void expect_nothing();
  // Writes the keys that are missing as they were at first; once all servers have them, nil is
  // wrong again with `expect_all`.
  void seed(const RedisServer& server);
  void expect_all();

  // Compares a server that has all acknowledged writes, without Pannier; adds to the violations.
  // Also while writes are under way.
  void check_data(const RedisServer& server);

  // Asks for nothing new and waits for what is under way.
  void stop();

  // The sessions that have waited longest, as text.
  [[nodiscard]] std::string waiting() const;
  [[nodiscard]] std::vector<std::string> violations() const;  // the first ones
  [[nodiscard]] std::size_t connections_lost() const;
  [[nodiscard]] std::size_t acknowledged_writes() const;

 private:
  void run();
  bool turn();
  // The values of all written keys there.
  [[nodiscard]] std::map<std::string, std::string> written_at(const RedisServer& server) const;

  mutable std::mutex mutex_;  // of all but the thread
  LoadShared shared_;
  std::deque<LoadConnection> connections_;
  LoadReport report_;
  std::vector<std::string> violations_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace pannier::test
