#include "near_cache_rig.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

using namespace pannier::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// Each policy differs in the name of the class of "a:1".
std::string named(const std::string& name) {
  return "version: 1\nclasses:\n  - { name: " + name + ", keys: [\"a:*\"], reads: primary }\n";
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::trunc) << text;
}

void rename_over(const fs::path& file, const std::string& text) {
  const fs::path fresh = file.string() + ".new";
  write(fresh, text);
  fs::rename(fresh, file);
}

double generation(const PannierProcess& pannier) {
  return pannier.metric("pannier_policy_generation");
}

double reloads(const PannierProcess& pannier, const std::string& result) {
  return pannier.metric("pannier_policy_reloads_total{result=\"" + result + "\"}");
}

std::string explain(RawClient& client, std::string_view key) {
  return client.call({"PANNIER", "EXPLAIN", "GET", key});
}

PannierOptions with_admin() {
  PannierOptions out;
  out.admin = true;
  return out;
}

PannierOptions with_policy(const fs::path& file) {
  PannierOptions out;
  out.rest = "policy: \"" + file.string() + "\"";
  return out;
}

// One Pannier whose policy begins as `named("one")`.
struct Rig {
  explicit Rig(PannierOptions options = {}) : pannier(complete(std::move(options), server)) {
    REQUIRE(
        wait_until([this] { return reloads(pannier, "unchanged") == 1; }));  // that of the start
  }

  static PannierOptions complete(PannierOptions options, const RedisServer& server) {
    options.upstream = upstream_of({server.address()});
    if (!options.policy && options.rest.empty()) {
      options.policy = named("one");
    }
    return options;
  }

  [[nodiscard]] bool has_class(const std::string& name) const {
    RawClient client(pannier.port());
    return explain(client, "a:1").find("class: " + name + " ") != std::string::npos;
  }

  // Until these rules are in force.
  void await(const std::string& name) const {
    INFO("waiting for class " << name);
    REQUIRE(wait_until([&] { return has_class(name); }));
  }

  RedisServer server;
  PannierProcess pannier;
};

}  // namespace

TEST_CASE("reload: a file that is written in place, or replaced") {
  const Rig rig;
  CHECK(generation(rig.pannier) == 1);
  write(rig.pannier.policy_file(), named("two"));
  rig.await("two");
  CHECK(wait_until([&] { return generation(rig.pannier) == 2; }));
  rename_over(rig.pannier.policy_file(), named("three"));
  rig.await("three");
  RawClient client(rig.pannier.port());
  CHECK(explain(client, "a:1").find("policy: generation 3, hash ") != std::string::npos);
  CHECK(client.call({"INFO", "pannier"}).find("policy_generation:3\r\n") != std::string::npos);
  CHECK(client.call({"PANNIER", "STATS"}).find("policy: generation=3 hash=") != std::string::npos);
  CHECK(rig.pannier.metric_sum("pannier_policy_info") == 1);
}

TEST_CASE("reload: the same content is no new generation") {
  const Rig rig;
  rename_over(rig.pannier.policy_file(), named("one"));
  REQUIRE(wait_until([&] { return reloads(rig.pannier, "unchanged") == 2; }));
  CHECK(generation(rig.pannier) == 1);
  CHECK(reloads(rig.pannier, "changed") == 0);
}

TEST_CASE("reload: a file with faults changes nothing and says why") {
  const Rig rig(with_admin());
  write(rig.pannier.policy_file(),
        "version: 1\nclasses:\n  - { name: x, keys: [\"[\"], cahe: on }\n  - { keys: [] }\n");
  REQUIRE(wait_until([&] { return reloads(rig.pannier, "failed") == 1; }));
  CHECK(rig.has_class("one"));
  CHECK(generation(rig.pannier) == 1);
  CHECK(rig.pannier.metric("pannier_policy_last_reload_successful") == 0);
  CHECK(rig.pannier.log().find("not loaded, generation 1 stays: ") != std::string::npos);
  CHECK(rig.pannier.log().find("policy.yaml:3:") != std::string::npos);
  RawClient client(rig.pannier.port());
  const auto info = client.call({"INFO", "pannier"});
  CHECK(info.find("policy_last_error:" + rig.pannier.policy_file().string() + ":3:") !=
        std::string::npos);
  const auto answer = rig.pannier.post("/reload");
  CHECK(answer.starts_with("HTTP/1.1 422 "));
  CHECK(answer.find("policy.yaml:3:") != std::string::npos);
  CHECK(answer.find("policy.yaml:4:") != std::string::npos);
  CHECK(answer.find("generation 1 hash ") != std::string::npos);
  write(rig.pannier.policy_file(), named("two"));
  rig.await("two");
  CHECK(
      wait_until([&] { return rig.pannier.metric("pannier_policy_last_reload_successful") == 1; }));
}

