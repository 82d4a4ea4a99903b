#include "open_files.hpp"

#include "pannier/base/log.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace pannier::app {

void raise_open_files(std::uint64_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) {
    return;
  }
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    base::log_warn(
        "app",
        "the open files limit is {}; maxclients needs {}: further clients will be refused",
        limit.rlim_cur,
        wanted);
  }
}

}  // namespace pannier::app
