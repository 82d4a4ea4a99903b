#pragma once

#include "pannier/config/config.hpp"
#include "pannier/config/policy.hpp"

#include <memory>
#include <string>

namespace pannier::app {

// Exit codes of the program, as the README lists them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // a port in use, unhealthy
inline constexpr int kExitUsage = 2;   // bad options or configuration

[[nodiscard]] const char* version();

// The running program: workers on their threads, the control thread (prober, HTTP, signals) on the
// caller's. Made once per process.
class Application {
 public:
  // `policy_text`: the file that the policy was made of; empty without one.
  Application(config::Config config, config::Policy policy, const std::string& policy_text);
  ~Application();
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  // Serves until a signal; returns the exit code.
  [[nodiscard]] int run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::app
