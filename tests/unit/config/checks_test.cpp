#include "pannier/config/loader.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

namespace {

Environment machine(std::optional<std::uint64_t> memory, std::optional<double> cpus) {
  auto environment = fake_environment();
  environment.cgroup_memory = memory;
  environment.cgroup_cpus = cpus;
  environment.processors = 8;
  return environment;
}

Config loaded(const std::string& yaml, const Environment& environment) {
  const auto result = load(yaml + "\nupstream: \"a:1\"\n", "", environment);
  CHECK(texts(result.errors) == Texts{});
  return result.config.value_or(Config{});
}

constexpr std::uint64_t kMiB = 1U << 20;

}  // namespace

TEST_CASE("loader: clients come from this machine only", "[config]") {
  CHECK(errors_with_upstream("listen: [\"0.0.0.0:6379\"]") ==
        Texts{"f:1:10: listen[0]: is neither loopback nor a Unix socket: that needs `users:` and "
              "TLS, and TLS is not available in this version; write 127.0.0.1:PORT or unix:/path"});
  CHECK(errors_with_upstream("listen: [\"redis:6379\"]").size() == 1);
  CHECK(errors_with_upstream("listen: [\"127.evil.example:6379\"]").size() == 1);
  CHECK(errors_with_upstream("listen: [\"localhost:1\", \"127.0.0.2:1\", \"[::1]:1\"]").empty());
}

TEST_CASE("loader: nothing listens twice", "[config]") {
  CHECK(errors_with_upstream("listen:\n  - \"127.0.0.1:1\"\n  - \"localhost:1\"") ==
        Texts{"f:3:5: listen[1]: is the same address as listen[0]"});
  CHECK(errors_with_upstream("listen: [\"unix:/a\", \"unix:/a\"]").size() == 1);
  CHECK(errors_with_upstream("probe: \"0.0.0.0:6379\"") ==
        Texts{"f:1:8: probe: is the address of the default listener"});
  CHECK(errors_with_upstream("listen: [\"127.0.0.1:9181\"]") ==
        Texts{"f:1:10: listen[0]: is the address of admin"});
  CHECK(errors_with_upstream("listen: [\"127.0.0.1:9181\"]\nadmin: off").empty());
  CHECK(errors_with_upstream("probe: { address: \"127.0.0.1:9181\" }") ==
        Texts{"f:1:19: probe.address: is the same address for probe and admin"});
  CHECK(errors_of("upstream: \"127.0.0.1:6379\"") ==
        Texts{"f:1:11: upstream: is an address that Pannier itself listens on"});
}

TEST_CASE("loader: an admin port for others needs a token", "[config]") {
  CHECK(errors_with_upstream("admin: { address: \"0.0.0.0:81\" }") ==
        Texts{"f:1:19: admin.address: is neither loopback nor a Unix socket: that needs "
              "`token_file:`"});
  const Folder folder;
  folder.write("token", "abc\n");
  const auto result =
      load("admin: { address: \"0.0.0.0:81\", token_file: token }\nupstream: \"a:1\"",
           folder.path(),
           fake_environment());
  REQUIRE(result.config);
  CHECK(result.config->admin.token == "abc");
}

TEST_CASE("loader: probe and admin can be off", "[config]") {
  const auto config = loaded("probe: off\nadmin: off", fake_environment());
  CHECK_FALSE(config.probe.enabled);
  CHECK_FALSE(config.admin.enabled);
}

TEST_CASE("loader: nodes are listed once, the primary first", "[config]") {
  const auto result = load_text("upstream: { nodes: [\"b:1\", \"c:1\"], primary: \"a:1\" }");
  REQUIRE(result.config);
  CHECK(result.config->upstream.kind == UpstreamKind::Replicated);
  CHECK(result.config->upstream.nodes.at(0).address.host == "a");
  CHECK(result.config->upstream.nodes.at(2).address.host == "c");
  CHECK(errors_of("upstream: { primary: \"a:1\", nodes: [\"a:1\"] }") ==
        Texts{"f:1:37: upstream.nodes[0]: is the same node as upstream.primary"});
  CHECK(errors_of("upstream: { kind: single }") ==
        Texts{"f:1:11: upstream: has no nodes; list them under `nodes:`"});
  CHECK(errors_of("upstream: { kind: single, nodes: [\"a:1\", \"b:1\"] }") ==
        Texts{"f:1:19: upstream.kind: single has one node, but 2 are listed; write replicated"});
  CHECK(errors_of("upstream: { nodes: [] }") ==
        Texts{"f:1:20: upstream.nodes: has 0 entries; allowed are 1 to 64"});
}

