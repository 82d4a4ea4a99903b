#include "pannier/upstream/prober.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"
#include "pannier/net/socket.hpp"
#include "pannier/route/node_roles.hpp"

#include "node_addresses.hpp"
#include "probe_exchange.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <atomic>
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
using Stream = asio::generic::stream_protocol;

constexpr Milliseconds kJoin{20};  // refreshes closer than this are one
constexpr Milliseconds kFirstBackoff{50};
constexpr Milliseconds kLastBackoff{2000};
constexpr Milliseconds kResolveWithin{1000};  // getaddrinfo itself cannot be stopped
constexpr std::chrono::seconds kResolveAgain{5};
constexpr std::size_t kMaxAddresses = 4;

// One node's control connection; only its coroutine and the timers' handlers touch it.
struct Watch {
  Watch(asio::io_context& io, route::NodeId node, const base::Endpoint& where)
      : id(node),
        name(where.to_string()),
        addresses(io, where),
        socket(io),
        deadline(io),
        wake(io) {}

  route::NodeId id;
  std::string name;
  NodeAddresses addresses;
  Stream::socket socket;
  asio::steady_timer deadline;  // closes the socket: what waits on it then fails
  asio::steady_timer wake;      // the wait for a name, between rounds, or before a reconnect
  bool timed_out = false;
  bool resolving = false;
  bool pausing = false;
  bool asked_again = false;  // a refresh came while a round was under way
  SocketAddress connected_to;
  std::string refused;
  bool unresolved = false;
  std::array<char, 4096> buffer{};
};

}  // namespace

// Lives as long as a coroutine or handler of it is left in the io_context, which may be longer than
// the Prober; after stop() they end by themselves.
class ProbeLoop : public std::enable_shared_from_this<ProbeLoop> {
 public:
  ProbeLoop(asio::io_context& io,
            const config::Config& config,
            route::RecentWrites& recent_writes,
            Prober::Publish publish)
      : io_(io),
        config_(config),
        recent_writes_(recent_writes),
        publish_(std::move(publish)),
        roles_(config),
        join_(io),
        random_(std::random_device{}()) {
    for (const auto& node : config.upstream.nodes) {
      const auto id = static_cast<route::NodeId>(watches_.size());
      watches_.push_back(std::make_unique<Watch>(io, id, node.address));
    }
  }

  void start();
  void stop();
  void refresh();
  void set_own_zone(std::string zone);

 private:
  using Self = std::shared_ptr<ProbeLoop>;

  asio::awaitable<void> watch(Self self, Watch* node);
  asio::awaitable<bool> connect(Watch* node);
  asio::awaitable<std::string> connect_to(Watch* node, SocketAddress address);
  asio::awaitable<bool> resolve(Watch* node);
  asio::awaitable<bool> ask_until_lost(Watch* node);
  asio::awaitable<bool> ask(Watch* node, bool opening);
  asio::awaitable<std::string> exchange(Watch* node, ProbeExchange* round);
  asio::awaitable<void> pause(Watch* node, base::Duration length);

  void look_up(Watch* node);
  [[nodiscard]] bool has_moved(Watch* node);
  void note_refused(Watch* node, const ProbeExchange& round);
  void arm(Watch* node, Milliseconds within);
  static void disarm(Watch* node);
  static void close(Watch* node);
  [[nodiscard]] std::string why(const Watch& node, const error_code& error, Milliseconds within);
  [[nodiscard]] base::Duration backoff(unsigned failures);
  void fail(const Watch& node, std::string error);
  void look();
  void wake_all();

  asio::io_context& io_;
  const config::Config config_;
  route::RecentWrites& recent_writes_;
  Prober::Publish publish_;
  route::NodeRoles roles_;
  route::TopologyPtr published_ = std::make_shared<const route::Topology>();
  std::vector<std::unique_ptr<Watch>> watches_;
  asio::steady_timer join_;
  base::TimePoint refreshed_{};
  std::atomic<bool> refresh_asked_{false};
  bool stopped_ = false;
  std::minstd_rand random_;
};

void ProbeLoop::start() {
  for (const auto& node : watches_) {
    Watch* const watched = node.get();
    const Self self = shared_from_this();
    auto on_end = [self, watched](std::exception_ptr failure) {
      if (!failure) {
        return;
      }
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        base::log_error("prober", "{}: {}", watched->name, e.what());
        self->fail(*watched, std::string("is no longer asked: ") + e.what());
      }
    };
    asio::co_spawn(io_, watch(self, watched), std::move(on_end));
  }
}

void ProbeLoop::stop() {
  stopped_ = true;
  join_.cancel();
  for (const auto& node : watches_) {
    disarm(node.get());
    close(node.get());
    node->wake.cancel();
  }
}

void ProbeLoop::refresh() {
  if (refresh_asked_.exchange(true)) {
    return;
  }
  asio::post(io_, [self = shared_from_this()] {
    self->join_.expires_at(self->refreshed_ + kJoin);
    self->join_.async_wait([self](const error_code& error) {
      self->refresh_asked_.store(false);
      if (!error && !self->stopped_) {
        self->refreshed_ = Clock::now();
        self->wake_all();
      }
    });
  });
}

