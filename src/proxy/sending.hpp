#pragma once

#include "pannier/command/command.hpp"
#include "pannier/proxy/context.hpp"

#include <cstdint>
#include <span>
#include <string_view>

// How a request leaves on a connection: its slot, its marks, its bytes. One place for all of them.
namespace pannier::proxy {

// A request of a client that goes to a node.
struct Outgoing {
  const command::CommandSpec* row = nullptr;
  std::span<const std::string_view> arguments;
  std::string_view frame;
  upstream::Fate fate = upstream::Fate::Forward;
  upstream::Purpose purpose = upstream::Purpose::None;
  upstream::DeadlineKind deadline = upstream::DeadlineKind::Read;
  base::TimePoint due{};      // of DeadlineKind::Timed
  base::TimePoint started{};  // when it is not of this turn: it has waited, or comes again
  std::size_t announced = 0;  // of a large request: how many arguments it has in all
  std::uint32_t confirmations = 0;
  const MgetFill* mget = nullptr;
  std::uint32_t flight = 0;  // its reply may be kept and shared; 0: not
  bool is_subscribe = false;
  bool is_planned = false;  // context.ttl says what the policy makes of it
};

// May change data, as far as the order of a session's requests goes.
[[nodiscard]] inline bool counts_as_write(const command::CommandSpec& row) {
  return !row.has(command::kReadOnly);
}

// A slot for a request on `connection`, counted as in flight there from now on. `row` is of
// metrics_index.
[[nodiscard]] upstream::SlotIndex take_slot(Context& context,
                                            const upstream::Connection& connection,
                                            std::uint16_t row);
// Gives the slot and its bytes to the connection. False: it refused them; they count as lost, and
// whoever asked has an error.
bool hand_over(Context& context,
               upstream::Connection& connection,
               upstream::SlotIndex index,
               std::string_view frame);

// A client's request: opens its place in the reply order.
void send(Context& context,
          Session& session,
          upstream::Connection& connection,
          const Outgoing& out);
// Pannier's own command in front of or behind a client's: its reply is dropped.
void send_unseen(Context& context, upstream::Connection& connection, std::string_view request);

}  // namespace pannier::proxy
