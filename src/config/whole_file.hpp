#pragma once

#include "document.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace pannier::config {

// A file that was read whole: what it has, and faults that only the whole tells. Paths are those of
// messages, such as "upstream.nodes[1].address"; their indices are in range.
class WholeFile {
 public:
  // Both outlive it.
  WholeFile(const Value& root, Faults& faults) : root_(&root), faults_(&faults) {}

  // The deepest part of `path` that the file has; the root when it has none.
  struct Found {
    const Value* value;
    std::string path;
  };

  [[nodiscard]] Found find(std::string_view path) const;

  [[nodiscard]] bool given(std::string_view path) const { return find(path).path == path; }

  // A fault in the parts is told already.
  [[nodiscard]] bool sound(std::string_view path) const { return !faults_->touches(path); }

  void error(std::string_view path, std::string message);
  void warn(std::string_view path, std::string message);

 private:
  const Value* root_;
  Faults* faults_;
};

// "listen[2]"
[[nodiscard]] std::string indexed(std::string_view list, std::size_t i);

}  // namespace pannier::config
