#pragma once

#include "pannier/proxy/worker.hpp"

#include <memory>
#include <vector>

namespace pannier::proxy {
struct Shared;
}

namespace pannier::app {

// Who gets in, and to which worker: the one with the fewest sessions. Turned away with a plain
// error: whoever comes above maxclients, and while memory is used up who comes above kAtLeast.
// Called on worker 0's thread.
class Admission {
 public:
  static constexpr std::uint32_t kAtLeast = 64;  // clients

  // Both outlive it.
  Admission(proxy::Shared& shared, const std::vector<std::unique_ptr<proxy::Worker>>& workers)
      : shared_(&shared),
        workers_(&workers) {}

  void admit(const proxy::NewClient& client);

 private:
  proxy::Shared* shared_;
  const std::vector<std::unique_ptr<proxy::Worker>>* workers_;
};

}  // namespace pannier::app
