#pragma once

#include <string>

// JSON Schemas (draft 7) of the two files, for editors: made from the tables of keys, so they know
// every key, its values and its default. What only the whole file tells (min over max, globs that
// tie) only the loader finds. Each is the text of a file, with its last line's end.
namespace pannier::config {

[[nodiscard]] std::string config_schema();  // of pannier.yaml
[[nodiscard]] std::string policy_schema();  // of policy.yaml

}  // namespace pannier::config
