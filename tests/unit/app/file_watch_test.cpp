#include "file_watch.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace pannier::app;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<WatchedName>;

// A directory of its own, without links on its way.
class Directory {
 public:
  Directory() {
    std::string name = (fs::temp_directory_path() / "pannier_watch_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = fs::canonical(name);
  }

  ~Directory() { fs::remove_all(path); }

  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string at(const std::string& name) const { return (path / name).string(); }

  void write(const std::string& name) const { std::ofstream(path / name) << "x"; }

  fs::path path;
};

}  // namespace

TEST_CASE("file_watch: a plain file depends on its name alone") {
  const Directory d;
  d.write("policy.yaml");
  const Names expected{{d.path.string(), "policy.yaml"}};
  CHECK(names_behind(d.at("policy.yaml")) == expected);
  CHECK(names_behind(d.at("./x/../policy.yaml")).front().name == "x");  // which is not there
  CHECK(names_behind(d.at("missing.yaml")) == Names{{d.path.string(), "missing.yaml"}});
}

TEST_CASE("file_watch: a ConfigMap depends on two links and the file behind them") {
  const Directory d;
  fs::create_directory(d.path / "..2024");
  d.write("..2024/policy.yaml");
  fs::create_directory_symlink("..2024", d.path / "..data");
  fs::create_symlink("..data/policy.yaml", d.path / "policy.yaml");
  const Names expected{{d.path.string(), "policy.yaml"},
                       {d.path.string(), "..data"},
                       {d.at("..2024"), "policy.yaml"}};
  CHECK(names_behind(d.at("policy.yaml")) == expected);
}

TEST_CASE("file_watch: a link to a directory elsewhere, and one that points nowhere") {
  const Directory d;
  fs::create_directory(d.path / "v1");
  d.write("v1/policy.yaml");
  fs::create_directory_symlink(d.path / "v1", d.path / "current");
  CHECK(names_behind(d.at("current/policy.yaml")) ==
        Names{{d.path.string(), "current"}, {d.at("v1"), "policy.yaml"}});
  fs::remove_all(d.path / "v1");
  CHECK(names_behind(d.at("current/policy.yaml")) ==
        Names{{d.path.string(), "current"}, {d.path.string(), "v1"}});
}

TEST_CASE("file_watch: links in a ring end") {
  const Directory d;
  fs::create_symlink("b", d.path / "a");
  fs::create_symlink("a", d.path / "b");
  CHECK(names_behind(d.at("a")).size() <= 64);
}
