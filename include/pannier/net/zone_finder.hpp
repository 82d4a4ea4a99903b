#pragma once

#include "pannier/config/config.hpp"

#include <functional>
#include <string>

namespace boost::asio {
class io_context;
}

namespace pannier::net {

// `zone`: its name, or empty when it is not known. `source`: where it is from, or why it is not
// known.
using ZoneFound = std::function<void(std::string zone, std::string source)>;

// Finds the availability zone that this instance runs in; the first of these that knows: `zone` of
// the configuration, the variable PANNIER_ZONE, `zone_file`, the ECS metadata endpoint where ECS
// names one, and, only where `zone: imds` asks for it, the EC2 metadata service. Calls `found`
// once: before it returns when nothing had to be asked over the network, else on `io` within 1 s.
// Not knowing is no fault: one line in the log says which it was. Control thread only.
void find_zone(boost::asio::io_context& io, const config::Config& config, ZoneFound found);

}  // namespace pannier::net
