#include "pannier/proxy/worker.hpp"

#include "pannier/base/log.hpp"
#include "pannier/net/socket.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "coherence.hpp"
#include "gather.hpp"
#include "introspection.hpp"
#include "memory_keeper.hpp"
#include "policy_stage.hpp"
#include "reply_router.hpp"
#include "request_handler.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using std::chrono::milliseconds;

// Deadlines are looked at this coarsely: one timer serves many requests.
constexpr auto kTick = milliseconds(10);
constexpr auto kHousekeeping = std::chrono::seconds(10);
constexpr std::uint32_t kTouchEvery = 6;     // housekeepings
constexpr std::size_t kWorthTrimming = 256;  // sessions

}  // namespace

struct Worker::Impl final : net::TurnHooks {
  Impl(Shared& shared, std::uint32_t index) : context(*this, router, shared, index) {
    router.bind(context);
    bind_rules(context);
    bind_upstream();
    if (index == 0) {
      coherence = std::make_unique<Coherence>(context);
    }
  }

  void bind_upstream() {
    upstream::Runtime& runtime = context.runtime;
    runtime.connect_budget = &context.shared.connect_budget;
    runtime.report = [&shared = context.shared](route::NodeId node, route::Failure failure) {
      if (shared.report && !shared.draining) {
        shared.report(node, failure, 1);
      }
    };
    runtime.wake_pinned = [this](std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        wake_pinned_waiter(context);
      }
      return !context.pinned_waiters.empty();
    };
  }

  // A listening socket of this worker.
  struct Acceptor final : net::Pollable {
    Acceptor(Impl& worker, int socket, std::function<void(int)> accepted)
        : impl(worker),
          descriptor(socket),
          accept(std::move(accepted)) {
      impl.context.runtime.poller.add(descriptor, this, EPOLLIN);
    }

    ~Acceptor() {
      impl.context.runtime.timers.cancel(rest_timer);
      impl.context.runtime.poller.remove(descriptor, this);
      ::close(descriptor);
    }

    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;

    void on_events(std::uint32_t events) override {
      static_cast<void>(events);
      for (;;) {
        const net::Accepted accepted = net::accept_from(descriptor);
        if (accepted.descriptor >= 0) {
          accept(accepted.descriptor);
        } else if (accepted.error == 0) {
          return;
        } else {
          rest(accepted.error);
          return;
        }
      }
    }

    // Out of descriptors or memory: asking again at once would spin.
    void rest(int error) {
      base::log_error("listener",
                      "cannot accept: {}; trying again in 100 ms; raise the open files limit",
                      net::errno_text(error));
      impl.context.runtime.poller.modify(descriptor, this, 0);
      rest_timer = impl.context.runtime.timers.add(
          impl.context.runtime.now + milliseconds(100),
          [this] { impl.context.runtime.poller.modify(descriptor, this, EPOLLIN); });
    }

    Impl& impl;
    int descriptor;
    std::function<void(int)> accept;
    base::TimerQueue::Id rest_timer;
  };

  void begin_turn() override {
    context.runtime.now = base::Clock::now();
    context.runtime.metrics.turns.add();
  }

  void end_turn() override {
    if (wake_at && *wake_at <= context.runtime.now) {
      wake_at.reset();
      run_deadlines();
    }
    resume_awake();
    flush();
    context.lanes.note_oldest();
    context.lanes.sweep();
    context.pinned.sweep();
    context.sessions.sweep();
    if (coherence) {
      coherence->tracking().sweep();
    }
    keeper.end_turn();
    context.runtime.metrics.output_bytes.set(
        static_cast<std::int64_t>(context.runtime.blocks.used_bytes()));
    note_deadline();
    if (drained && context.sessions.size() == 0) {
      std::exchange(drained, nullptr)();
    }
  }

  // Requests that waited are tried again; what they send goes out with this turn.
  void resume_awake() {
    while (!context.awake.empty()) {
      const auto refs = std::exchange(context.awake, {});
      for (const upstream::SessionRef ref : refs) {
        if (Session* session = context.sessions.find(ref)) {
          session->resume();
        }
      }
    }
  }

  // Lanes first: what they fail to write is answered to sessions, which are flushed then.
  void flush() {
    while (!context.runtime.unflushed.empty() || !context.unflushed.empty()) {
      while (!context.runtime.unflushed.empty()) {
        upstream::Connection* connection = context.runtime.unflushed.back();
        context.runtime.unflushed.pop_back();
        connection->flush();
      }
      while (!context.unflushed.empty()) {
        const upstream::SessionRef ref = context.unflushed.back();
        context.unflushed.pop_back();
        if (Session* session = context.sessions.find(ref)) {
          session->flush();
        }
      }
      resume_awake();
    }
  }

  [[nodiscard]] std::optional<base::TimePoint> next_deadline() const {
    const auto request = context.runtime.deadlines.next();
    const auto other = context.runtime.timers.next();
    if (!request || !other) {
      return request ? request : other;
    }
    return std::min(*request, *other);
  }

  // A sleep that ends earlier than it had to looks again.
  void note_deadline() {
    const auto next = next_deadline();
    if (next && (!wake_at || *next + kTick < *wake_at)) {
      wake_at = *next + kTick;
    }
  }

  void run_deadlines() {
    std::vector<upstream::Deadlines::Due> due;
    context.runtime.deadlines.expire(context.runtime.now, due);
    for (const upstream::Deadlines::Due& each : due) {
      router.time_out(each.index, each.kind);
    }
    context.runtime.timers.run(context.runtime.now);
  }

  void housekeep() {
    context.lanes.housekeep();
    context.pinned.housekeep();
    give_memory_back();
    if (++housekeepings % kTouchEvery == 0) {
      touch_hot_keys(context);
    }
    if (coherence) {
      constexpr std::size_t kAtOnce = 10000;
      context.shared.near_cache.expire_some(context.runtime.now, kAtOnce);
    }
    context.runtime.timers.add(context.runtime.now + kHousekeeping, [this] { housekeep(); });
  }

  // After many sessions have gone the allocator keeps their pages; the orchestrator counts them.
  void give_memory_back() {
    const auto accepted = context.runtime.metrics.sessions_accepted.value();
    const std::uint64_t closed = accepted - context.sessions.size();
    const bool many_left = closed - closed_at_trim > kWorthTrimming;
    keeper.give_back(many_left);
    closed_at_trim = many_left ? closed : closed_at_trim;
  }

  void add_client(const NewClient& client) {
    const upstream::SessionRef ref = context.sessions.reserve();
    auto session = std::make_unique<Session>(
        context, ref, std::make_unique<net::SocketTransport>(client.descriptor), *client.listener);
    introduce(*session, client);
    context.runtime.metrics.sessions_accepted.add();
    context.sessions.put(ref, std::move(session));
  }

  void introduce(Session& session, const NewClient& client) {
    const config::Config& config = context.shared.config;
    session.state.id = context.shared.next_session_id.fetch_add(1);
    session.state.fd = client.descriptor;
    session.state.authenticated = config.users.empty();
    session.state.created = session.state.last_active = context.runtime.now;
    if (client.listener->address.is_unix()) {
      session.state.local_address = session.state.remote_address =
          client.listener->address.unix_path + ":0";
    } else {
      session.state.remote_address = net::peer_address(client.descriptor).to_string();
      session.state.local_address = net::local_address(client.descriptor).to_string();
    }
  }

  void set_rules(policy::RulesPtr rules) {
    context.rules = std::move(rules);
    bind_rules(context);
    if (context.rules->any_cache) {
      // What a transaction has queued was not looked at by these rules.
      context.sessions.for_each([](Session& session) {
        session.pinned.written_all = session.pinned.written_all || session.pinned.multi;
      });
    }
  }

  void drain_sessions() {
    std::vector<Session*> sessions;
    context.sessions.for_each([&](Session& session) { sessions.push_back(&session); });
    for (Session* session : sessions) {
      static_cast<void>(unblock(context, *session, false));
      session->drain();
    }
  }

  std::atomic<bool> stopping{false};
  std::optional<base::TimePoint> wake_at;  // for what is due; empty: nothing is
  ReplyRouter router;
  Context context;
  MemoryKeeper keeper{context};
  std::unique_ptr<Coherence> coherence;  // on worker 0
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  std::function<void()> drained;
  std::uint64_t closed_at_trim = 0;
  std::uint32_t housekeepings = 0;
};

