#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/proxy/worker.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace pannier::app {

// Do the workers' loops turn? Each question posts a ping to every worker; one that has not been
// answered for kPatience means that a loop hangs. No timer: an idle process stays idle. Used on the
// control thread; the pings are answered on the workers'.
class LoopCheck {
 public:
  static constexpr auto kPatience = std::chrono::seconds(5);

  explicit LoopCheck(const std::vector<std::unique_ptr<proxy::Worker>>& workers)
      : workers_(workers),
        pings_(workers.size()) {}

  [[nodiscard]] bool alive() {
    const base::TimePoint now = base::Clock::now();
    bool all = true;
    for (std::size_t i = 0; i < pings_.size(); ++i) {
      Ping& ping = pings_[i];
      if (!ping.outstanding.exchange(true)) {
        ping.since = now;
        workers_[i]->post([&ping](proxy::Context&) { ping.outstanding = false; });
      } else {
        all = all && now - ping.since < kPatience;
      }
    }
    return all;
  }

 private:
  struct Ping {
    std::atomic<bool> outstanding{false};
    base::TimePoint since{};
  };

  const std::vector<std::unique_ptr<proxy::Worker>>& workers_;
  std::vector<Ping> pings_;
};

}  // namespace pannier::app