TEST_CASE("reload: the file vanishes and comes back") {
  const Rig rig;
  fs::remove(rig.pannier.policy_file());
  REQUIRE(wait_until([&] { return reloads(rig.pannier, "failed") == 1; }));
  CHECK(rig.has_class("one"));
  CHECK(rig.pannier.log().find("cannot be read: No such file") != std::string::npos);
  write(rig.pannier.policy_file(), named("two"));
  rig.await("two");
}

TEST_CASE("reload: SIGHUP, also when nothing tells of the change") {
  const Rig rig;
  rig.pannier.signal(SIGHUP);
  REQUIRE(wait_until([&] { return reloads(rig.pannier, "unchanged") == 2; }));
  write(rig.pannier.policy_file(), named("two"));
  rig.pannier.signal(SIGHUP);
  rig.await("two");
}

TEST_CASE("reload: SIGHUP without a policy ends nothing") {
  const RedisServer server;
  PannierOptions options;
  options.upstream = upstream_of({server.address()});
  options.admin = true;
  const PannierProcess pannier(options);
  pannier.signal(SIGHUP);
  REQUIRE(wait_until([&] { return pannier.log().find("nothing to reload") != std::string::npos; }));
  CHECK(RawClient(pannier.port()).call({"PING"}) == "+PONG\r\n");
  CHECK(pannier.post("/reload").starts_with("HTTP/1.1 422 "));
  CHECK(pannier.metric("pannier_policy_generation") == 0);
}

TEST_CASE("reload: POST answers when the rules are in force") {
  const Rig rig(with_admin());
  CHECK(rig.pannier.post("/reload", "X-Other: 1").starts_with("HTTP/1.1 403 "));
  for (int i = 0; i < 5; ++i) {
    const std::string name = "n" + std::to_string(i);
    write(rig.pannier.policy_file(), named(name));
    const auto answer = rig.pannier.post("/reload");
    REQUIRE(answer.starts_with("HTTP/1.1 200 "));
    REQUIRE(rig.has_class(name));
  }
}

TEST_CASE("reload: a ConfigMap's ..data is pointed elsewhere") {
  std::string name = (fs::temp_directory_path() / "pannier_map_XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  const fs::path map = name;
  const auto publish = [&](const std::string& version, const std::string& text) {
    fs::create_directory(map / version);
    write(map / version / "policy.yaml", text);
    fs::create_directory_symlink(version, map / "..data_tmp");
    fs::rename(map / "..data_tmp", map / "..data");
  };
  publish("..1", named("one"));
  fs::create_symlink("..data/policy.yaml", map / "policy.yaml");
  {
    const Rig rig(with_policy(map / "policy.yaml"));
    publish("..2", named("two"));
    fs::remove_all(map / "..1");
    rig.await("two");
    publish("..3", named("three"));
    rig.await("three");
  }
  fs::remove_all(map);
}

TEST_CASE("reload: the policy's directory is a link that is pointed elsewhere") {
  std::string name = (fs::temp_directory_path() / "pannier_link_XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  const fs::path base = name;
  for (const auto* version : {"v1", "v2"}) {
    fs::create_directory(base / version);
  }
  write(base / "v1" / "policy.yaml", named("one"));
  write(base / "v2" / "policy.yaml", named("two"));
  fs::create_directory_symlink("v1", base / "current");
  {
    const Rig rig(with_policy(base / "current" / "policy.yaml"));
    fs::create_directory_symlink("v2", base / "next");
    fs::rename(base / "next", base / "current");
    rig.await("two");
    write(base / "v2" / "policy.yaml", named("three"));
    rig.await("three");
  }
  fs::remove_all(base);
}
