#include "node_addresses.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstring>
#include <utility>

namespace pannier::upstream {
namespace {

using boost::asio::ip::tcp;

base::SocketAddress address_of(const tcp::endpoint& endpoint) {
  base::SocketAddress out;
  std::memcpy(&out.storage, endpoint.data(), endpoint.size());
  out.length = static_cast<socklen_t>(endpoint.size());
  return out;
}

}  // namespace

struct NodeAddresses::State {
  State(boost::asio::io_context& io, const base::Endpoint& where)
      : resolver(io),
        host(where.host),
        service(std::to_string(where.port)) {}

  tcp::resolver resolver;
  std::string host;
  std::string service;
  bool name = false;
  bool looking = false;
  base::TimePoint looked_at{};
  std::vector<base::SocketAddress> known;
  std::string error;
};

NodeAddresses::NodeAddresses(boost::asio::io_context& io, const base::Endpoint& endpoint)
    : state_(std::make_shared<State>(io, endpoint)) {
  const auto literal = endpoint.is_unix()
                           ? base::SocketAddress::from_unix_path(endpoint.unix_path)
                           : base::SocketAddress::from_ip(endpoint.host, endpoint.port);
  state_->name = literal.length == 0;
  if (!state_->name) {
    state_->known.push_back(literal);
  }
}

NodeAddresses::~NodeAddresses() {
  state_->resolver.cancel();
}

void NodeAddresses::look_up(base::TimePoint now, std::function<void()> when_done) {
  if (!state_->name || state_->looking) {
    return;
  }
  state_->looking = true;
  state_->looked_at = now;
  state_->resolver.async_resolve(
      state_->host,
      state_->service,
      tcp::resolver::numeric_service,
      [state = state_, done = std::move(when_done)](const boost::system::error_code& error,
                                                    const tcp::resolver::results_type& results) {
        state->looking = false;
        state->error = error ? error.message() : results.empty() ? "no address" : "";
        if (state->error.empty()) {
          state->known.clear();
          for (const auto& entry : results) {
            state->known.push_back(address_of(entry.endpoint()));
          }
        }
        done();
      });
}

bool NodeAddresses::is_name() const {
  return state_->name;
}

bool NodeAddresses::is_looking() const {
  return state_->looking;
}

base::TimePoint NodeAddresses::looked_at() const {
  return state_->looked_at;
}

const std::vector<base::SocketAddress>& NodeAddresses::known() const {
  return state_->known;
}

const std::string& NodeAddresses::error() const {
  return state_->error;
}

}  // namespace pannier::upstream