TEST_CASE("loader: a primary endpoint and a reader endpoint make a replicated upstream",
          "[config]") {
  const auto result = load_text("upstream: { primary: \"main:6379\", reader: \"main-ro:6379\" }");
  REQUIRE(result.config);
  CHECK(result.config->upstream.kind == UpstreamKind::Replicated);
  CHECK(result.config->upstream.nodes.size() == 1);
  REQUIRE(result.config->upstream.reader);
  CHECK(result.config->upstream.reader->host == "main-ro");
  CHECK(texts(result.warnings) == Texts{});
  CHECK(errors_of("upstream: { kind: single, primary: \"a:1\", reader: \"b:1\" }") ==
        Texts{"f:1:19: upstream.kind: single has one node, but `reader` names more; write "
              "replicated"});
  CHECK(errors_of("upstream: { reader: \"b:1\" }") ==
        Texts{"f:1:11: upstream: has no nodes; list them under `nodes:`"});
  CHECK(errors_of("upstream: { primary: \"a:1\", reader: \"unix:/b\" }") ==
        Texts{"f:1:37: upstream.reader: is a Unix socket: write HOST:PORT, a name with the "
              "replicas' addresses"});
}

TEST_CASE("loader: name servers are addresses", "[config]") {
  const auto config =
      loaded("dns: { servers: [\"10.0.0.2:53\", \"[fd00::2]:53\"] }", fake_environment());
  REQUIRE(config.dns.servers.size() == 2);
  CHECK(config.dns.servers[1].to_string() == "[fd00::2]:53");
  CHECK(errors_with_upstream("dns: { servers: [\"ns.example:53\"] }") ==
        Texts{"f:1:18: dns.servers[0]: is not an address: name servers have no names; write one "
              "such as 10.0.0.2:53"});
  CHECK(errors_with_upstream("dns: { servers: [\"unix:/a\"] }").size() == 1);
}

TEST_CASE("loader: pools have a minimum below their maximum", "[config]") {
  CHECK(errors_of("upstream: { nodes: [\"a:1\"], lanes: { min: 3 } }") ==
        Texts{"f:1:36: upstream.lanes: min 3 is more than max 2"});
  CHECK(errors_of("upstream: { nodes: [\"a:1\"], pinned: { min: 3, max: 2 } }") ==
        Texts{"f:1:37: upstream.pinned: min 3 is more than max 2",
              "f:1:37: upstream.pinned: reserved_for_multi 32 must be less than max 2"});
}

TEST_CASE("loader: what is allowed but doubtful is a warning", "[config]") {
  const auto upstream = [](const std::string& text) {
    return warnings_of("upstream: { nodes: [\"a:1\", \"b:1\"], " + text + " }");
  };
  CHECK(upstream("timeouts: { attempt: 600ms }") ==
        Texts{"f:1:57: upstream.timeouts.attempt: attempt (600ms) is longer than read (500ms)"});
  CHECK(upstream("timeouts: { slow: 1s }") ==
        Texts{"f:1:54: upstream.timeouts.slow: write (2000ms) is longer than slow (1000ms)"});
  CHECK(warnings_of("workers: 64\nupstream: { nodes: [\"a:1\"] }") ==
        Texts{"f:1:10: workers: 64 workers with up to 2 lanes each make 128 shared connections to "
              "each node; a few are enough"});
  CHECK(warnings_of("upstream: { kind: replicated, nodes: [\"a:1\"] }") ==
        Texts{"f:1:19: upstream.kind: replicated with a single node: reads have nowhere else to "
              "go"});
  CHECK(warnings_of("reads: replica\nupstream: \"a:1\"") ==
        Texts{"f:1:8: reads: has no effect: upstream is a single node"});
  CHECK(warnings_of("reads: same-zone\nupstream: { nodes: [\"a:1\", \"b:1\"] }") ==
        Texts{"f:1:8: reads: no node has a zone; reads stay in the zone only where the nodes tell "
              "theirs"});
  CHECK(warnings_of("listen: [{address: \"127.0.0.1:1\", strong: true, reads: replica}]\n"
                    "upstream: { nodes: [\"a:1\", \"b:1\"] }") ==
        Texts{"f:1:56: listen[0].reads: has no effect beside `strong: true`, which means primary "
              "only"});
}

TEST_CASE("loader: memory follows the cgroup unless it is given", "[config]") {
  auto config = loaded("", machine(400 * kMiB, {}));
  CHECK(config.memory == 200 * kMiB);
  CHECK(config.memory_source == "half of the cgroup's limit");
  CHECK(config.near_cache == 100 * kMiB);
  config = loaded("memory: auto", machine(4096 * kMiB, {}));
  CHECK(config.memory == 256 * kMiB);
  CHECK(config.memory_source == "default");
  config = loaded("", machine(20 * kMiB, {}));
  CHECK(config.memory == 16 * kMiB);
  CHECK(config.memory_source == "the minimum");
  const auto result = load("memory: 300MiB\nupstream: \"a:1\"", "", machine(400 * kMiB, {}));
  CHECK(
      texts(result.warnings) ==
      Texts{"f:1:9: memory: 300MiB is more than half of the cgroup's limit of 400MiB; sockets and "
            "code need room too"});
  CHECK(
      errors_with_upstream("memory: 64MiB\nnear_cache: 33MiB") ==
      Texts{"f:2:13: near_cache: 33MiB is more than half of memory, which is 64MiB; write at most "
            "32MiB"});
  CHECK(loaded("near_cache: 0B", fake_environment()).near_cache == 0);
}

