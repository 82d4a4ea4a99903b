#pragma once

#include "pannier/config/loader.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::config {

// Where something stands in the file, 1-based; line 0: nowhere.
struct Place {
  int line = 0;
  int column = 0;
};

// Everything that is wrong or doubtful, gathered while the file is read.
class Faults {
 public:
  void error(Place place, std::string path, std::string message);
  void warning(Place place, std::string path, std::string message);

  [[nodiscard]] bool any() const { return !errors_.empty(); }

  // More than will be told: what comes now need not be explained.
  [[nodiscard]] bool enough() const { return errors_.size() > kMaxTold; }

  // An error at `path` or below: what is there must not be judged a second time.
  [[nodiscard]] bool touches(std::string_view path) const;
  // Both lists in file order; of very many errors the first ones and a count of the rest.
  void hand_over(std::vector<Issue>& errors, std::vector<Issue>& warnings);

 private:
  // Nobody mends more at once, and a hostile file would fill the terminal.
  static constexpr std::size_t kMaxTold = 100;

  std::vector<Issue> errors_;
  std::vector<Issue> warnings_;
};

}  // namespace pannier::config
