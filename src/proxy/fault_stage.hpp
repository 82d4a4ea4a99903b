#pragma once

#include "pannier/command/command.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/upstream/connection.hpp"

#include <cstdint>
#include <span>
#include <string_view>

// What rehearsals of failure do to requests (pannier/proxy/faults.hpp). Only requests of clients
// that are about to take a lane meet them: neither those that memory or a read under way answers,
// nor those of an exclusive connection (transactions, blocking commands), nor Pannier's own.
namespace pannier::proxy {

enum class FaultStep : std::uint8_t {
  Free,  // it goes on
  Done,  // it was answered, or its deadline will
  Wait   // Waiting::Fault; when it is handed in again, it goes on
};

// REQUIRES: context.faults is not null; the next thing is to send it on `lane`.
[[nodiscard]] FaultStep meet_faults(Context& context,
                                    Session& session,
                                    const command::CommandSpec& row,
                                    std::span<const std::string_view> arguments,
                                    upstream::Connection& lane);

}  // namespace pannier::proxy
