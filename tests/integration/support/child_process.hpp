#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pannier::test {

// A program that a test runs: killed by the destructor, and by the kernel should the thread that
// started it die. Signals go to its process id only while it was not waited for. Not thread-safe.
// Failures throw std::runtime_error.
class ChildProcess {
 public:
  ChildProcess() = default;  // none is running
  // Program and arguments; the program is looked for in PATH. What it says goes to the end of
  // `output`, or nowhere.
  explicit ChildProcess(std::vector<std::string> words,
                        const std::filesystem::path& output = "/dev/null");
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }  // 0 when it has ended

  [[nodiscard]] bool is_running() const { return pid_ > 0; }

  // Asks `ready` again and again until it is; false when the program has ended instead. Throws
  // after `limit`.
  [[nodiscard]] bool wait_until_ready(const std::function<bool()>& ready,
                                      std::chrono::milliseconds limit);
  // The exit code (128 + signal when killed) if it ends, or has ended, in time.
  std::optional<int> wait(std::chrono::milliseconds limit);

  void signal(int number) const;
  void freeze();      // SIGSTOP; it is stopped when this returns
  void thaw() const;  // SIGCONT
  void kill();        // SIGKILL; it is gone when this returns
  // SIGTERM, also for a frozen one; SIGKILL when that takes too long.
  void stop(std::chrono::milliseconds limit);

 private:
  std::string program_;
  pid_t pid_ = 0;
};

// An empty directory of the caller's own; its name begins with `prefix`.
[[nodiscard]] std::filesystem::path make_directory(const std::string& prefix);

}  // namespace pannier::test
