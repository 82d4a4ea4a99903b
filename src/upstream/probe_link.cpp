#include "probe_link.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/net/socket.hpp"

#include "probe_exchange.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace pannier::upstream {
namespace {

namespace asio = boost::asio;
using base::Clock;
using base::SocketAddress;
using boost::system::error_code;
using config::Milliseconds;
using Stream = asio::generic::stream_protocol;
using Outcome = ProbeLink::Outcome;

constexpr std::size_t kMaxAddresses = 4;  // of a name are tried at a time

}  // namespace

struct ProbeLink::State : std::enable_shared_from_this<State> {
  explicit State(asio::io_context& io) : socket(io), deadline(io) {}

  Outcome open(std::vector<SocketAddress> addresses, Milliseconds within);
  Outcome connect(SocketAddress address, Milliseconds within);
  Outcome ask(ProbeExchange* round, Milliseconds within);

  void arm(Milliseconds within);

  void disarm() { deadline.expires_at(base::TimePoint::max()); }

  void close() {
    error_code ignored;
    socket.close(ignored);
  }

  [[nodiscard]] std::string why(const error_code& error, Milliseconds within) const;

  Stream::socket socket;
  asio::steady_timer deadline;  // closes the socket: what waits on it then fails
  bool timed_out = false;
  bool is_closed = false;  // from outside: no further address is tried
  SocketAddress where;
  std::array<char, 4096> buffer{};
};

// A dead address takes its share of the time, not all of it.
Outcome ProbeLink::State::open(std::vector<SocketAddress> addresses, Milliseconds within) {
  [[maybe_unused]] const auto self = shared_from_this();
  const auto until = Clock::now() + within;
  const std::size_t count = std::min(addresses.size(), kMaxAddresses);
  std::string failures;
  for (std::size_t i = 0; i < count && !is_closed; ++i) {
    const auto rest = std::chrono::duration_cast<Milliseconds>(until - Clock::now());
    const auto share = std::max(Milliseconds(1), rest / static_cast<int>(count - i));
    const std::string error = co_await connect(addresses[i], share);
    if (error.empty()) {
      where = addresses[i];
      co_return std::string();
    }
    failures += (failures.empty() ? "" : "; ") + error + " at " + addresses[i].to_string();
  }
  co_return failures.empty() ? std::string("closed") : failures;
}

Outcome ProbeLink::State::connect(SocketAddress address, Milliseconds within) {
  int failure = 0;
  const int descriptor = net::start_connect(address, failure);
  if (descriptor < 0) {
    co_return net::errno_text(failure);
  }
  const Stream protocol(address.family(), 0);
  socket.assign(protocol, descriptor);
  arm(within);
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const auto writable = Stream::socket::wait_write;
  co_await socket.async_wait(writable, token);
  if (!error) {
    failure = net::connect_error(descriptor);
  }
  disarm();
  if (!error && failure == 0) {
    co_return std::string();
  }
  const std::string text = failure != 0 ? net::errno_text(failure) : why(error, within);
  close();
  co_return text;
}

Outcome ProbeLink::State::ask(ProbeExchange* round, Milliseconds within) {
  [[maybe_unused]] const auto self = shared_from_this();
  arm(within);
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const std::string& request = round->request();
  for (std::size_t sent = 0; !error && sent < request.size();) {
    const auto rest = asio::buffer(request) + sent;
    const std::size_t size = co_await socket.async_write_some(rest, token);
    sent += size;
  }
  auto progress = ProbeExchange::Progress::More;
  while (!error && progress == ProbeExchange::Progress::More) {
    const auto space = asio::buffer(buffer);
    const std::size_t size = co_await socket.async_read_some(space, token);
    if (!error) {
      progress = round->feed(std::string_view(buffer.data(), size));
    }
  }
  disarm();
  const std::string failure = error ? why(error, within) : round->error();
  co_return failure;
}

void ProbeLink::State::arm(Milliseconds within) {
  timed_out = false;
  deadline.expires_after(within);
  deadline.async_wait([self = shared_from_this()](const error_code& error) {
    // A handler that was already queued when the timer was set anew finds its time in the future.
    if (!error && self->deadline.expiry() <= Clock::now()) {
      self->timed_out = true;
      self->close();
    }
  });
}

std::string ProbeLink::State::why(const error_code& error, Milliseconds within) const {
  if (timed_out) {
    return "no answer within " + std::to_string(within.count()) + "ms";
  }
  return error == asio::error::eof ? "connection closed" : error.message();
}

ProbeLink::ProbeLink(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

ProbeLink::~ProbeLink() {
  close();
}

Outcome ProbeLink::open(std::vector<SocketAddress> addresses, Milliseconds within) {
  state_->is_closed = false;
  return state_->open(std::move(addresses), within);
}

Outcome ProbeLink::ask(ProbeExchange* round, Milliseconds within) {
  return state_->ask(round, within);
}

void ProbeLink::close() {
  state_->is_closed = true;
  state_->disarm();
  state_->close();
}

const SocketAddress& ProbeLink::where() const {
  return state_->where;
}

}  // namespace pannier::upstream
