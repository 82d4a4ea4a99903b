#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/route/topology.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

namespace pannier::upstream {

// Decides whether requests are sent to one node, from what workers saw go wrong and from the
// prober's own questions. Pure: events and time in. Owned by the ProbeLoop, control thread only.
//
// - A node that does not answer the prober is opened at the second failed probe, once the trouble
//   has lasted kRideOut: a restart that is over sooner is waited out by the requests. Not while
//   workers still get replies: then only the prober has a problem, such as maxclients. The first
//   probe that is answered makes it usable at once.
// - A node that answers the prober, but not the workers, is opened by kConsecutive failures without
//   a reply between, or by half of at least kLeast requests in the last kWindow seconds. It rests
//   for a period that doubles each time, up to kLongest; kStable without trouble forgives.
// - Half-open it serves; three answered probes close it, failures that outweigh replies open it.
class Breaker {
 public:
  using State = route::BreakerState;

  static constexpr auto kRideOut = std::chrono::milliseconds(300);
  static constexpr std::uint32_t kConsecutive = 5;
  static constexpr std::uint64_t kLeast = 20;  // requests
  static constexpr std::size_t kWindow = 10;   // seconds
  static constexpr auto kFirst = std::chrono::milliseconds(500);
  static constexpr auto kLongest = std::chrono::seconds(2);
  static constexpr auto kStable = std::chrono::seconds(60);
  static constexpr unsigned kGoodProbes = 3;
  // What fails this soon after a node was half-opened began before it.
  static constexpr auto kSettle = std::chrono::milliseconds(100);

  struct Transition {
    State from = State::Closed;
    State to = State::Closed;
    base::Duration lasted{};  // how long it was in `from`
    std::string reason;
  };

  Breaker(std::uint32_t seed, base::TimePoint now) : random_(seed), changed_at_(now) {}

  // Replies of the node so far, over all workers.
  void count_replies(std::uint64_t total, base::TimePoint now);
  // `spared`: it is the primary and answers the prober, or no other node is ready; workers'
  // failures never open it then (behaviour 6.1).
  void count_failures(route::Failure failure,
                      std::uint32_t count,
                      bool spared,
                      base::TimePoint now);
  // `began`: when the node was asked.
  void probe_failed(const std::string& error, base::TimePoint began, base::TimePoint now);
  // `is_needed`: the primary, or a node besides which none can serve. Such a one never rests.
  void probe_answered(bool is_needed, base::TimePoint now);

  [[nodiscard]] State state() const { return state_; }

  // What the last call changed, once.
  [[nodiscard]] std::optional<Transition> take_transition();

 private:
  struct Second {
    std::int64_t number = -1;
    std::uint64_t replies = 0;
    std::uint64_t failures = 0;
  };

  [[nodiscard]] Second& second_of(base::TimePoint now);
  [[nodiscard]] std::string why_too_many(base::TimePoint now);
  [[nodiscard]] base::Duration next_rest(bool unreachable);
  void open(std::string reason, bool unreachable, base::TimePoint now);
  void change(State to, std::string reason, base::TimePoint now);
  void forget_traffic();

  std::minstd_rand random_;
  State state_ = State::Closed;
  base::TimePoint changed_at_;
  base::TimePoint rests_until_{};
  unsigned level_ = 0;  // how often it was opened since it was stable
  std::optional<std::uint64_t> replies_seen_;
  std::uint64_t replies_between_ = 0;  // since it was half-opened
  std::uint64_t failures_between_ = 0;
  std::uint32_t consecutive_ = 0;
  std::array<Second, kWindow> seconds_{};
  bool replied_ = false;        // since the last failed probe
  unsigned failed_probes_ = 0;  // in a row
  unsigned good_probes_ = 0;    // while half-open
  base::TimePoint trouble_since_{};
  std::optional<Transition> transition_;
};

[[nodiscard]] const char* to_string(route::Failure failure);

}  // namespace pannier::upstream