Worker::Worker(Shared& shared, std::uint32_t index)
    : impl_(std::make_unique<Impl>(shared, index)) {}

Worker::~Worker() {
  impl_->acceptors.clear();
  impl_->coherence.reset();
  impl_->context.lanes.close_all("shutting down");
  impl_->context.pinned.close_all("shutting down");
}

void Worker::run() {
  impl_->begin_turn();
  impl_->housekeep();
  if (impl_->coherence) {
    impl_->coherence->set_rules();
  }
  impl_->end_turn();
  while (!impl_->stopping.load(std::memory_order_relaxed)) {
    impl_->context.runtime.poller.run_turn(impl_->wake_at);
  }
}

void Worker::stop() {
  impl_->stopping.store(true, std::memory_order_relaxed);
  impl_->context.runtime.poller.wake();
}

void Worker::post(std::function<void(Context&)> action) {
  impl_->context.runtime.poller.post(
      [&context = impl_->context, action = std::move(action)] { action(context); });
}

void Worker::set_topology(route::TopologyPtr topology) {
  post([impl = impl_.get(), topology = std::move(topology)](Context& context) {
    context.topology = topology;
    context.ready_nodes = static_cast<std::uint32_t>(
        std::count_if(topology->nodes.begin(), topology->nodes.end(), [](const route::Node& node) {
          return node.ready || node.spare;
        }));
    if (impl->coherence) {
      impl->coherence->set_topology(topology);
    }
    context.lanes.set_topology(topology);
    context.pinned.set_topology(topology);
    context.sessions.for_each([](Session& session) {
      session.wake(Waiting::Topology);
      session.wake(Waiting::Node);
      session.wake(Waiting::Retry);
    });
  });
}

