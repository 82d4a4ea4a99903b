#pragma once

#include "pannier/config/policy_loader.hpp"

namespace pannier::policy {

// What the loader cannot know: whether the commands and categories that the rules name exist, which
// is an error, and whether rules ever hold for them (behaviour 6.3, 7.1), which is a warning. Both
// come among those of the loader; with a new error the policy is gone. To be called once.
void check_commands(config::LoadPolicyResult& loaded);

}  // namespace pannier::policy
