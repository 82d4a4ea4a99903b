#include "pannier/config/policy_loader.hpp"

#include "file_kind.hpp"
#include "files.hpp"
#include "keys.hpp"

#include <algorithm>
#include <utility>

namespace pannier::config {

LoadPolicyResult load_policy(std::string_view yaml) {
  LoadPolicyResult result;
  Faults faults;
  Draft draft;
  draft.faults = &faults;
  const std::string nowhere;
  read_as(FileKind{&policy_keys(), finish_policy}, yaml, {nullptr, &nowhere, ""}, draft);
  if (!faults.any()) {
    result.policy = std::move(draft.policy);
  }
  result.commands = std::move(draft.commands);
  faults.hand_over(result.errors, result.warnings);
  return result;
}

LoadPolicyResult load_policy_file(const std::string& path) {
  std::string problem;
  auto text = read_small_file(path, kMaxFile, problem);
  if (!text) {
    LoadPolicyResult result;
    result.errors.push_back(Issue{0, 0, "", "cannot be read: " + problem});
    return result;
  }
  auto result = load_policy(*text);
  result.text = std::move(*text);
  return result;
}

bool is_policy_file(const std::string& path) {
  std::string problem;
  const auto text = read_small_file(path, kMaxFile, problem);
  Value root;
  Faults ignored;
  if (!text || (!parse_document(*text, root, ignored) && root.kind != Value::Kind::Map)) {
    return false;
  }
  const auto has = [&](std::string_view key) {
    return std::any_of(
        root.items.begin(), root.items.end(), [&](const Value& v) { return v.key == key; });
  };
  return (has("classes") || has("limits") || has("deny") || has("read_only")) && !has("upstream");
}

}  // namespace pannier::config
