#include "node_addresses.hpp"

#include "pannier/base/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace pannier::upstream {
namespace {

using base::Clock;
using base::SocketAddress;
using std::chrono::seconds;

constexpr seconds kAtMostEvery{1};
constexpr seconds kFirstRetry{1};
constexpr seconds kLastRetry{5};

// In whatever order: round robin is no change.
bool same_set(const std::vector<SocketAddress>& a, const std::vector<SocketAddress>& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

std::string list_of(const std::vector<SocketAddress>& addresses) {
  std::string out;
  for (const SocketAddress& address : addresses) {
    out += (out.empty() ? "" : ", ") + address.to_string();
  }
  return out;
}

}  // namespace

NameRecord::News NameRecord::answered(const net::LookupAnswer& answer, base::TimePoint now) {
  News news;
  const bool was_good = error_.empty();
  if (answer.result != net::LookupResult::Found) {
    news.failed = was_good;
    error_ = answer.error;
    holds_ = std::min(kLastRetry, kFirstRetry * (1 << std::min(failures_++, 3U)));
    return news;
  }
  news.healed = !was_good;
  news.moved = good_at_.has_value() && !same_set(known_, answer.addresses);
  error_.clear();
  failures_ = 0;
  known_ = answer.addresses;
  good_at_ = now;
  holds_ = answer.ttl;
  return news;
}

base::Duration NameRecord::holds() const {
  return holds_;
}

struct NodeAddresses::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& io,
        net::Resolver& with,
        const base::Endpoint& where,
        OnAnswer callback)
      : resolver(with),
        endpoint(where),
        name(where.to_string()),
        on_answer(std::move(callback)),
        timer(io),
        random(std::random_device{}()) {}

  void ask();
  void take(const net::LookupAnswer& answer);
  void tell(const NameRecord::News& news) const;
  void ask_later();

  net::Resolver& resolver;
  base::Endpoint endpoint;
  std::string name;
  OnAnswer on_answer;
  boost::asio::steady_timer timer;  // until the answer does not hold any more
  std::minstd_rand random;
  NameRecord record;
  std::vector<SocketAddress> literal;  // not empty: there is nothing to ask
  bool looking = false;
  bool stopped = false;
  bool answered = false;
  base::TimePoint asked_at{};
};

void NodeAddresses::State::ask() {
  looking = true;
  asked_at = Clock::now();
  timer.cancel();
  resolver.look_up(
      endpoint.host, endpoint.port, [weak = weak_from_this()](const net::LookupAnswer& answer) {
        if (const auto self = weak.lock(); self && !self->stopped) {
          self->take(answer);
        }
      });
}

void NodeAddresses::State::take(const net::LookupAnswer& answer) {
  looking = false;
  answered = true;
  tell(record.answered(answer, Clock::now()));
  ask_later();
  on_answer(answer.result);
}

void NodeAddresses::State::tell(const NameRecord::News& news) const {
  if (news.failed && !record.known().empty()) {
    base::log_warn("dns",
                   "{} does not resolve any more: {}; its last known address stays in use",
                   name,
                   record.error());
  } else if (news.healed) {
    base::log_info("dns", "{} resolves again", name);
  }
  if (news.moved) {
    base::log_info("dns", "{} now means {}", name, list_of(record.known()));
  }
}

// Later by up to a tenth: the sidecars of a fleet must not ask in step.
void NodeAddresses::State::ask_later() {
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(record.holds());
  std::uniform_int_distribution<std::int64_t> extra(0, rest.count() / 10);
  timer.expires_after(rest + std::chrono::milliseconds(extra(random)));
  timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    if (const auto self = weak.lock(); self && !error && !self->stopped && !self->looking) {
      self->ask();
    }
  });
}

NodeAddresses::NodeAddresses(boost::asio::io_context& io,
                             net::Resolver& resolver,
                             const base::Endpoint& endpoint,
                             OnAnswer on_answer)
    : state_(std::make_shared<State>(io, resolver, endpoint, std::move(on_answer))) {
  const auto literal = endpoint.is_unix()
                           ? base::SocketAddress::from_unix_path(endpoint.unix_path)
                           : base::SocketAddress::from_ip(endpoint.host, endpoint.port);
  if (literal.length != 0) {
    state_->literal.push_back(literal);
  }
}

NodeAddresses::~NodeAddresses() {
  stop();
}

void NodeAddresses::look_up() {
  const bool just_asked = state_->answered && Clock::now() - state_->asked_at < kAtMostEvery;
  if (is_name() && !state_->looking && !state_->stopped && !just_asked) {
    state_->ask();
  }
}

void NodeAddresses::stop() {
  state_->stopped = true;
  state_->timer.cancel();
}

bool NodeAddresses::is_name() const {
  return state_->literal.empty();
}

bool NodeAddresses::is_looking() const {
  return state_->looking;
}

const std::string& NodeAddresses::name() const {
  return state_->name;
}

const std::vector<SocketAddress>& NodeAddresses::known() const {
  return is_name() ? state_->record.known() : state_->literal;
}

const std::string& NodeAddresses::error() const {
  return state_->record.error();
}

std::optional<base::TimePoint> NodeAddresses::good_at() const {
  return state_->record.good_at();
}

}  // namespace pannier::upstream
