#pragma once

#include "pannier/base/address.hpp"
#include "pannier/config/config.hpp"
#include "pannier/net/resolver.hpp"
#include "pannier/route/node_roles.hpp"
#include "pannier/route/recent_writes.hpp"

#include "node_addresses.hpp"

#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace pannier::upstream {

// What the watches of all nodes share; the Prober's. Control thread only.
struct ProbeShared {
  boost::asio::io_context& io;
  const config::Config& config;
  route::RecentWrites& recent_writes;
  route::NodeRoles& roles;
  net::Resolver& resolver;
  std::function<void()> look;                        // `roles` may have changed
  std::function<void(net::LookupResult)> on_lookup;  // a name of a node was answered
  std::function<void(route::NodeId)> on_silent;      // a node did not answer
  // Before `look`: a node that was asked at `began` has answered (empty) or failed.
  std::function<void(route::NodeId, const std::string& error, base::TimePoint began)> on_probe;
  std::function<bool()> is_urgent;  // no primary is known to answer, not yet for long
};

// Keeps one control connection to one node, asks it every `probe`, or eagerly (every 50 to 80 ms)
// while it does not answer or no primary does, and tells `roles`. Follows the
// node's name: where that points at another server while the old one still answers, the new one is
// asked first. Control thread only.
class NodeWatch {
 public:
  // `shared` outlives this.
  NodeWatch(ProbeShared& shared, route::NodeId id, std::string name, const base::Endpoint& where);
  ~NodeWatch();
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  // `keep` and this watch live until it has ended.
  void start(std::shared_ptr<void> keep);
  // Nothing is asked or told after this.
  void end();
  // Asks again at once, but not a node that just failed: it is asked often enough as it is.
  void refresh();

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const NodeAddresses& addresses() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pannier::upstream
