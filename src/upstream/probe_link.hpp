#pragma once

#include "pannier/base/address.hpp"
#include "pannier/config/config.hpp"

#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
class any_io_executor;
template <typename, typename>
class awaitable;
}  // namespace boost::asio

namespace pannier::upstream {

class ProbeExchange;

// The prober's connection to one node. What it awaits ends in bounded time, or when it is closed.
// Control thread only.
class ProbeLink {
 public:
  // What went wrong; empty: nothing.
  using Outcome = boost::asio::awaitable<std::string, boost::asio::any_io_executor>;

  explicit ProbeLink(boost::asio::io_context& io);
  ~ProbeLink();
  ProbeLink(const ProbeLink&) = delete;
  ProbeLink& operator=(const ProbeLink&) = delete;

  // Tries one address after the other; all together take no longer than `within`.
  [[nodiscard]] Outcome open(std::vector<base::SocketAddress> addresses,
                             config::Milliseconds within);
  // Sends the questions and reads until all are answered.
  [[nodiscard]] Outcome ask(ProbeExchange* round, config::Milliseconds within);
  void close();

  // Where it was connected to last; length 0: nowhere yet.
  [[nodiscard]] const base::SocketAddress& where() const;

 private:
  struct State;
  // Outlives this while a coroutine or a handler has it.
  std::shared_ptr<State> state_;
};

}  // namespace pannier::upstream
