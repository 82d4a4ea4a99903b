#include "faults.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pannier::config {
namespace {

void sort_by_place(std::vector<Issue>& issues) {
  std::stable_sort(issues.begin(), issues.end(), [](const Issue& a, const Issue& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
}

}  // namespace

void Faults::error(Place place, std::string path, std::string message) {
  errors_.push_back(Issue{place.line, place.column, std::move(path), std::move(message)});
}

void Faults::warning(Place place, std::string path, std::string message) {
  warnings_.push_back(Issue{place.line, place.column, std::move(path), std::move(message)});
}

bool Faults::touches(std::string_view path) const {
  return std::any_of(errors_.begin(), errors_.end(), [&](const Issue& issue) {
    if (!std::string_view(issue.path).starts_with(path)) {
      return false;
    }
    const auto rest = std::string_view(issue.path).substr(path.size());
    return rest.empty() || rest.front() == '.' || rest.front() == '[';
  });
}

void Faults::hand_over(std::vector<Issue>& errors, std::vector<Issue>& warnings) {
  sort_by_place(errors_);
  sort_by_place(warnings_);
  if (errors_.size() > kMaxTold) {
    const auto left_out = errors_.size() - kMaxTold;
    errors_.resize(kMaxTold);
    const Issue last = errors_.back();
    errors_.push_back(Issue{last.line,
                            last.column,
                            "",
                            "and " + std::to_string(left_out) + " more faults from here on"});
  }
  errors = std::move(errors_);
  warnings = std::move(warnings_);
}

}  // namespace pannier::config
