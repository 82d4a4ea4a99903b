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
};

// Keeps one control connection to one node, asks it every `probe` and tells `roles`. Follows the
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
  // Asks again at once, but not a node that just failed: a flood of calls while a node is down must
  // not become a flood of connects to it.
  void refresh();

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const NodeAddresses& addresses() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pannier::upstream
