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
#include "pannier/proxy/explain_rules.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
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
  pannier::app::Application application(
      std::move(loaded->config), std::move(loaded->policy), loaded->policy_text);
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

// The policy alone, or the one that a pannier.yaml names.
int explain(const std::string& file, const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fprintf(stderr, "error: which request? As in: pannier explain -c FILE GET product:42\n");
    return kExitUsage;
  }
  const bool is_policy = pannier::config::is_policy_file(file);
  const auto policy = is_policy ? load_policy(file) : std::nullopt;
  const auto loaded = is_policy ? std::nullopt : load(file);
  if (!policy && !loaded) {
    return kExitUsage;
  }
  pannier::proxy::ReadsSources sources;
  if (loaded) {
    const auto& listener = loaded->config.listen.front();
    sources = {loaded->config.reads, listener.reads, listener.address.to_string(), listener.strong};
  }
  pannier::proxy::RuleFacts facts;
  facts.unix_now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const auto rules = pannier::policy::compile(is_policy ? *policy : loaded->policy);
  const std::vector<std::string_view> request(words.begin(), words.end());
  std::fputs(pannier::proxy::explain_offline(*rules, sources, facts, request).c_str(), stdout);
  return kExitOk;
}

// What the command line said; `run` does it.
struct Invocation {
  std::string file = kDefaultFile;
  std::string other;
  std::string address;
  std::function<int()> run = [this] {
    return serve(file);
  };
};

void add_serve(CLI::App& app, Invocation& said) {
  constexpr const char* kHelp = "Configuration file";
  app.add_option("-c,--config", said.file, kHelp)->capture_default_str();
  auto* command = app.add_subcommand("serve", "Run the proxy (the default)");
  command->add_option("-c,--config", said.file, kHelp)->capture_default_str();
}

void add_check(CLI::App& app, Invocation& said) {
  auto* command = app.add_subcommand(
      "check",
      "Check a configuration or policy file: every fault as file:line:column, then what it means");
  command->add_option("file", said.file, "pannier.yaml, with the policy it names, or a policy")
      ->required();
  command->callback([&] {
    said.run = [&] {
      return check(said.file);
    };
  });
}

void add_explain(CLI::App& app, Invocation& said) {
  auto* command = app.add_subcommand(
      "explain",
      "Tell what the rules make of a request, without a server: its class and why, denials,\n"
      "limits, what would be sent, whether memory may answer; `explain -c FILE SET k v EX 5`.\n"
      "A running Pannier tells it too, and its nodes: redis-cli PANNIER EXPLAIN SET k v EX 5");
  command->add_option("-c,--config", said.file, "pannier.yaml or a policy")->capture_default_str();
  command->prefix_command();
  command->callback([&said, command] {
    said.run = [&said, command] {
      return explain(said.file, command->remaining());
    };
  });
}

void add_diff(CLI::App& app, Invocation& said) {
  auto* command = app.add_subcommand(
      "diff",
      "Tell what changes for which keys from one policy to another; exit code 0 without a\n"
      "difference, 1 with one, 2 when a file has faults");
  command->add_option("old", said.file, "A policy")->required();
  command->add_option("new", said.other, "Another one")->required();
  command->callback([&] {
    said.run = [&] {
      return diff(said.file, said.other);
    };
  });
}

void add_schema(CLI::App& app, Invocation& said) {
  auto* command = app.add_subcommand("schema", "Print the JSON Schema of a file, for editors");
  command->add_option("kind", said.other, "policy or pannier, for pannier.yaml")
      ->required()
      ->check(CLI::IsMember({"policy", "pannier"}));
  command->callback([&] {
    said.run = [&] {
      return print_schema(said.other);
    };
  });
}

void add_health(CLI::App& app, Invocation& said) {
  auto* command = app.add_subcommand(
      "health", "Ask a running Pannier whether it is well: one line, exit code 0 or 1");
  command->add_option("-a,--address", said.address, "Its probe port, 127.0.0.1:9180 by default");
  command->add_option("-c,--config", said.other, "Take the probe port from this file");
  command->callback([&] {
    said.run = [&] {
      return health(said.address, said.other);
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Pannier: a caching sidecar proxy that speaks RESP.\n"
      "Point your service's Redis client at localhost and this at your Redis.\n"};
  app.set_version_flag("--version", std::string("pannier ") + pannier::app::version());
  app.require_subcommand(0, 1);
  Invocation said;
  add_serve(app, said);
  add_check(app, said);
  add_explain(app, said);
  add_diff(app, said);
  add_schema(app, said);
  add_health(app, said);
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
  return said.run();
}
