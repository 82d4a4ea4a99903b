#pragma once

#include "pannier/config/glob.hpp"
#include "pannier/config/policy.hpp"
#include "pannier/policy/request_screen.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace pannier::policy {

// Which classes the keys that a rule looks at may belong to. Only needed while rules are compiled.
class ClassReach {
 public:
  explicit ClassReach(const config::Policy& policy);

  // Of a rule with these globs, or with none. As far as the globs' beginnings tell: it may name
  // more classes than there are keys of, never fewer.
  [[nodiscard]] RequestScreen::Classes of_keys(const std::vector<std::string>& globs) const;
  // Of a rule for one class.
  [[nodiscard]] RequestScreen::Classes of_class(ClassId id) const;

 private:
  struct ClassKeys {
    std::string prefix;
    config::Glob glob;
    ClassId id = kNoClass;
  };

  [[nodiscard]] bool has_class_always(const config::Glob& glob, const std::string& prefix) const;

  std::size_t words_;
  std::vector<ClassKeys> keys_;
};

}  // namespace pannier::policy
