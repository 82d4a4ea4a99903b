#include "pannier/upstream/tracking.hpp"

#include "tracking_ladder.hpp"
#include "tracking_requests.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

namespace pannier::upstream {
namespace {

// A descriptor that is always ready: who wants another turn at once waits for it.
int make_ready_descriptor() {
  const int descriptor = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) {
    throw std::system_error(errno, std::system_category(), "eventfd");
  }
  return descriptor;
}

std::string make_identity() {
  std::random_device random;
  return std::to_string(random()) + "-" + std::to_string(random());
}

}  // namespace

const char* to_string(Rung rung) {
  constexpr std::array<const char*, 5> kNames{"none", "resp3", "redirect", "channel", "ttl"};
  return kNames.at(static_cast<std::size_t>(rung));
}

struct Tracking::Impl final : TrackingHost, net::Pollable {
  Impl(Runtime& runtime_in, TrackingEvents& events_in)
      : runtime(runtime_in),
        events(events_in),
        ready(make_ready_descriptor()),
        identity(make_identity()) {
    runtime.poller.add(ready, this, 0, net::Urgency::Urgent);
  }

  ~Impl() {
    runtime.poller.remove(ready, this);
    ::close(ready);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void set_topology(route::TopologyPtr next) {
    topology = std::move(next);
    while (ladders.size() > topology->nodes.size()) {
      removed.push_back(std::move(ladders.back()));
      ladders.pop_back();
      removed.back()->remove();
    }
    while (ladders.size() < topology->nodes.size()) {
      const auto id = static_cast<route::NodeId>(ladders.size());
      ladders.push_back(std::make_unique<TrackingLadder>(runtime, events, *this, id));
    }
    for (const route::Node& node : topology->nodes) {
      // A single node may be a replica: then nobody here can write the canary.
      const bool primary = topology->primary == node.id && node.role != route::Role::Replica;
      ladders[node.id]->update(node, primary);
    }
  }

  void set_plan(policy::TrackingPlan next) {
    if (next == plan) {
      return;
    }
    plan = std::move(next);
    registered = plan.empty() ? std::vector<std::string>() : prefixes_to_register(plan);
    for (const auto& ladder : ladders) {
      ladder->restart(plan.empty() ? "nothing is tracked" : "the policy changed");
    }
  }

  [[nodiscard]] const std::vector<std::string>& prefixes() const override { return registered; }

  [[nodiscard]] TrackingSession::Source send_canary(TrackingLink& wisher) override {
    using Source = TrackingSession::Source;
    if (!topology->has_primary()) {
      return Source::Away;
    }
    TrackingLadder& primary = *ladders.at(topology->primary);
    if (!primary.is_primary()) {
      return Source::Never;
    }
    const Rung rung = wisher.session().goal().rung;
    const std::string value = identity + "-" + std::to_string(++canaries);
    for (TrackingLink* writer : {&wisher, primary.held(), primary.trying()}) {
      const bool may_write = writer != nullptr && writer->session().goal().primary;
      if (may_write && writer->write_canary(rung, value)) {
        for_each_link([&](TrackingLadder&, TrackingLink& link) {
          link.session().canary_sent(rung, value, runtime.now);
        });
        return Source::Sent;
      }
    }
    return primary.state().rung == Rung::Ttl ? Source::Never : Source::Away;
  }

  void on_canary_answer(std::string_view value, std::string_view reply) override {
    for_each_link([&](TrackingLadder& ladder, TrackingLink& link) {
      link.session().canary_answered(value, reply, runtime.now);
      ladder.look_after(link);
    });
  }

  template <typename Visit>
  void for_each_link(Visit&& visit) {
    for (const auto& ladder : ladders) {
      for (TrackingLink* link : {ladder->held(), ladder->trying()}) {
        if (link != nullptr && !link->is_over()) {
          visit(*ladder, *link);
        }
      }
    }
  }

  void on_kept() override { runtime.poller.modify(ready, this, EPOLLIN, net::Urgency::Urgent); }

  void on_events(std::uint32_t ready_events) override {
    static_cast<void>(ready_events);
    bool more = false;
    for (const auto& ladder : ladders) {
      more = ladder->read_kept() || more;
    }
    if (!more) {
      runtime.poller.modify(ready, this, 0, net::Urgency::Urgent);
    }
  }

  void sweep() {
    for (const auto& ladder : ladders) {
      ladder->sweep();
    }
    removed.clear();
  }

  void close_all() {
    registered.clear();
    for (const auto& ladder : ladders) {
      ladder->close();
    }
  }

  Runtime& runtime;
  TrackingEvents& events;
  int ready;
  const std::string identity;  // of this sidecar's canaries
  std::uint64_t canaries = 0;
  policy::TrackingPlan plan;
  std::vector<std::string> registered;
  route::TopologyPtr topology = std::make_shared<const route::Topology>();
  std::vector<std::unique_ptr<TrackingLadder>> ladders;
  std::vector<std::unique_ptr<TrackingLadder>> removed;
};

Tracking::Tracking(Runtime& runtime, TrackingEvents& events)
    : impl_(std::make_unique<Impl>(runtime, events)) {}

Tracking::~Tracking() = default;

void Tracking::set_topology(route::TopologyPtr topology) {
  impl_->set_topology(std::move(topology));
}

void Tracking::set_plan(policy::TrackingPlan plan) {
  impl_->set_plan(std::move(plan));
}

const TrackingState& Tracking::state(route::NodeId node) const {
  static const TrackingState kUnknown;
  return node < impl_->ladders.size() ? impl_->ladders[node]->state() : kUnknown;
}

void Tracking::sweep() {
  impl_->sweep();
}

void Tracking::close_all() {
  impl_->close_all();
}

}  // namespace pannier::upstream
