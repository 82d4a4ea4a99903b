#pragma once

#include "pannier/config/loader.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

// The variables that a test's environment has; the loader asks by a plain function.
inline std::map<std::string, std::string>& variables() {
  static std::map<std::string, std::string> all;
  return all;
}

inline Environment fake_environment() {
  Environment environment{};
  environment.variable = [](const std::string& name) -> std::optional<std::string> {
    const auto found = variables().find(name);
    return found == variables().end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  return environment;
}

inline LoadResult load_text(std::string_view yaml) {
  return load(yaml, "", fake_environment());
}

inline std::vector<std::string> texts(const std::vector<Issue>& issues) {
  std::vector<std::string> out;
  for (const auto& issue : issues) {
    out.push_back(issue.to_string("f"));
  }
  return out;
}

using Texts = std::vector<std::string>;

inline Texts errors_of(std::string_view yaml) {
  return texts(load_text(yaml).errors);
}

inline Texts warnings_of(std::string_view yaml) {
  return texts(load_text(yaml).warnings);
}

// With an upstream, so that only `yaml` is judged.
inline Texts errors_with_upstream(const std::string& yaml) {
  return errors_of(yaml + "\nupstream: \"127.0.0.1:7001\"\n");
}

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "pannier-config-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }

  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }

 private:
  std::string path_;
};

}  // namespace pannier::config