// Wakes who pauses between rounds, not who backs off: a flood of refreshes while a node is down
// must not become a flood of connects to it.
void ProbeLoop::wake_all() {
  for (const auto& node : watches_) {
    node->asked_again = true;
    if (refreshed_ - node->addresses.looked_at() > kResolveWithin) {
      look_up(node.get());  // the name may point at the new primary by now
    }
    if (node->pausing) {
      node->wake.cancel();
    }
  }
}

void ProbeLoop::set_own_zone(std::string zone) {
  roles_.set_own_zone(std::move(zone));
  look();
}

// `self` keeps everything here alive while this runs.
asio::awaitable<void> ProbeLoop::watch([[maybe_unused]] Self self, Watch* node) {
  unsigned failures = 0;
  while (!stopped_) {
    const bool connected = co_await connect(node);
    if (connected) {
      const bool answered = co_await ask_until_lost(node);
      failures = answered ? 0 : failures;
    }
    disarm(node);
    close(node);
    const base::Duration delay = backoff(failures++);
    co_await pause(node, delay);
  }
}

asio::awaitable<bool> ProbeLoop::connect(Watch* node) {
  const bool resolved = co_await resolve(node);
  if (!resolved) {
    co_return false;
  }
  const std::vector<SocketAddress> addresses = node->addresses.known();
  std::string failure;
  for (std::size_t i = 0; i < addresses.size() && i < kMaxAddresses && !stopped_; ++i) {
    const SocketAddress address = addresses[i];
    const std::string error = co_await connect_to(node, address);
    if (error.empty()) {
      node->connected_to = address;
      roles_.resolved(node->id, address);
      co_return true;
    }
    failure += (failure.empty() ? "" : "; ") + error + " at " + address.to_string();
  }
  fail(*node, failure);
  co_return false;
}

// Returns what went wrong, or nothing.
asio::awaitable<std::string> ProbeLoop::connect_to(Watch* node, SocketAddress address) {
  const Milliseconds within = config_.upstream.timeouts.connect;
  int failure = 0;
  const int descriptor = net::start_connect(address, failure);
  if (descriptor < 0) {
    co_return net::errno_text(failure);
  }
  const Stream protocol(address.family(), 0);
  node->socket.assign(protocol, descriptor);
  arm(node, within);
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const auto writable = Stream::socket::wait_write;
  co_await node->socket.async_wait(writable, token);
  if (!error) {
    failure = net::connect_error(descriptor);
  }
  disarm(node);
  if (!stopped_ && !error && failure == 0) {
    co_return std::string();
  }
  const std::string text = failure != 0 ? net::errno_text(failure) : why(*node, error, within);
  close(node);
  co_return text;
}

asio::awaitable<bool> ProbeLoop::resolve(Watch* node) {
  look_up(node);
  if (node->addresses.is_looking()) {
    node->resolving = true;
    co_await pause(node, kResolveWithin);
    node->resolving = false;
  }
  const auto& known = node->addresses.known();
  const std::string reason =
      node->addresses.is_looking()
          ? "no answer within " + std::to_string(kResolveWithin.count()) + "ms"
          : node->addresses.error();
  if (known.empty()) {
    fail(*node, "its name does not resolve: " + reason);
    co_return false;
  }
  const bool was_unresolved = std::exchange(node->unresolved, !reason.empty());
  if (node->unresolved && !was_unresolved && !stopped_) {
    base::log_warn("prober",
                   "{} does not resolve any more: {}; its last known address stays in use",
                   node->name,
                   reason);
  }
  if (node->connected_to.length == 0) {
    roles_.resolved(node->id, known.front());
  }
  co_return true;
}

void ProbeLoop::look_up(Watch* node) {
  auto when_done = [self = shared_from_this(), node] {
    if (node->resolving) {
      node->wake.cancel();
    }
  };
  node->addresses.look_up(Clock::now(), std::move(when_done));
}

// Names are looked up again in the background while the connection lives: a managed service may
// point a name at another server and leave the old one running.
bool ProbeLoop::has_moved(Watch* node) {
  const NodeAddresses& addresses = node->addresses;
  if (Clock::now() - addresses.looked_at() > kResolveAgain) {
    look_up(node);
  }
  const auto& known = addresses.known();
  return std::find(known.begin(), known.end(), node->connected_to) == known.end();
}

// Returns whether any round was answered.
asio::awaitable<bool> ProbeLoop::ask_until_lost(Watch* node) {
  bool answered = false;
  while (!stopped_) {
    node->asked_again = false;
    const auto started = Clock::now();
    const bool ok = co_await ask(node, !answered);
    answered = answered || ok;
    if (!ok || has_moved(node)) {
      break;
    }
    // Shortened by up to a fifth, never lengthened: a node that freezes right after an answer must
    // be found within two probes, the second being the wait for its answer.
    std::uniform_int_distribution<int> percent(80, 100);
    const auto length = config_.upstream.probe * percent(random_) / 100;
    const base::Duration rest = started + length - Clock::now();
    if (!node->asked_again) {
      node->pausing = true;
      co_await pause(node, rest);
      node->pausing = false;
    }
  }
  co_return answered;
}

