#pragma once

#include "pannier/admin/routes.hpp"
#include "pannier/proxy/context.hpp"

#include <functional>

namespace pannier::app {

// The admin port's actions on rehearsals of failure, where the configuration allows them. `deliver`
// runs what it is given on the control thread. `shared` outlives the sources.
void add_fault_sources(admin::AdminSources& sources,
                       proxy::Shared& shared,
                       const std::function<void(std::function<void()>)>& deliver);

}  // namespace pannier::app
