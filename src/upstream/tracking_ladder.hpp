#pragma once

#include "pannier/base/log.hpp"
#include "pannier/base/timer_queue.hpp"
#include "pannier/route/topology.hpp"
#include "pannier/upstream/tracking.hpp"

#include "tracking_link.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::upstream {

// What the ladders of all nodes share.
class TrackingHost {
 public:
  // See prefixes_to_register; empty: nothing is tracked.
  [[nodiscard]] virtual const std::vector<std::string>& prefixes() const = 0;
  // Has a canary written to the primary, of the kind that this link hears.
  [[nodiscard]] virtual TrackingSession::Source send_canary(TrackingLink& wisher) = 0;
  virtual void on_canary_answer(std::string_view value, std::string_view reply) = 0;
  // Some link has kept pushes for the next turn.
  virtual void on_kept() = 0;

 protected:
  ~TrackingHost() = default;
};

// One node's way down the ladder, and up again: begin -> a link's verdict -> settle, fall or retry.
// What is not at the top looks every kClimbEvery whether there is a better way, and goes on hearing
// meanwhile. Owned by Tracking::Impl; lives on worker 0. TrackingEvents may change the plan while
// they are told.
class TrackingLadder final : private TrackingLinkEvents {
 public:
  static constexpr auto kClimbEvery = std::chrono::seconds(60);

  TrackingLadder(Runtime& runtime, TrackingEvents& events, TrackingHost& host, route::NodeId id);
  ~TrackingLadder();
  TrackingLadder(const TrackingLadder&) = delete;
  TrackingLadder& operator=(const TrackingLadder&) = delete;

  // What the topology says of the node now. `primary`: the canary is to be written there.
  void update(const route::Node& seen, bool primary);
  // From the top, with what the host's prefixes are now.
  void restart(const std::string& reason);

  // The node is none any more.
  void remove() { lose("it is no node any more", base::LogLevel::Info); }

  // Ends it; nobody is told.
  void close();

  // Destroys what is closed; at the end of a turn only.
  void sweep() { dead_.clear(); }

  [[nodiscard]] const TrackingState& state() const { return state_; }

  [[nodiscard]] bool is_primary() const { return facts_.primary; }

  // The coherent link, and the one that tries to be; null: none.
  [[nodiscard]] TrackingLink* held() { return held_.get(); }

  [[nodiscard]] TrackingLink* trying() { return trying_.get(); }

  // To be called when one of its links got an input from elsewhere.
  void look_after(TrackingLink& link) { on_change(link); }

  // Reads on where a turn ended; true when that is not all yet.
  [[nodiscard]] bool read_kept();

 private:
  // What the topology says, as far as tracking depends on it.
  struct Facts {
    route::Node node;
    bool primary = false;
  };

  void on_change(TrackingLink& link) override;
  void on_heard(const TrackingLink& link, const TrackingInbox::Batch& batch) override;
  void on_canary_answer(std::string_view value, std::string_view reply) override;
  void on_kept() override;

  void begin();
  void begin_at_the_top();
  void settle();
  void settle_for_ttl();
  void end_of_held(TrackingSession::Verdict verdict, const std::string& reason);
  void end_of_try(TrackingSession::Verdict verdict, const std::string& reason);
  void fall(const std::string& reason);
  void retry_later();
  void climb_later();
  void lose(const std::string& reason, base::LogLevel level);
  void drop(std::unique_ptr<TrackingLink>& link, const std::string& reason);
  void report(TrackingLink& link);
  void arm();
  void on_time();
  [[nodiscard]] bool is_same_server(const std::string& before) const;

  Runtime& runtime_;
  TrackingEvents& events_;
  TrackingHost& host_;
  const route::NodeId id_;
  Facts facts_;
  TrackingState state_;
  std::unique_ptr<TrackingLink> held_;
  std::unique_ptr<TrackingLink> trying_;
  std::vector<std::unique_ptr<TrackingLink>> dead_;
  Rung rung_ = Rung::Resp3;            // of `trying_`, or of the next try
  std::string refusals_;               // why the rungs above it are not to be had
  std::array<std::string, 5> logged_;  // the last refusal of each rung that was logged
  std::string logged_failure_;
  unsigned failures_ = 0;
  base::TimerQueue::Id retry_;
  base::TimerQueue::Id climb_;
  base::TimerQueue::Id timer_;
  base::TimePoint timer_due_ = base::TimePoint::max();
  std::minstd_rand random_;
};

}  // namespace pannier::upstream
