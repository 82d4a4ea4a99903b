#include "pannier/config/loader.hpp"

#include "file_kind.hpp"
#include "files.hpp"
#include "keys.hpp"

#include <utility>

namespace pannier::config {
namespace {

LoadResult load_named(std::string_view yaml, const Surroundings& around) {
  LoadResult result;
  Faults faults;
  Draft draft;
  draft.faults = &faults;
  read_as(FileKind{&config_keys(), finish_config}, yaml, around, draft);
  if (!faults.any()) {
    result.config = draft.config;
  }
  faults.hand_over(result.errors, result.warnings);
  result.policy = std::move(draft.config.policy);
  return result;
}

}  // namespace

std::string Issue::to_string(std::string_view file) const {
  std::string out(file);
  if (line > 0) {
    out += ":" + std::to_string(line) + ":" + std::to_string(column);
  }
  if (!path.empty()) {
    out += ": " + path;
  }
  return out + ": " + message;
}

LoadResult load(std::string_view yaml,
                const std::string& directory,
                const Environment& environment) {
  return load_named(yaml, Surroundings{&environment, &directory, ""});
}

LoadResult load_file(const std::string& path, const Environment& environment) {
  std::string problem;
  const auto text = read_small_file(path, kMaxFile, problem);
  if (!text) {
    LoadResult result;
    result.errors.push_back(Issue{0, 0, "", "cannot be read: " + problem});
    return result;
  }
  const auto slash = path.rfind('/');
  const auto directory = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
  return load_named(*text, Surroundings{&environment, &directory, path});
}

}  // namespace pannier::config
