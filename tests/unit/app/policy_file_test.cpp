#include "policy_file.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

using pannier::app::look_at_policy;
using pannier::app::PolicyLook;
using pannier::policy::Rules;
using namespace std::chrono_literals;

namespace {

constexpr const char* kHead = "version: 1\nclasses:\n  - { name: a, keys: [\"a:*\"] }\n";
constexpr const char* kRest = "deny:\n  - { name: none, commands: [KEYS] }\n";

struct File {
  File() : path("/tmp/pannier_policy_file_test." + std::to_string(::getpid())) {
    std::filesystem::remove(path);
  }

  ~File() { std::filesystem::remove(path); }

  void add(const std::string& text) const { std::ofstream(path, std::ios::app) << text; }

  std::string path;
};

}  // namespace

TEST_CASE("policy_file: a file that is being written is read when it is whole") {
  const File file;
  file.add(kHead);
  std::thread writer([&file] {
    for (int i = 0; i < 2000; ++i) {
      file.add("#\n");
    }
    file.add(kRest);
  });
  // Each writing ends in far less than this.
  const PolicyLook look = look_at_policy(file.path, Rules{}, 300ms);
  writer.join();
  CHECK(look.faults.empty());
  REQUIRE(look.rules);
  CHECK(look.rules->policy.deny.size() == 1);
}

TEST_CASE("policy_file: one that is written for good is a fault, and one that is not there too") {
  const File file;
  CHECK(look_at_policy(file.path, Rules{}).faults.size() == 1);
  file.add(kHead);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) {
      file.add("#\n");
    }
  });
  const PolicyLook look = look_at_policy(file.path, Rules{}, 500ms);
  stop = true;
  writer.join();
  REQUIRE(look.faults.size() == 1);
  CHECK(look.faults.front().find("being written") != std::string::npos);
  CHECK_FALSE(look.rules);
}

TEST_CASE("policy_file: what has lain there is read at once, and again only when it differs") {
  const File file;
  file.add(std::string(kHead) + kRest);
  std::filesystem::last_write_time(file.path, std::filesystem::file_time_type::clock::now() - 1h);
  const auto start = std::chrono::steady_clock::now();
  const PolicyLook look = look_at_policy(file.path, Rules{}, 10s);
  CHECK(std::chrono::steady_clock::now() - start < 5s);
  REQUIRE(look.rules);
  CHECK_FALSE(look_at_policy(file.path, *look.rules, 0ms).rules);
}
