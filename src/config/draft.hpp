#pragma once

#include "pannier/config/config.hpp"
#include "pannier/config/policy.hpp"
#include "pannier/config/policy_loader.hpp"

#include "faults.hpp"

#include <string>
#include <vector>

namespace pannier::config {

// A setting that is `auto` until the whole file is read.
struct Automatic {
  bool is_auto = true;
  Place place;  // line 0: the file does not mention it
};

// What a file says, in the making, and what the last checks need to know of it.
struct Draft {
  Faults* faults = nullptr;

  Config config;  // of pannier.yaml
  bool kind_given = false;
  Automatic workers{false, {}};
  Automatic memory;
  Automatic near_cache;
  std::vector<std::string> node_paths;  // beside config.upstream.nodes

  // Whether the numbers of a limit are sizes.
  struct LimitUnits {
    bool rate = false;
    bool burst = false;
  };

  Policy policy;                  // of policy.yaml
  std::vector<LimitUnits> units;  // beside policy.limits
  std::vector<NamedCommand> commands;
  OnError on_error = OnError::Fail;  // of classes that do not say it themselves
};

}  // namespace pannier::config