void Worker::set_rules(policy::RulesPtr rules, std::function<void()> done) {
  post([impl = impl_.get(), rules = std::move(rules), done = std::move(done)](Context&) {
    impl->set_rules(rules);
    done();
  });
}

void Worker::follow_rules(std::vector<policy::ClassId> closed, std::function<void()> done) {
  post([impl = impl_.get(), closed = std::move(closed), done = std::move(done)](Context& context) {
    impl->coherence->set_rules();
    for (const policy::ClassId id : closed) {
      context.shared.near_cache.open_class(id);
      if (context.shared.shadow) {
        context.shared.shadow->open_class(id);
      }
    }
    done();
  });
}

void Worker::add_client(const NewClient& client) {
  post([impl = impl_.get(), client](Context&) { impl->add_client(client); });
}

void Worker::listen(int descriptor, std::function<void(int)> accept) {
  post([impl = impl_.get(), descriptor, accept = std::move(accept)](Context&) {
    impl->acceptors.push_back(std::make_unique<Impl::Acceptor>(*impl, descriptor, accept));
  });
}

void Worker::stop_listening() {
  post([impl = impl_.get()](Context&) { impl->acceptors.clear(); });
}

void Worker::drain(std::function<void()> done) {
  post([impl = impl_.get(), done = std::move(done)](Context&) {
    impl->drained = done;
    impl->drain_sessions();
  });
}

void Worker::count_refused(metrics::CloseReason reason) {
  impl_->context.runtime.metrics.sessions_closed.at(static_cast<std::size_t>(reason)).add();
}

const metrics::WorkerMetrics& Worker::metrics() const {
  return impl_->context.runtime.metrics;
}

std::int64_t Worker::session_count() const {
  return impl_->context.runtime.metrics.sessions.value();
}

}  // namespace pannier::proxy
