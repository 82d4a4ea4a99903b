#include "pannier/admin/health_client.hpp"
#include "pannier/app/application.hpp"
#include "pannier/base/log.hpp"
#include "pannier/config/describe.hpp"
#include "pannier/config/loader.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

using pannier::app::kExitOk;
using pannier::app::kExitUsage;

constexpr const char* kDefaultFile = "/etc/pannier/pannier.yaml";

// Prints every fault; empty when there is one.
std::optional<pannier::config::Config> load(const std::string& file) {
  auto result = pannier::config::load_file(file, pannier::config::real_environment());
  for (const auto& issue : result.errors) {
    std::fprintf(stderr, "error: %s\n", issue.to_string(file).c_str());
  }
  for (const auto& issue : result.warnings) {
    std::fprintf(stderr, "warning: %s\n", issue.to_string(file).c_str());
  }
  if (!result.errors.empty()) {
    std::fprintf(stderr, "%zu error(s) in %s\n", result.errors.size(), file.c_str());
    return std::nullopt;
  }
  return std::move(result.config);
}

int serve(const std::string& file) {
  auto config = load(file);
  if (!config) {
    return kExitUsage;
  }
  pannier::base::configure_log(config->log.level, config->log.format);
  pannier::app::Application application(std::move(*config));
  return application.run();
}

int check(const std::string& file) {
  const auto config = load(file);
  if (!config) {
    return kExitUsage;
  }
  for (const std::string& line : pannier::config::describe(*config)) {
    std::printf("%s\n", line.c_str());
  }
  std::printf("%s: ok\n", file.c_str());
  return kExitOk;
}

// The probe port from the file if there is one, else the default.
int health(const std::string& address, const std::string& file) {
  pannier::base::Endpoint probe = pannier::config::Probe{}.address;
  if (!address.empty() && !pannier::base::Endpoint::parse(address, probe)) {
    std::fprintf(stderr, "error: --address %s is not host:port\n", address.c_str());
    return kExitUsage;
  }
  if (address.empty() && !file.empty()) {
    const auto config = load(file);
    if (!config) {
      return kExitUsage;
    }
    probe = config->probe.address;
  }
  return pannier::admin::run_health(probe);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Pannier: a caching sidecar proxy that speaks RESP.\n"
      "Point your service's Redis client at localhost and this at your Redis.\n"};
  app.set_version_flag("--version", std::string("pannier ") + pannier::app::version());
  app.require_subcommand(0, 1);

  std::string file = kDefaultFile;
  app.add_option("-c,--config", file, "Configuration file")->capture_default_str();

  auto* serve_command = app.add_subcommand("serve", "Run the proxy (the default)");
  serve_command->add_option("-c,--config", file, "Configuration file")->capture_default_str();

  std::string checked;
  auto* check_command = app.add_subcommand(
      "check", "Check a configuration file: every fault as file:line:column, then what it means");
  check_command->add_option("file", checked, "Configuration file")->required();

  std::string address;
  std::string health_file;
  auto* health_command = app.add_subcommand(
      "health", "Ask a running Pannier whether it is well: one line, exit code 0 or 1");
  health_command->add_option("-a,--address", address, "Its probe port, 127.0.0.1:9180 by default");
  health_command->add_option("-c,--config", health_file, "Take the probe port from this file");

  app.footer(
      "Exit codes: 0 ok, 1 failed (a port in use, unhealthy), 2 bad options or configuration.\n"
      "SIGTERM drains: not ready, finish what is in flight, close clients, exit 0; a second one\n"
      "leaves at once. See README.md and config/pannier.yaml.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitOk : kExitUsage;
  }
  if (check_command->parsed()) {
    return check(checked);
  }
  if (health_command->parsed()) {
    return health(address, health_file);
  }
  return serve(file);
}
