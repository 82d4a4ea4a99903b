#pragma once

#include "pannier/base/address.hpp"
#include "pannier/metrics/dns_state.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::net {

using LookupResult = metrics::DnsResult;

// What the name servers, or /etc/hosts, say of a name.
struct LookupAnswer {
  LookupResult result = LookupResult::Failed;
  std::vector<base::SocketAddress> addresses;  // in the order to try them; not empty when Found
  std::chrono::seconds ttl{0};                 // how long that holds; see holds_for
  std::string error;                           // empty when Found
};

// Asks name servers by c-ares: an answer comes with its time to live, and no thread is blocked.
// Literal addresses and the names of /etc/hosts need no server. Sockets are watched by the
// io_context; a timer runs only while a question is open. Control thread only.
class Resolver {
 public:
  using Done = std::function<void(const LookupAnswer&)>;

  static constexpr std::chrono::milliseconds kWithin{2000};  // for a question, all tries together

  // `servers` are addresses with ports; empty: those of /etc/resolv.conf, read for each question.
  Resolver(boost::asio::io_context& io, const std::vector<base::Endpoint>& servers);
  // Open questions are dropped: their `done` is not called any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `done` is called once, on the io_context, never before this returns, within kWithin.
  void look_up(const std::string& host, std::uint16_t port, Done done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How long an answer is believed: its smallest TTL, but not so short that the servers suffer, and
// not so long that a failover goes unseen.
[[nodiscard]] std::chrono::seconds holds_for(std::chrono::seconds smallest_ttl);

// IPv6 and IPv4 in turns, beginning with the family of the first one, so that a family that leads
// nowhere costs one attempt. Within a family the order stays.
[[nodiscard]] std::vector<base::SocketAddress> in_turns(
    const std::vector<base::SocketAddress>& addresses);

}  // namespace pannier::net
