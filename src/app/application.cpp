#include "pannier/app/application.hpp"

#include "pannier/admin/http_server.hpp"
#include "pannier/admin/routes.hpp"
#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/command/command.hpp"
#include "pannier/config/describe.hpp"
#include "pannier/metrics/registry.hpp"
#include "pannier/net/socket.hpp"
#include "pannier/net/zone_finder.hpp"
#include "pannier/proxy/cache_actions.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/proxy/fault_actions.hpp"
#include "pannier/proxy/near_cache_state.hpp"
#include "pannier/proxy/worker.hpp"
#include "pannier/upstream/prober.hpp"

#include "admission.hpp"
#include "breaker_wiring.hpp"
#include "crash_report.hpp"
#include "fault_sources.hpp"
#include "loop_check.hpp"
#include "open_files.hpp"
#include "policy_watcher.hpp"
#include "rules_swap.hpp"
#include "views.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace pannier::app {
namespace {

using base::log_error;
using base::log_info;
using base::log_warn;

// SIGTERM: the orchestrator needs a moment to stop sending; then clients are closed at their reply
// boundaries.
constexpr auto kDrainGrace = std::chrono::seconds(5);
constexpr auto kDrainDeadline = std::chrono::seconds(10);

bool reads_from_replicas(const config::Config& config) {
  return config.reads != config::Reads::Primary ||
         std::any_of(config.listen.begin(), config.listen.end(), [](const auto& listener) {
           return listener.reads && *listener.reads != config::Reads::Primary;
         });
}

}  // namespace

const char* version() {
  return PANNIER_VERSION;
}

struct Application::Impl {
  Impl(config::Config configuration, config::Policy rules, const std::string& policy_text)
      : config(std::move(configuration)),
        shared(config),
        registry({PANNIER_VERSION, PANNIER_REVISION, __VERSION__}),
        signals(io, SIGTERM, SIGINT),
        hangups(io, SIGHUP),
        drain_timer(io),
        prober(io, config, shared.recent_writes, [this](const route::TopologyPtr& topology) {
          publish(topology);
        }) {
    const bool has_policy = !config.policy.empty();
    shared.rules =
        policy::compile(std::move(rules),
                        nullptr,
                        has_policy ? policy::Origin{1, hash_of(policy_text)} : policy::Origin{});
    // A policy may come to need them while writes are in flight.
    shared.remember_writes = reads_from_replicas(config) || has_policy;
    if (has_policy) {
      shared.shadow = std::make_unique<cache::NearCache>(config.near_cache);
    }
    shared.version = fmt::format("pannier {}", PANNIER_VERSION);
    shared.started_unix = std::time(nullptr);
    shared.refresh_topology = [this] {
      prober.refresh();
    };
    wire_breakers(prober, shared, registry);
    prober.set_on_lookup([this](const metrics::DnsState& state) { registry.set_dns(state); });
    shared.post = [this](std::uint32_t worker, std::function<void(proxy::Context&)> action) {
      workers.at(worker)->post(std::move(action));
    };
    for (std::uint32_t i = 0; i < config.workers; ++i) {
      workers.push_back(std::make_unique<proxy::Worker>(shared, i));
      registry.add_worker(&workers.back()->metrics());
      shared.metrics.push_back(&workers.back()->metrics());
    }
    std::vector<std::string_view> names;
    for (const command::CommandSpec& row : command::table()) {
      names.push_back(row.name);
    }
    registry.set_command_names(std::move(names));
    registry.set_facts({config.memory, config.maxclients, false, "", ""});
    registry.set_classes(proxy::class_facts(*shared.rules));
    if (has_policy) {
      watch_policy();
    }
    registry.set_near_cache_source([this](std::size_t classes) {
      return proxy::near_cache_state(shared, classes, base::Clock::now());
    });
    registry.set_faults_source([this] { return proxy::fault_states(shared, base::Clock::now()); });
    registry.set_memory_source([this] { return memory_state(shared.memory); });
    registry.set_rules_source(
        [this] { return proxy::rules_state(shared.rule_state, base::Clock::now()); });
  }

  void watch_policy() {
    PolicyWatcher::Hooks hooks;
    hooks.swap = [this](const auto& rules, const auto& dropped, std::function<void()> done) {
      swap.begin(rules, dropped, [this, rules, done = std::move(done)] {
        registry.set_classes(proxy::class_facts(*rules));
        warn_of_large_values(*rules);
        done();
      });
    };
    hooks.publish = [this](const metrics::PolicyState& state) {
      shared.policy_status.set(state);
      registry.set_policy(state);
    };
    policy = std::make_unique<PolicyWatcher>(io, config.policy, shared.rules, std::move(hooks));
  }

  void reload(const char* reason, const ReloadDone& done) {
    if (policy) {
      policy->reload(reason, done);
    } else {
      done({false, "there is nothing to reload: pannier.yaml names no `policy`"});
    }
  }

