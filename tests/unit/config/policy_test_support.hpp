#pragma once

#include "pannier/config/policy_loader.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>

namespace pannier::config {

inline Texts policy_errors(std::string_view yaml) {
  return texts(load_policy(yaml).errors);
}

inline Texts policy_warnings(std::string_view yaml) {
  return texts(load_policy(yaml).warnings);
}

// The class of a file with one class, without a fault.
inline PolicyClass only_class(const std::string& yaml) {
  const auto result = load_policy("classes: [{ name: a, keys: [\"a:*\"], " + yaml + " }]");
  CHECK(texts(result.errors) == Texts{});
  return result.policy ? result.policy->classes.at(0) : PolicyClass{};
}

inline Texts class_errors(const std::string& yaml) {
  return policy_errors("classes: [{ name: a, keys: [\"a:*\"], " + yaml + " }]");
}

inline Texts class_warnings(const std::string& yaml) {
  return policy_warnings("classes: [{ name: a, keys: [\"a:*\"], " + yaml + " }]");
}

// "f:1:N: path: message" -> "path: message"
inline std::string without_place(const std::string& text) {
  return text.substr(text.find(' ') + 1);
}

}  // namespace pannier::config