TEST_CASE("loader: workers follow the CPU quota only when asked to", "[config]") {
  CHECK(loaded("", machine({}, 4.0)).workers == 1);
  auto config = loaded("workers: auto", machine({}, 4.0));
  CHECK(config.workers == 2);
  CHECK(config.workers_source == "cgroup cpu quota");
  CHECK(loaded("workers: auto", machine({}, 1.5)).workers == 1);
  CHECK(loaded("workers: auto", machine({}, 0.25)).workers == 1);
  config = loaded("workers: auto", machine({}, {}));
  CHECK(config.workers == 2);
  CHECK(config.workers_source == "number of processors");
}

TEST_CASE("loader: users have one name and one password", "[config]") {
  variables() = {{"PW", "secret"}};
  const auto config = loaded("users: [{ name: a, password: \"${PW}\" }]", fake_environment());
  REQUIRE(config.users.size() == 1);
  CHECK(config.users[0].name == "a");
  CHECK(config.users[0].password == "secret");
  CHECK(errors_with_upstream("users:\n  - { name: a, password: \"${PW}\" }\n"
                             "  - { name: a, password: \"${PW}\" }") ==
        Texts{"f:3:13: users[1].name: is given twice; a user has one entry"});
  CHECK(errors_with_upstream("users: [{ name: a }]") ==
        Texts{"f:1:9: users[0]: needs password_file, or password: ${VARIABLE}"});
}

TEST_CASE("loader: secrets come from files or the environment, never from the text", "[config]") {
  const Folder folder;
  folder.write("good", "s3cret\r\n");
  folder.write("empty", "\n");
  folder.write("lines", "a\nb\n");
  const auto password = [&](const std::string& line) {
    return load("upstream:\n  nodes: [\"a:1\"]\n  auth:\n    " + line + "\n",
                folder.path(),
                fake_environment());
  };
  const auto good = password("password_file: good");
  REQUIRE(good.config);
  CHECK(good.config->upstream.auth->password == "s3cret");
  CHECK(good.config->upstream.auth->user.empty());
  const auto message = [&](const std::string& line) {
    return texts(password(line).errors);
  };
  const auto cannot = [&](const std::string& name, const std::string& why) {
    return Texts{"f:4:20: upstream.auth.password_file: cannot use " + folder.path(name) + ": " +
                 why};
  };
  CHECK(message("password_file: none") == cannot("none", "No such file or directory"));
  CHECK(message("password_file: empty") == cannot("empty", "it is empty"));
  CHECK(message("password_file: lines") == cannot("lines", "a secret is one line of text"));
  CHECK(message("password_file: .") == cannot(".", "is not a regular file"));
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(message("password_file: pipe") == cannot("pipe", "is not a regular file"));
  CHECK(message("user: a") ==
        Texts{"f:4:5: upstream.auth: needs password_file, or password: ${VARIABLE}"});
  variables() = {{"PW", "fromenv"}};
  CHECK(password("password: ${PW}").config->upstream.auth->password == "fromenv");
  const Texts never{
      "f:4:15: upstream.auth.password: never write a password here; use password_file, or "
      "${VARIABLE} alone"};
  CHECK(message("password: hunter2") == never);
  CHECK(message("password: ${NONE:-hunter2}") == never);
  CHECK(message("password: hunter${PW}") == never);
  CHECK(message("password: ${PW}\n    password_file: good") ==
        Texts{"f:4:5: upstream.auth: has both password and password_file; keep one"});
}

TEST_CASE("loader: a policy file must exist, and names start at the configuration", "[config]") {
  const Folder folder;
  folder.write("pannier.yaml",
               "upstream: \"a:1\"\npolicy: policy.yaml\nzone_file: zone\n"
               "memory: 64MiB\n");
  const auto file = folder.path("pannier.yaml");
  CHECK(texts(load_file(file, fake_environment()).errors) ==
        Texts{"f:2:9: policy: cannot use " + folder.path("policy.yaml") +
              ": No such file or directory"});
  folder.write("policy.yaml", "version: 1\n");
  const auto result = load_file(file, fake_environment());
  REQUIRE(result.config);
  CHECK(result.config->policy == folder.path("policy.yaml"));
  CHECK(result.policy == folder.path("policy.yaml"));
  CHECK(result.config->zone_file == folder.path("zone"));
  CHECK(result.config->memory_source == file + ":4");
}

TEST_CASE("loader: the policy file is told also when something else is wrong", "[config]") {
  const Folder folder;
  folder.write("pannier.yaml", "upstream: \"a:1\"\npolicy: policy.yaml\nworkers: 0\n");
  folder.write("policy.yaml", "version: 1\n");
  const auto file = folder.path("pannier.yaml");
  const auto result = load_file(file, fake_environment());
  CHECK(result.errors.size() == 1);
  CHECK(result.policy == folder.path("policy.yaml"));
  folder.write("pannier.yaml", "upstream: \"a:1\"\npolicy: gone.yaml\n");
  CHECK(load_file(file, fake_environment()).policy.empty());
}
