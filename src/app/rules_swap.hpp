#pragma once

#include "pannier/policy/rules.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/proxy/worker.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::app {

// Puts new rules into force on all workers, on none of which they ever meet anything that was kept
// by other rules:
// 1. the near cache is closed for the classes whose rules differ: nothing of them is kept or found;
// 2. each worker takes the rules, between two turns of its own;
// 3. when the last one has them, worker 0 asks upstream for changes as they say (which drops what
//    is tracked if that is another way than before), and the near cache is open again.
// One at a time. Owned by the application; used on the control thread.
class RulesSwap {
 public:
  RulesSwap(boost::asio::io_context& io,
            proxy::Shared& shared,
            const std::vector<std::unique_ptr<proxy::Worker>>& workers)
      : io_(io),
        shared_(shared),
        workers_(workers) {}

  // Calls `done` on the control thread when all of it is done.
  void begin(const policy::RulesPtr& rules,
             std::vector<policy::ClassId> dropped,
             std::function<void()> done);

 private:
  void one_has_them();

  boost::asio::io_context& io_;
  proxy::Shared& shared_;
  const std::vector<std::unique_ptr<proxy::Worker>>& workers_;
  std::vector<policy::ClassId> dropped_;
  std::function<void()> done_;
  std::size_t missing_ = 0;  // workers
};

}  // namespace pannier::app