asio::awaitable<bool> ProbeLoop::ask(Watch* node, bool opening) {
  // Closed before the question leaves: see RecentWrites.
  const std::uint64_t epoch = roles_.primary() == node->id ? recent_writes_.close_epoch() : 0;
  ProbeExchange round(config_, opening);
  ProbeExchange* const asked = &round;
  const auto started = Clock::now();
  arm(node, config_.upstream.probe);
  const std::string error = co_await exchange(node, asked);
  disarm(node);
  if (stopped_ || !error.empty()) {
    fail(*node, error);
    co_return false;
  }
  const auto now = Clock::now();
  route::ProbeAnswer answer = round.answer();
  answer.rtt_us = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now - started).count());
  if (opening) {
    note_refused(node, round);
  }
  roles_.answered(node->id, answer, epoch, now);
  look();
  co_return true;
}

// Returns what went wrong, or nothing.
asio::awaitable<std::string> ProbeLoop::exchange(Watch* node, ProbeExchange* round) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const std::string& request = round->request();
  for (std::size_t sent = 0; !error && sent < request.size();) {
    const auto rest = asio::buffer(request) + sent;
    const std::size_t size = co_await node->socket.async_write_some(rest, token);
    sent += size;
  }
  auto progress = ProbeExchange::Progress::More;
  while (!error && progress == ProbeExchange::Progress::More) {
    const auto space = asio::buffer(node->buffer);
    const std::size_t size = co_await node->socket.async_read_some(space, token);
    if (!error) {
      progress = round->feed(std::string_view(node->buffer.data(), size));
    }
  }
  const std::string failure = error ? why(*node, error, config_.upstream.probe) : round->error();
  co_return failure;
}

void ProbeLoop::note_refused(Watch* node, const ProbeExchange& round) {
  if (round.answer().cluster) {
    base::log_warn(
        "prober", "{} runs in cluster mode: keys of its other shards get MOVED errors", node->name);
  }
  const std::string before = std::exchange(node->refused, round.refused());
  if (!node->refused.empty() && node->refused != before) {
    base::log_warn("prober",
                   "{} refuses {}: grant them to the user of Pannier, or its role, lag and zone "
                   "may stay unknown",
                   node->name,
                   node->refused);
  }
}

asio::awaitable<void> ProbeLoop::pause(Watch* node, base::Duration length) {
  if (stopped_) {
    co_return;
  }
  node->wake.expires_after(length);
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await node->wake.async_wait(token);
}

void ProbeLoop::arm(Watch* node, Milliseconds within) {
  node->timed_out = false;
  node->deadline.expires_after(within);
  node->deadline.async_wait([self = shared_from_this(), node](const error_code& error) {
    // A handler that was already queued when the timer was set anew finds its time in the future.
    if (!error && node->deadline.expiry() <= Clock::now()) {
      node->timed_out = true;
      close(node);
    }
  });
}

void ProbeLoop::disarm(Watch* node) {
  node->deadline.expires_at(base::TimePoint::max());
}

void ProbeLoop::close(Watch* node) {
  error_code ignored;
  node->socket.close(ignored);
}

std::string ProbeLoop::why(const Watch& node, const error_code& error, Milliseconds within) {
  if (node.timed_out) {
    return "no answer within " + std::to_string(within.count()) + "ms";
  }
  return error == asio::error::eof ? "connection closed" : error.message();
}

// Full jitter: the sidecars of a fleet must not come back in step.
base::Duration ProbeLoop::backoff(unsigned failures) {
  const auto limit = std::min(kLastBackoff, kFirstBackoff * (1 << std::min(failures, 6U)));
  std::uniform_int_distribution<std::int64_t> delay(0, limit.count());
  return Milliseconds(delay(random_));
}

void ProbeLoop::fail(const Watch& node, std::string error) {
  if (!stopped_) {
    roles_.failed(node.id, std::move(error), Clock::now());
    look();
  }
}

void ProbeLoop::look() {
  if (stopped_ || !roles_.is_settled()) {
    return;
  }
  if (const auto changed = roles_.take_changed()) {
    for (const auto& line : route::describe_changes(*published_, *changed)) {
      base::log(line.level, "prober", "{}", line.text);
    }
    published_ = changed;
    publish_(changed);
  }
}

struct Prober::Impl {
  std::shared_ptr<ProbeLoop> loop;
};

Prober::Prober(asio::io_context& io,
               const config::Config& config,
               route::RecentWrites& recent_writes,
               Publish publish)
    : impl_(std::make_unique<Impl>(
          Impl{std::make_shared<ProbeLoop>(io, config, recent_writes, std::move(publish))})) {}

Prober::~Prober() {
  impl_->loop->stop();
}

void Prober::start() {
  impl_->loop->start();
}

void Prober::stop() {
  impl_->loop->stop();
}

void Prober::refresh() {
  impl_->loop->refresh();
}

void Prober::set_own_zone(std::string zone) {
  impl_->loop->set_own_zone(std::move(zone));
}

}  // namespace pannier::upstream
