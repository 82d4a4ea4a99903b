#include "pannier/route/topology.hpp"

namespace pannier::route {

const char* to_string(Role role) {
  switch (role) {
    case Role::Primary:
      return "primary";
    case Role::Replica:
      return "replica";
    case Role::Unknown:
      break;
  }
  return "unknown";
}

}  // namespace pannier::route
