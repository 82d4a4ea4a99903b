#pragma once

#include "child_process.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// What is to be written into pannier.yaml beside the ports.
struct PannierOptions {
  std::string upstream;                // the value of `upstream:`, in YAML
  std::string rest;                    // further lines at the top level
  std::vector<std::string> listeners;  // further entries of `listen:`; @DIR is the directory
  std::optional<std::string> policy = std::nullopt;  // the text of policy.yaml
  bool admin = false;                                // with an admin port
};

// `{ nodes: [...], more }` for the addresses.
[[nodiscard]] std::string upstream_of(const std::vector<std::string>& addresses,
                                      std::string_view more = {});

struct Ended {
  int status = -1;     // the exit code, or 128 + the signal
  std::string output;  // standard output and error
};

// The program itself, with a configuration, a free port and a directory of its own, listening when
// the constructor returns; ended by the destructor, and by the kernel should the thread that
// started it die. Its log is shown when a test fails. Not thread-safe.
class PannierProcess {
 public:
  explicit PannierProcess(const PannierOptions& options);
  ~PannierProcess();
  PannierProcess(const PannierProcess&) = delete;
  PannierProcess& operator=(const PannierProcess&) = delete;

  // Runs the program with arguments of the caller's and waits for its end; throws after `limit`.
  [[nodiscard]] static Ended run(const std::vector<std::string>& arguments,
                                 std::chrono::milliseconds limit = std::chrono::seconds(10));

  [[nodiscard]] int port() const { return port_; }

  [[nodiscard]] int probe_port() const { return probe_port_; }

  [[nodiscard]] pid_t pid() const { return child_.pid(); }  // 0 when it has ended

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  [[nodiscard]] std::filesystem::path config_file() const { return directory_ / "pannier.yaml"; }

  void signal(int number) const { child_.signal(number); }

  // The exit code (128 + signal when killed) if it ends in time.
  [[nodiscard]] std::optional<int> wait_for_exit(std::chrono::milliseconds limit) {
    return child_.wait(limit);
  }

  // SIGTERM, then its exit code; throws when it does not end in time.
  int stop(std::chrono::milliseconds limit = std::chrono::seconds(15));

  // 0 in a build with a sanitizer, whose own memory says nothing.
  [[nodiscard]] std::size_t resident_bytes() const;
  [[nodiscard]] std::string log() const;
  // One sample of /metrics by its name and labels as they are printed; 0 when it is not there.
  [[nodiscard]] double metric(std::string_view sample) const;
  // The sum over all samples of a family whose labels contain `label`.
  [[nodiscard]] double metric_sum(std::string_view family, std::string_view label = {}) const;
  // The body of GET `path` on the probe port, with its status line first.
  [[nodiscard]] std::string get(std::string_view path) const;
  // The same of an action on the admin port.
  [[nodiscard]] std::string post(std::string_view path,
                                 std::string_view header = "X-Pannier: 1") const;

  // Any request to the admin port, its status line first.
  [[nodiscard]] std::string admin(std::string_view method,
                                  std::string_view path,
                                  std::string_view body = {}) const;

  // The policy that the options gave.
  [[nodiscard]] std::filesystem::path policy_file() const { return directory_ / "policy.yaml"; }

 private:
  void write_config(const PannierOptions& options) const;
  [[nodiscard]] bool start_once();

  std::filesystem::path directory_;
  int port_ = 0;
  int probe_port_ = 0;
  int admin_port_ = 0;
  ChildProcess child_;
};

}  // namespace pannier::test