  void wait_for_hangup() {
    hangups.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) {
        reload("SIGHUP",
               [](const ReloadAnswer& answer) { log_info("app", "SIGHUP: {}", answer.text); });
        wait_for_hangup();
      }
    });
  }

  void warn_of_large_values(const policy::Rules& rules) const {
    const std::size_t largest = shared.near_cache.largest_reply();
    for (const config::PolicyClass& each : rules.policy.classes) {
      if (each.cache && each.cache->max_value > largest) {
        log_warn("app",
                 "class {}: max_value {} is more than this near cache of {} keeps of one value, "
                 "which is {}; raise `near_cache` in pannier.yaml or lower max_value",
                 each.name,
                 base::human_bytes(each.cache->max_value),
                 base::human_bytes(shared.near_cache.budget()),
                 base::human_bytes(largest));
      }
    }
  }

  void publish(const route::TopologyPtr& topology) {
    std::vector<metrics::NodeState> nodes;
    for (const route::Node& node : topology->nodes) {
      nodes.push_back(node_state(node));
    }
    registry.set_nodes(std::move(nodes), topology->generation);
    registry.set_facts({config.memory,
                        config.maxclients,
                        shared.draining.load(),
                        topology->own_zone,
                        topology->server_version});
    for (const auto& worker : workers) {
      worker->set_topology(topology);
    }
  }

  // All listeners or none: a proxy that half listens is worse than one that says why it does not.
  [[nodiscard]] bool open_listeners() {
    std::vector<int> sockets;
    for (const config::Listener& listener : config.listen) {
      std::string reason;
      const int socket = net::listen_on(listener.address, listener.mode, reason);
      if (socket < 0) {
        log_error("app",
                  "cannot listen on {}: {}; choose another `listen` address or stop what uses it",
                  listener.address.to_string(),
                  reason);
        std::for_each(sockets.begin(), sockets.end(), ::close);
        return false;
      }
      sockets.push_back(socket);
    }
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      workers[0]->listen(sockets[i], [this, listener = &config.listen[i]](int descriptor) {
        admission.admit({descriptor, listener});
      });
    }
    return true;
  }

  [[nodiscard]] bool open_http() {
    try {
      if (config.probe.enabled) {
        probe = std::make_unique<admin::HttpServer>(
            io, config.probe.address, "probe", admin::probe_routes(probe_sources()));
        probe->start();
      }
      if (config.admin.enabled) {
        admin = std::make_unique<admin::HttpServer>(
            io, config.admin.address, "admin", admin::admin_routes(admin_sources()));
        admin->start();
      }
    } catch (const std::exception& error) {
      log_error("app", "{}", error.what());
      return false;
    }
    return true;
  }

  admin::ProbeSources probe_sources() {
    return {[this] { return loops->alive(); },
            [this] { return readiness(); },
            [this] {
              return registry.serialize();
            }};
  }

  admin::AdminSources admin_sources() {
    admin::AdminSources sources;
    sources.address = config.admin.address;
    sources.token = config.admin.token;
    for (const config::Listener& listener : config.listen) {
      sources.listeners.push_back({listener.address.to_string(), listener_note(listener)});
    }
    sources.config_lines = config::describe(config);
    sources.readiness = [this] {
      return readiness();
    };
    sources.snapshot = [this] {
      return registry.snapshot();
    };
    sources.refresh = [this] {
      prober.refresh();
    };
    sources.drain = [this] {
      begin_drain(kDrainGrace);
    };
    sources.set_log_level = base::set_log_level;
    sources.reload = [this](const std::function<void(bool, std::string)>& done) {
      reload("POST /reload",
             [done](const ReloadAnswer& answer) { done(answer.good, answer.text); });
    };
    sources.bypass = [this](std::string_view period) {
      return bypass(period);
    };
    sources.invalidate = [this](std::vector<std::string> keys,
                                std::function<void(std::size_t)> done) {
      invalidate(std::move(keys), std::move(done));
    };
    sources.hot_keys = [this](std::size_t most,
                              const std::function<void(std::vector<admin::HotKeyView>)>& done) {
      collect_hot_keys(0, most, {}, done);
    };
    add_fault_sources(sources, shared, [this](auto answer) { boost::asio::post(io, answer); });
    return sources;
  }

  [[nodiscard]] bool bypass(std::string_view period) {
    const auto length = proxy::parse_bypass_period(period);
    if (!length && period != "off") {
      return false;
    }
    proxy::set_bypass(shared, length ? base::Clock::now() + *length : base::TimePoint{});
    return true;
  }

  void invalidate(std::vector<std::string> keys, std::function<void(std::size_t)> done) {
    shared.post(0, [this, keys = std::move(keys), done = std::move(done)](proxy::Context& context) {
      const std::vector<std::string_view> names(keys.begin(), keys.end());
      const std::size_t removed = proxy::invalidate_keys(context, names);
      boost::asio::post(io, [done, removed] { done(removed); });
    });
  }

  using HotKeys = std::vector<cache::HotKeys::Entry>;

  // Asks one worker after the other; answers on the control thread.
  void collect_hot_keys(std::uint32_t worker,
                        std::size_t most,
                        const std::vector<HotKeys>& parts,
                        const std::function<void(std::vector<admin::HotKeyView>)>& done) {
    shared.post(worker, [=, this](proxy::Context& context) {
      HotKeys own = context.hot_keys.top(most, context.runtime.now);
      boost::asio::post(io, [=, this, own = std::move(own), all = parts]() mutable {
        all.push_back(std::move(own));
        if (worker + 1 < workers.size()) {
          collect_hot_keys(worker + 1, most, all, done);
        } else {
          done(view_of(proxy::merge_hot_keys(std::move(all), most), config.admin.show_keys));
        }
      });
    });
  }

  [[nodiscard]] admin::Readiness readiness() const {
    return shared.draining ? admin::Readiness::Draining : admin::Readiness::Ready;
  }

  void start_workers() {
    for (std::size_t i = 0; i < workers.size(); ++i) {
      threads.emplace_back([&worker = *workers[i], i] {
        name_thread_for_crashes("worker " + std::to_string(i));
        worker.run();
      });
    }
  }

  void wait_for_signal() {
    signals.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) {
        return;
      }
      if (shared.draining) {
        log_warn("app", "second signal: leaving at once");
        base::flush_log();
        std::_Exit(kExitOk);
      }
      log_info("app", "{}: draining", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      begin_drain(signal == SIGTERM ? kDrainGrace : std::chrono::seconds(0));
      wait_for_signal();
    });
  }

  // Not ready, but serving, until the clients have gone or the grace is over; then what is in
  // flight ends and every client is closed at a reply boundary.
  void begin_drain(std::chrono::seconds grace) {
    if (shared.draining.exchange(true)) {
      return;
    }
    registry.set_draining(true);
    drain_started = base::Clock::now();
    watch_drain(grace);
  }

  void watch_drain(std::chrono::seconds grace) {
    const bool empty = shared.sessions.load() == 0;
    if (empty || base::Clock::now() - drain_started >= grace) {
      close_sessions();
      return;
    }
    drain_timer.expires_after(std::chrono::milliseconds(50));
    drain_timer.async_wait([this, grace](const boost::system::error_code& error) {
      if (!error) {
        watch_drain(grace);
      }
    });
  }

  void close_sessions() {
    workers_to_drain = workers.size();
    for (const auto& worker : workers) {
      worker->stop_listening();
      worker->drain([this] { boost::asio::post(io, [this] { worker_drained(); }); });
    }
    drain_timer.expires_after(kDrainDeadline);
    drain_timer.async_wait([this](const boost::system::error_code& error) {
      if (!error) {
        finish("the drain deadline passed; the remaining clients are cut off");
      }
    });
  }

  void worker_drained() {
    if (--workers_to_drain == 0) {
      finish("drained");
    }
  }

  void finish(const char* how) {
    log_info("app", "{}; leaving", how);
    prober.stop();
    io.stop();
  }

  void stop_workers() {
    for (const auto& worker : workers) {
      worker->stop();
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const config::Listener& listener : config.listen) {
      if (listener.address.is_unix()) {
        ::unlink(listener.address.unix_path.c_str());
      }
    }
  }

  const config::Config config;
  proxy::Shared shared;
  metrics::Registry registry;
  boost::asio::io_context io{1};
  boost::asio::signal_set signals;
  boost::asio::signal_set hangups;
  boost::asio::steady_timer drain_timer;
  upstream::Prober prober;
  std::vector<std::unique_ptr<proxy::Worker>> workers;
  Admission admission{shared, workers};
  RulesSwap swap{io, shared, workers};
  std::unique_ptr<PolicyWatcher> policy;  // null: pannier.yaml names none
  std::unique_ptr<LoopCheck> loops;
  std::unique_ptr<admin::HttpServer> probe;
  std::unique_ptr<admin::HttpServer> admin;
  std::vector<std::thread> threads;
  base::TimePoint drain_started{};
  std::size_t workers_to_drain = 0;
};

