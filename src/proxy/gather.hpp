#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/proxy/local_commands.hpp"

#include "request_handler.hpp"

#include <cstdint>
#include <string_view>

// Commands about all of Pannier's sessions: every worker is asked, the session waits for the last
// answer. Rare; never on the way of a GET.
namespace pannier::proxy {

[[nodiscard]] Step gather_client_list(Context& context,
                                      Session& session,
                                      const ClientFilter& filter);
[[nodiscard]] Step gather_client_kill(Context& context,
                                      Session& session,
                                      const ClientFilter& filter);
[[nodiscard]] Step gather_client_unblock(Context& context,
                                         Session& session,
                                         std::uint64_t id,
                                         bool with_error);
// `what`: get, len or reset. `count`: entries wanted by get; negative: all.
[[nodiscard]] Step gather_slowlog(Context& context,
                                  Session& session,
                                  std::string_view what,
                                  std::int64_t count);

// The most used keys of all workers together.
[[nodiscard]] Step gather_hot_keys(Context& context, Session& session, std::size_t count);

// Makes a blocked command end as if it had timed out (or with -UNBLOCKED): the server is told, by
// the upstream connection's id. False when the session is not blocked.
bool unblock(Context& context, Session& session, bool with_error);

// CLIENT PAUSE is over.
void wake_paused(Context& context);

}  // namespace pannier::proxy
