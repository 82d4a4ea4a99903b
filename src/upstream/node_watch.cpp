#include "node_watch.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"

#include "probe_exchange.hpp"
#include "probe_link.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <random>
#include <utility>
#include <vector>

namespace pannier::upstream {
namespace {

namespace asio = boost::asio;
using base::Clock;
using base::SocketAddress;
using boost::system::error_code;
using config::Milliseconds;

// While it may be over any moment, requests wait: a node is asked eagerly. After a while a fleet of
// sidecars must not hammer it any more.
constexpr int kEagerMs[] = {50, 80};
constexpr std::chrono::seconds kEagerFor{30};
constexpr Milliseconds kFirstBackoff{100};
constexpr Milliseconds kLastBackoff{1000};
constexpr Milliseconds kFreshName{200};  // for a new answer, where an old one would do

}  // namespace

struct NodeWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(ProbeShared& with, route::NodeId node, std::string called, const base::Endpoint& where)
      : shared(with),
        id(node),
        name(std::move(called)),
        addresses(
            with.io, with.resolver, where, [this](net::LookupResult result) { on_answer(result); }),
        link(std::make_unique<ProbeLink>(with.io)),
        wake(with.io),
        random(std::random_device{}()) {}

  asio::awaitable<void> run(std::shared_ptr<void> keep);
  asio::awaitable<bool> connect();
  asio::awaitable<bool> resolve();
  asio::awaitable<bool> ask_until_lost();
  asio::awaitable<bool> ask(bool opening);
  asio::awaitable<void> follow();
  asio::awaitable<void> pause(base::Duration length);

  void on_answer(net::LookupResult result);
  [[nodiscard]] bool has_moved() const;
  [[nodiscard]] bool may_move(const route::ProbeAnswer& answer) const;
  void take(const ProbeExchange& round, std::uint64_t epoch, base::TimePoint asked_at);
  void note_refused(const ProbeExchange& round);
  void stay(const std::string& reason);
  void fail(const std::string& error);
  [[nodiscard]] base::Duration eager();
  [[nodiscard]] base::Duration backoff();

  ProbeShared& shared;
  const route::NodeId id;
  const std::string name;
  NodeAddresses addresses;
  std::unique_ptr<ProbeLink> link;
  std::unique_ptr<ProbeLink> next;  // to where the name points now, while `link` still answers
  asio::steady_timer wake;          // the wait for a name, between rounds, or before a reconnect
  bool over = false;
  bool resolving = false;
  bool pausing = false;
  bool asked_again = false;  // a refresh came while a round was under way
  bool stays = false;        // not where the name points, and told so
  std::string refused;
  base::TimePoint began{};          // when it was asked last, or the connect begun
  base::TimePoint failing_since{};  // the first question of the running outage
  unsigned late_failures = 0;       // since it lasts longer than kEagerFor
  std::minstd_rand random;
};

// `keep` keeps what is shared alive while this runs; whoever spawned it keeps this.
asio::awaitable<void> NodeWatch::Impl::run([[maybe_unused]] std::shared_ptr<void> keep) {
  failing_since = Clock::now();
  while (!over) {
    began = Clock::now();
    const bool connected = co_await connect();
    if (connected) {
      const bool answered = co_await ask_until_lost();
      if (answered) {
        failing_since = began;
        late_failures = 0;
      }
    }
    link->close();
    const base::Duration delay = backoff();
    co_await pause(delay);
  }
}

asio::awaitable<bool> NodeWatch::Impl::connect() {
  const bool resolved = co_await resolve();
  if (!resolved || over) {
    co_return false;
  }
  const std::vector<SocketAddress> known = addresses.known();
  const Milliseconds within = shared.config.upstream.timeouts.connect;
  const std::string error = co_await link->open(known, within);
  if (!error.empty()) {
    fail(error);
  }
  co_return error.empty();
}

// A new answer is worth a moment; where it does not come, the last good one serves.
asio::awaitable<bool> NodeWatch::Impl::resolve() {
  addresses.look_up();
  if (addresses.is_looking()) {
    const bool has_none = addresses.known().empty();
    const base::Duration longest = has_none ? 2 * net::Resolver::kWithin : kFreshName;
    resolving = true;
    co_await pause(longest);
    resolving = false;
  }
  const auto& known = addresses.known();
  if (known.empty()) {
    fail("its name does not resolve: " + addresses.error());
    co_return false;
  }
  if (link->where().length == 0) {
    shared.roles.resolved(id, known.front());
  }
  co_return true;
}

void NodeWatch::Impl::on_answer(net::LookupResult result) {
  if (resolving) {
    wake.cancel();
  } else if (pausing && has_moved()) {
    asked_again = true;
    wake.cancel();
  }
  shared.on_lookup(result);
}

bool NodeWatch::Impl::has_moved() const {
  const auto& known = addresses.known();
  return std::find(known.begin(), known.end(), link->where()) == known.end();
}

// A managed service may point a name at another server and leave the old one running. The new one
// is asked first: while the old one is the primary, only a primary takes its place.
asio::awaitable<void> NodeWatch::Impl::follow() {
  next = std::make_unique<ProbeLink>(shared.io);
  const std::vector<SocketAddress> known = addresses.known();
  const Milliseconds connect_within = shared.config.upstream.timeouts.connect;
  std::string error = co_await next->open(known, connect_within);
  ProbeExchange round(shared.config, true);
  ProbeExchange* const asked = &round;
  const auto asked_at = Clock::now();
  if (error.empty() && !over) {
    error = co_await next->ask(asked, shared.config.upstream.probe);
  }
  if (over) {
    co_return;
  }
  std::unique_ptr<ProbeLink> there = std::move(next);
  if (!error.empty()) {
    stay(error);
  } else if (!may_move(round.answer())) {
    stay(there->where().to_string() + " is not a primary yet");
  } else {
    link->close();
    link = std::move(there);
    take(round, 0, asked_at);
  }
}

