#pragma once

#include "pannier/base/address.hpp"
#include "pannier/base/clock.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::upstream {

// Where one configured node is to be found: itself when it is an address or a path, else what the
// system's resolver says of its name. A name that resolved once stays usable when its name server
// fails. Control thread only.
class NodeAddresses {
 public:
  NodeAddresses(boost::asio::io_context& io, const base::Endpoint& endpoint);
  ~NodeAddresses();
  NodeAddresses(const NodeAddresses&) = delete;
  NodeAddresses& operator=(const NodeAddresses&) = delete;

  // Asks the resolver, unless there is nothing to ask or a question is still open: that one cannot
  // be stopped, only waited for. `when_done` runs on the io_context.
  void look_up(base::TimePoint now, std::function<void()> when_done);

  [[nodiscard]] bool is_name() const;
  [[nodiscard]] bool is_looking() const;
  [[nodiscard]] base::TimePoint looked_at() const;
  [[nodiscard]] const std::vector<base::SocketAddress>& known() const;  // the last good answer
  [[nodiscard]] const std::string& error() const;  // of the last answer; empty: it was good

 private:
  // Outlives this object while the resolver's thread is busy.
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pannier::upstream
