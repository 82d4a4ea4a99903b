#include "pannier/admin/health_client.hpp"
#include "pannier/app/application.hpp"
#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/config/describe.hpp"
#include "pannier/config/loader.hpp"
#include "pannier/config/policy_diff.hpp"
#include "pannier/config/policy_loader.hpp"
#include "pannier/config/schema.hpp"
#include "pannier/policy/command_checks.hpp"
#include "pannier/policy/rules.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using pannier::app::kExitOk;
using pannier::app::kExitUsage;
using pannier::config::Policy;

constexpr const char* kDefaultFile = "/etc/pannier/pannier.yaml";

struct Loaded {
  pannier::config::Config config;
  Policy policy;            // empty when the configuration names none
  std::string policy_text;  // of its file
};

using Issues = std::vector<pannier::config::Issue>;

void print_faults(const std::string& file, const Issues& errors, const Issues& warnings) {
  for (const auto& issue : errors) {
    std::fprintf(stderr, "error: %s\n", issue.to_string(file).c_str());
  }
  for (const auto& issue : warnings) {
    std::fprintf(stderr, "warning: %s\n", issue.to_string(file).c_str());
  }
  if (!errors.empty()) {
    std::fprintf(stderr, "%zu error(s) in %s\n", errors.size(), file.c_str());
  }
}

void print(const std::vector<std::string>& lines) {
  for (const auto& line : lines) {
    std::printf("%s\n", line.c_str());
  }
}

// These print every fault; what they load is empty when there is one.
pannier::config::LoadResult load_config(const std::string& file) {
  auto result = pannier::config::load_file(file, pannier::config::real_environment());
  print_faults(file, result.errors, result.warnings);
  return result;
}

pannier::config::LoadPolicyResult read_policy(const std::string& file) {
  auto result = pannier::config::load_policy_file(file);
  pannier::policy::check_commands(result);
  print_faults(file, result.errors, result.warnings);
  return result;
}

std::optional<Policy> load_policy(const std::string& file) {
  return read_policy(file).policy;
}

std::optional<Loaded> load(const std::string& file) {
  auto result = load_config(file);
  pannier::config::LoadPolicyResult policy;
  if (result.policy.empty()) {
    policy.policy.emplace();
  } else {
    policy = read_policy(result.policy);
  }
  if (!result.config || !policy.policy) {
    return std::nullopt;
  }
  return Loaded{std::move(*result.config), std::move(*policy.policy), std::move(policy.text)};
}

int serve(const std::string& file) {
  auto loaded = load(file);
  if (!loaded) {
    return kExitUsage;
  }
  pannier::base::configure_log(loaded->config.log.level, loaded->config.log.format);
  pannier::app::Application application(std::move(loaded->config), std::move(loaded->policy));
  return application.run();
}

// How the changes of cached keys will be asked for.
void print_tracking(const Policy& policy) {
  const auto rules = pannier::policy::compile(policy);
  const auto plan = pannier::policy::plan_tracking(*rules, {});
  std::string line;
  for (const auto& prefix : plan.prefixes) {
    line += " " + pannier::base::printable(prefix);
  }
  if (!line.empty()) {
    std::printf("tracked by prefix:%s\n", line.c_str());
  }
  line.clear();
  for (const auto id : plan.optin) {
    line += " " + rules->at(id).name;
  }
  if (!line.empty()) {
    std::printf("tracked key by key, because of their prefixes: classes%s\n", line.c_str());
  }
}

int check_policy(const std::string& file) {
  const auto policy = load_policy(file);
  if (!policy) {
    return kExitUsage;
  }
  print(pannier::config::describe(*policy));
  print_tracking(*policy);
  std::printf("%s: ok\n", file.c_str());
  return kExitOk;
}

int check(const std::string& file) {
  if (pannier::config::is_policy_file(file)) {
    return check_policy(file);
  }
  const auto loaded = load(file);
  if (!loaded) {
    return kExitUsage;
  }
  print(pannier::config::describe(loaded->config));
  if (!loaded->config.policy.empty()) {
    print(pannier::config::describe(loaded->policy));
    print_tracking(loaded->policy);
  }
  std::printf("%s: ok\n", file.c_str());
  return kExitOk;
}

// As diff(1): whether there is a difference is in the exit code.
int diff(const std::string& before_file, const std::string& after_file) {
  constexpr int kDifferent = 1;
  const auto before = load_policy(before_file);
  const auto after = load_policy(after_file);
  if (!before || !after) {
    return kExitUsage;
  }
  const auto lines = pannier::config::diff(*before, *after);
  print(lines);
  return lines.empty() ? kExitOk : kDifferent;
}

int print_schema(const std::string& kind) {
  const auto schema =
      kind == "policy" ? pannier::config::policy_schema() : pannier::config::config_schema();
  std::fputs(schema.c_str(), stdout);
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
    const auto config = load_config(file).config;
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
      "check",
      "Check a configuration or policy file: every fault as file:line:column, then what it means");
  check_command->add_option("file", checked, "pannier.yaml, with the policy it names, or a policy")
      ->required();

  std::string before;
  std::string after;
  auto* diff_command = app.add_subcommand(
      "diff",
      "Tell what changes for which keys from one policy to another; exit code 0 without a\n"
      "difference, 1 with one, 2 when a file has faults");
  diff_command->add_option("old", before, "A policy")->required();
  diff_command->add_option("new", after, "Another one")->required();

  std::string kind;
  auto* schema_command =
      app.add_subcommand("schema", "Print the JSON Schema of a file, for editors");
  schema_command->add_option("kind", kind, "policy or pannier, for pannier.yaml")
      ->required()
      ->check(CLI::IsMember({"policy", "pannier"}));

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
  if (diff_command->parsed()) {
    return diff(before, after);
  }
  if (schema_command->parsed()) {
    return print_schema(kind);
  }
  if (health_command->parsed()) {
    return health(address, health_file);
  }
  return serve(file);
}