Application::Application(config::Config config,
                         config::Policy policy,
                         const std::string& policy_text)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(policy), policy_text)) {}

Application::~Application() = default;

int Application::run() {
  std::signal(SIGPIPE, SIG_IGN);
  install_crash_report();
  // Left to itself glibc raises this with the sizes it sees, and kept values of all sizes then
  // leave holes that the orchestrator counts.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  Impl& impl = *impl_;
  raise_open_files(impl.config.maxclients + 2ULL * impl.config.upstream.pinned.max + 256);
  impl.loops = std::make_unique<LoopCheck>(impl.workers);
  if (!impl.open_listeners() || !impl.open_http()) {
    base::flush_log();
    return kExitFailed;
  }
  impl.prober.start();
  impl.start_workers();
  log_info("app", "{} started, process {}", impl.shared.version, ::getpid());
  for (const std::string& line : config::describe(impl.config)) {
    log_info("app", "{}", line);
  }
  impl.warn_of_large_values(*impl.shared.rules);
  if (impl.policy) {
    impl.policy->start();
  }
  net::find_zone(impl.io, impl.config, [&impl](std::string zone, const std::string&) {
    impl.prober.set_own_zone(std::move(zone));
  });
  impl.wait_for_signal();
  impl.wait_for_hangup();
  impl.io.run();
  impl.stop_workers();
  base::flush_log();
  return kExitOk;
}

}  // namespace pannier::app
