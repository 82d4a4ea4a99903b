#include "whole_file.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <utility>

namespace pannier::config {

WholeFile::Found WholeFile::find(std::string_view path) const {
  Found found{root_, ""};
  while (!path.empty() && found.value->kind != Value::Kind::Scalar) {
    const bool element = path.front() == '[';
    const auto end = element ? path.find(']') + 1 : std::min(path.find_first_of(".["), path.size());
    const auto step = path.substr(0, end);
    const Value* next = nullptr;
    if (element) {
      const auto index = base::parse_int(step.substr(1, step.size() - 2)).value_or(0);
      next = &found.value->items.at(static_cast<std::size_t>(index));
    } else {
      const auto& items = found.value->items;
      const auto at =
          std::find_if(items.begin(), items.end(), [&](const Value& v) { return v.key == step; });
      next = at == items.end() ? nullptr : &*at;
    }
    if (next == nullptr) {
      break;
    }
    found.path += (element || found.path.empty() ? "" : ".") + std::string(step);
    found.value = next;
    path.remove_prefix(end);
    path.remove_prefix(path.starts_with('.') ? 1 : 0);
  }
  return found;
}

void WholeFile::error(std::string_view path, std::string message) {
  const auto found = find(path);
  faults_->error(found.value->where(), found.path, std::move(message));
}

void WholeFile::warn(std::string_view path, std::string message) {
  const auto found = find(path);
  faults_->warning(found.value->where(), found.path, std::move(message));
}

std::string indexed(std::string_view list, std::size_t i) {
  return std::string(list) + "[" + std::to_string(i) + "]";
}

}  // namespace pannier::config
