#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::app {

// A name in a directory on which the file that a path means depends.
struct WatchedName {
  std::string directory;
  std::string name;

  [[nodiscard]] bool operator==(const WatchedName&) const = default;
};

// Every symbolic link on the way of `path` and the file itself, by the directories that hold them;
// where something is missing, that is the last. Reads the file system, changes nothing.
[[nodiscard]] std::vector<WatchedName> names_behind(const std::string& path);

// Tells when a file may have become another one: written, replaced, gone or back, or reached by a
// link that was changed, such as `..data` of a ConfigMap. It watches directories by inotify,
// because a watch of the file itself dies with it; a file that is mounted alone (subPath) never
// changes. Lives on the control thread.
class FileWatch {
 public:
  // Editors and tools write more than once: a change is told when nothing has happened for so long.
  static constexpr int kSettleMs = 100;
  static constexpr int kSettleAtMostMs = 1000;  // since the first of them

  // Logs when the system refuses to watch.
  FileWatch(boost::asio::io_context& io, std::string path, std::function<void()> changed);
  // Without events from now on.
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the handlers that the io_context still holds
};

}  // namespace pannier::app