bool NodeWatch::Impl::may_move(const route::ProbeAnswer& answer) const {
  return shared.config.upstream.kind == config::UpstreamKind::Single ||
         shared.roles.primary() != id || answer.role == route::Role::Primary ||
         !shared.roles.primary_answers();
}

void NodeWatch::Impl::stay(const std::string& reason) {
  if (!std::exchange(stays, true)) {
    base::log_warn("prober",
                   "{} has another address now, but stays at {}: {}",
                   name,
                   link->where().to_string(),
                   reason);
  }
}

// Returns whether any round was answered.
asio::awaitable<bool> NodeWatch::Impl::ask_until_lost() {
  bool answered = false;
  while (!over) {
    asked_again = false;
    const auto started = Clock::now();
    const bool ok = co_await ask(!answered);
    answered = answered || ok;
    if (!ok) {
      break;
    }
    if (has_moved()) {
      co_await follow();
    } else {
      stays = false;
    }
    // Shortened by up to a fifth, never lengthened: a node that freezes right after an answer must
    // be found within two probes, the second being the wait for its answer.
    std::uniform_int_distribution<int> percent(80, 100);
    const base::Duration usual = shared.config.upstream.probe * percent(random) / 100;
    const base::Duration length = shared.is_urgent() ? std::min(usual, eager()) : usual;
    const base::Duration rest = started + length - Clock::now();
    if (!asked_again) {
      pausing = true;
      co_await pause(rest);
      pausing = false;
    }
  }
  co_return answered;
}

asio::awaitable<bool> NodeWatch::Impl::ask(bool opening) {
  // Closed before the question leaves: see RecentWrites.
  const std::uint64_t epoch = shared.roles.primary() == id ? shared.recent_writes.close_epoch() : 0;
  ProbeExchange round(shared.config, opening);
  ProbeExchange* const asked = &round;
  const auto asked_at = Clock::now();
  began = asked_at;
  const std::string error = co_await link->ask(asked, shared.config.upstream.probe);
  if (over || !error.empty()) {
    fail(error);
    co_return false;
  }
  if (opening) {
    note_refused(round);
  }
  take(round, epoch, asked_at);
  co_return true;
}

void NodeWatch::Impl::take(const ProbeExchange& round,
                           std::uint64_t epoch,
                           base::TimePoint asked_at) {
  const auto now = Clock::now();
  route::ProbeAnswer answer = round.answer();
  answer.rtt_us = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now - asked_at).count());
  shared.roles.resolved(id, link->where());
  shared.roles.answered(id, answer, epoch, now);
  shared.on_probe(id, {}, asked_at);
  shared.look();
}

void NodeWatch::Impl::note_refused(const ProbeExchange& round) {
  if (round.answer().cluster) {
    base::log_warn(
        "prober", "{} runs in cluster mode: keys of its other shards get MOVED errors", name);
  }
  const std::string before = std::exchange(refused, round.refused());
  if (!refused.empty() && refused != before) {
    base::log_warn("prober",
                   "{} refuses {}: grant them to the user of Pannier, or its role, lag and zone "
                   "may stay unknown",
                   name,
                   refused);
  }
}

asio::awaitable<void> NodeWatch::Impl::pause(base::Duration length) {
  if (over) {
    co_return;
  }
  wake.expires_after(length);
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await wake.async_wait(token);
}

base::Duration NodeWatch::Impl::eager() {
  std::uniform_int_distribution<int> delay(kEagerMs[0], kEagerMs[1]);
  return Milliseconds(delay(random));
}

// Full jitter: the sidecars of a fleet must not come back in step.
base::Duration NodeWatch::Impl::backoff() {
  if (Clock::now() - failing_since < kEagerFor) {
    return eager();
  }
  const auto limit = std::min(kLastBackoff, kFirstBackoff * (1 << std::min(late_failures++, 6U)));
  std::uniform_int_distribution<std::int64_t> delay(0, limit.count());
  return Milliseconds(delay(random));
}

void NodeWatch::Impl::fail(const std::string& error) {
  if (over) {
    return;
  }
  shared.roles.failed(id, error, Clock::now());
  shared.on_probe(id, error, began);
  shared.look();
  shared.on_silent(id);
}

NodeWatch::NodeWatch(ProbeShared& shared,
                     route::NodeId id,
                     std::string name,
                     const base::Endpoint& where)
    : impl_(std::make_shared<Impl>(shared, id, std::move(name), where)) {}

NodeWatch::~NodeWatch() {
  end();
}

void NodeWatch::start(std::shared_ptr<void> keep) {
  auto on_end = [impl = impl_, keep](std::exception_ptr failure) {
    if (!failure) {
      return;
    }
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      base::log_error("prober", "{}: {}", impl->name, e.what());
      impl->fail(std::string("is no longer asked: ") + e.what());
    }
  };
  asio::co_spawn(impl_->shared.io, impl_->run(std::move(keep)), std::move(on_end));
}

void NodeWatch::end() {
  impl_->over = true;
  impl_->addresses.stop();
  impl_->link->close();
  if (impl_->next) {
    impl_->next->close();
  }
  impl_->wake.cancel();
}

void NodeWatch::refresh() {
  impl_->asked_again = true;
  impl_->addresses.look_up();  // the name may point at the new primary by now
  if (impl_->pausing) {
    impl_->wake.cancel();
  }
}

const std::string& NodeWatch::name() const {
  return impl_->name;
}

const NodeAddresses& NodeWatch::addresses() const {
  return impl_->addresses;
}

}  // namespace pannier::upstream
