#include "pannier/config/loader.hpp"

#include "pannier/base/bytes.hpp"

#include "checks.hpp"
#include "document.hpp"
#include "files.hpp"
#include "keys.hpp"
#include "reader.hpp"

#include <exception>
#include <utility>

namespace pannier::config {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;

void read_all(std::string_view yaml, const Surroundings& around, Draft& draft) {
  if (yaml.size() > kMaxFile) {
    draft.faults->error({}, "", "is larger than " + base::human_bytes(kMaxFile));
    return;
  }
  Value root;
  if (!parse_document(yaml, root, *draft.faults)) {
    return;
  }
  Reader(draft, *around.environment, *around.directory).read(root);
  if (root.kind == Value::Kind::Map) {
    finish(draft, root, around);
  }
}

LoadResult load_named(std::string_view yaml, const Surroundings& around) {
  LoadResult result;
  Faults faults;
  Draft draft;
  draft.faults = &faults;
  try {
    read_all(yaml, around, draft);
  } catch (const std::exception& error) {
    faults.error({}, "", std::string("cannot be read: ") + error.what());
  }
  const bool good = !faults.any();
  faults.hand_over(result);
  if (good) {
    result.config = std::move(draft.config);
  }
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
