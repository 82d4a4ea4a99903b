#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/proxy/flights.hpp"
#include "pannier/proxy/retry.hpp"

#include <cstdint>
#include <string_view>

// Requests that are tried again (behaviour 6.1): what was refused before it ran, what did not
// leave, and reads whose node was lost or keeps silent. A further try is the same request handled
// from its first byte in the place it has: routing, rules and cache apply as they are now. For the
// sake of its session's order it has to wait until nothing else of the session is in flight, unless
// it is a read that another node may serve. A write whose bytes left is never tried again unless
// the node said that it refused it.
namespace pannier::proxy {

// Only of requests this long are the bytes kept for it.
inline constexpr std::size_t kMaxRetryBytes = 4096;

// A refusal that comes before a command runs: of a node that cannot serve now, or no longer.
[[nodiscard]] bool is_refusal(std::string_view reply);
// The same, where the command (metrics_index) decides what its errors mean: of a script or a
// command that Pannier does not know only the server's own sentences count.
[[nodiscard]] bool is_refusal(std::string_view reply, std::uint16_t row);

// What has gone wrong with a request.
struct Failed {
  RetryReason reason = RetryReason::Refused;
  route::NodeId node = route::kNoNode;
  std::string_view error;  // the reply that its client gets if it is not tried again
};

// The request of a slot on a lane. True: it will be tried again, and its place stays open; the
// caller must not answer it, and settles the slot. REQUIRES: its bytes are still kept.
[[nodiscard]] bool try_again(Context& context,
                             const upstream::Connection& lane,
                             upstream::SlotIndex index,
                             const Failed& failed);
// Whether those who asked a flight will be handled again. If so each of them is, by `ask_again`.
[[nodiscard]] bool may_try_again(Context& context, const Flight& flight, const Failed& failed);
// False: the asker is gone.
bool ask_again(Context& context, const Flight& flight, const Asker& asker, const Failed& failed);

// A read of a session got no reply in time while another node may serve it. False: it has to wait.
[[nodiscard]] bool abandon_silent(Context& context,
                                  upstream::SlotIndex index,
                                  const Failed& failed);
// Takes a request on a lane out of its session, which waits for it no longer: its reply is dropped.
void abandon(Context& context, Session& session, upstream::SlotIndex index);
// Reads that the session sent behind `place` on this lane, which must show what that one does.
void retry_behind(Context& context,
                  const upstream::Connection& lane,
                  Session& session,
                  std::uint32_t place);

// A write at `place` has run: what was to be tried again before it cannot be any more.
void fail_overtaken(Context& context, Session& session, std::uint32_t place);

// Handles what is due. False: something has to wait, and the session waits with it.
[[nodiscard]] bool handle_retries(Context& context, Session& session);

}  // namespace pannier::proxy
