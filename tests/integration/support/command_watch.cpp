#include "command_watch.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace pannier::test {

CommandWatch::CommandWatch(const RedisServer& server)
    : monitor_(server.port()),
      marker_(server.port()) {
  if (monitor_.call({"MONITOR"}) != "+OK\r\n") {
    throw std::runtime_error("MONITOR is refused");
  }
}

// A line is: +1700000000.123456 [0 127.0.0.1:50000] "get" "key"
void CommandWatch::catch_up() {
  const std::string mark = "mark " + std::to_string(++marks_);
  static_cast<void>(marker_.call({"ECHO", mark}));
  for (;;) {
    const std::string line = monitor_.read_line();
    const std::size_t start = line.find("] ");
    if (start == std::string::npos) {
      continue;
    }
    std::string words = line.substr(start + 2, line.size() - start - 4);
    if (words == "\"ECHO\" \"" + mark + "\"") {
      return;
    }
    const std::size_t end = std::min(words.find(' '), words.size());
    std::transform(words.begin(),
                   words.begin() + static_cast<std::ptrdiff_t>(end),
                   words.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    lines_.push_back(std::move(words));
  }
}

std::size_t CommandWatch::count(const Words& words) {
  catch_up();
  std::string wanted;
  for (const std::string_view word : words) {
    wanted += (wanted.empty() ? "\"" : " \"") + std::string(word) + "\"";
  }
  return static_cast<std::size_t>(
      std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
        return line.starts_with(wanted) &&
               (line.size() == wanted.size() || line[wanted.size()] == ' ');
      }));
}

std::vector<std::string> CommandWatch::lines() {
  catch_up();
  return lines_;
}

void CommandWatch::clear() {
  catch_up();
  lines_.clear();
}

}  // namespace pannier::test
