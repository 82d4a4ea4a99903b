#pragma once

#include "pannier/base/timer_queue.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/upstream/tracking.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pannier::proxy {

// What the tracker hears becomes true of the near cache, read-your-writes and leases. One per
// process, on worker 0.
class Coherence final : public upstream::TrackingEvents {
 public:
  explicit Coherence(Context& context);
  ~Coherence();
  Coherence(const Coherence&) = delete;
  Coherence& operator=(const Coherence&) = delete;

  void set_topology(const route::TopologyPtr& topology);
  // Context::rules are new ones, and all workers have them.
  void set_rules();

  void on_invalidated(route::NodeId node, std::span<const std::string_view> keys) override;
  void on_flushed(route::NodeId node) override;
  void on_coherent(route::NodeId node, const upstream::TrackingState& state) override;
  void on_lost(route::NodeId node, const std::string& reason) override;
  void on_proven(route::NodeId node, base::TimePoint at, base::Duration lag) override;

  [[nodiscard]] upstream::Tracking& tracking() { return tracking_; }

 private:
  void note_changed(std::uint64_t hash, std::vector<cache::Party>& woken);
  void watch_pushes();
  void leave_broadcast();
  [[nodiscard]] std::uint64_t fills_of(std::size_t id) const;
  void plan();
  // What the tracker knows, to where everybody may read it: when it tells something, and each
  // second, because it tells nothing of what fails again and again.
  void show_states();
  void show_states_again();

  Context& context_;
  upstream::Tracking tracking_;
  route::TopologyPtr topology_;
  policy::RulesPtr rules_;                 // that the plan was made for
  std::vector<policy::ClassId> kept_out_;  // of BCAST: they push far more than they fill
  std::vector<std::uint64_t> pushes_;      // per class, when it was looked at last
  std::vector<std::uint64_t> fills_;
  bool tracks_ = false;  // the plan is not empty
  base::TimerQueue::Id show_timer_;
  base::TimerQueue::Id push_timer_;
};

}  // namespace pannier::proxy
