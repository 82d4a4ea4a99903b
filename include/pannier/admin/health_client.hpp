#pragma once

#include "pannier/base/address.hpp"

namespace pannier::admin {

// `pannier health`: asks GET /healthz on the probe port, at most 2 s, and prints one line. Returns
// the exit code: 0 healthy, 1 not. A wildcard address is asked on loopback.
[[nodiscard]] int run_health(const base::Endpoint& probe);

}  // namespace pannier::admin
