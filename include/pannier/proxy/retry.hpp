#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/resp/protocol.hpp"
#include "pannier/route/topology.hpp"

#include <cstdint>
#include <string>

namespace pannier::proxy {

using metrics::RetryReason;

// A request that is to be handled once more in the place it has in the order of replies. Owned by
// its session; while there is any, the session parses nothing.
struct Retry {
  std::uint32_t place = 0;
  bool is_write = false;
  bool silent = false;   // CLIENT REPLY OFF/SKIP
  bool is_last = false;  // it may have run: it is not sent a third time
  bool is_over = false;  // no further try: what can be said without upstream, else `error`
  resp::Version version = resp::Version::Resp2;
  std::uint32_t db = 0;
  route::NodeId from = route::kNoNode;  // not that node, if there is another
  bool needs_quiet = false;             // nothing else of its session may be in flight
  bool needs_primary = false;           // it was refused with READONLY by `from`
  std::uint8_t tries = 0;
  std::uint64_t generation = 0;  // of the topology when it failed
  base::TimePoint not_before{};  // unless the topology changes
  base::TimePoint started{};
  base::TimePoint due{};  // its deadline
  std::string request;    // its bytes, as an array
  std::string error;
};

}  // namespace pannier::proxy
