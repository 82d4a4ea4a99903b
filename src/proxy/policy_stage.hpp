#pragma once

#include "pannier/command/command.hpp"
#include "pannier/proxy/context.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// Limits and denials of the policy, before a request is served (behaviour 6.3, §7).
namespace pannier::proxy {

enum class Passage : std::uint8_t {
  Free,
  Refused,  // and answered
  Waits     // for the primary (Waiting::Limit); it is to be handed in again
};

// A request as the rules see it.
struct RuledRequest {
  const command::CommandSpec& row;
  std::span<const std::string_view> arguments;
  std::size_t bytes = 0;       // of a large one: up to the end of the argument that is under way
  std::size_t announced = 0;   // arguments of a large one
  std::size_t unfinished = 0;  // see policy::RequestView
};

// Denies it, charges it, or lets it wait. Once a request has passed, it passes freely until
// `forget_passage`, which is to be called when it was handled: whatever it waits for in between, it
// is charged once.
[[nodiscard]] Passage pass_rules(Context& context, Session& session, const RuledRequest& request);

// None of the rules that its command is asked for can hold, as a look at its size and its only key
// tells.
[[nodiscard]] bool is_unruled(const Context& context,
                              const RuledRequest& request,
                              std::uint16_t row);

[[nodiscard]] inline Passage ask_rules(Context& context,
                                       Session& session,
                                       const RuledRequest& request) {
  const std::uint16_t row = command::index_of(request.row);
  if (context.rules->requests.wants(row) == 0 || is_unruled(context, request, row)) {
    return Passage::Free;
  }
  return pass_rules(context, session, request);
}

inline void forget_passage(Session& session) {
  session.charges.admitted = session.charges.not_denied = false;
}

// The session's transaction ends: what its commands were charged is given back, or spent.
void end_charges(Context& context, Session& session, bool give_back);
// The session is going.
void drop_charges(Context& context, Session& session);

// The worker has new rules, or its first ones.
void bind_rules(Context& context);

}  // namespace pannier::proxy
