#pragma once

#include "raw_client.hpp"
#include "redis_server.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace pannier::test {

// What a real server was asked, command by command, in its order: MONITOR on a connection of its
// own. Exact at the time of each call: everything that the server has run by then is counted. Keys
// and values appear as the server prints them. Not thread-safe.
class CommandWatch {
 public:
  explicit CommandWatch(const RedisServer& server);

  // How often commands beginning with these words were run, by anybody; upper and lower case are
  // the same in the first word only.
  [[nodiscard]] std::size_t count(const Words& words);
  // All of them, oldest first.
  [[nodiscard]] std::vector<std::string> lines();
  // Forgets what was seen so far.
  void clear();

 private:
  void catch_up();

  RawClient monitor_;
  RawClient marker_;
  std::size_t marks_ = 0;
  std::vector<std::string> lines_;  // as "GET" "key" ..., the first word in upper case
};

}  // namespace pannier::test
