#pragma once

#include "pannier/base/address.hpp"
#include "pannier/base/clock.hpp"
#include "pannier/net/resolver.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::upstream {

// What is known of a name, whatever became of the last question: the last good answer stays. Pure:
// answers and time in.
class NameRecord {
 public:
  // What an answer changed.
  struct News {
    bool moved = false;   // there was an answer before, and this one has other addresses
    bool failed = false;  // the first bad one
    bool healed = false;  // the first good one after bad ones
  };

  News answered(const net::LookupAnswer& answer, base::TimePoint now);

  // How long to wait before the next question.
  [[nodiscard]] base::Duration holds() const;

  [[nodiscard]] const std::vector<base::SocketAddress>& known() const { return known_; }

  [[nodiscard]] const std::string& error() const { return error_; }  // of the last answer

  [[nodiscard]] std::optional<base::TimePoint> good_at() const { return good_at_; }

 private:
  std::vector<base::SocketAddress> known_;
  std::string error_;
  std::optional<base::TimePoint> good_at_;
  base::Duration holds_{};
  unsigned failures_ = 0;
};

// Where one configured node is to be found: itself when it is an address or a path, else what the
// name servers say. A name is asked for again when its answer does not hold any more. Changes are
// logged here. Control thread only.
class NodeAddresses {
 public:
  // Called after each answer, on the io_context.
  using OnAnswer = std::function<void(net::LookupResult)>;

  // `resolver` outlives this.
  NodeAddresses(boost::asio::io_context& io,
                net::Resolver& resolver,
                const base::Endpoint& endpoint,
                OnAnswer on_answer);
  ~NodeAddresses();
  NodeAddresses(const NodeAddresses&) = delete;
  NodeAddresses& operator=(const NodeAddresses&) = delete;

  // Asks now, unless there is nothing to ask, a question is open, or the last one was asked within
  // a second.
  void look_up();
  // No question and no call of `on_answer` after this.
  void stop();

  [[nodiscard]] bool is_name() const;
  [[nodiscard]] bool is_looking() const;
  [[nodiscard]] const std::string& name() const;                        // host:port
  [[nodiscard]] const std::vector<base::SocketAddress>& known() const;  // of the last good answer
  [[nodiscard]] const std::string& error() const;  // of the last answer; empty: it was good
  [[nodiscard]] std::optional<base::TimePoint> good_at() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pannier::upstream
