#pragma once

#include "key_table.hpp"

// The tables of keys: what may stand in which file.
namespace pannier::config {

[[nodiscard]] const KeyTable& config_keys();  // pannier.yaml
[[nodiscard]] const KeyTable& policy_keys();  // policy.yaml

}  // namespace pannier::config
