#pragma once

#include "pannier/command/command.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/route/selector.hpp"

#include "sending.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace pannier::proxy {

// What the session does with a request after the handler looked at it.
enum class Step : std::uint8_t {
  Done,  // answered, or on its way
  Wait   // not now: `Session::waiting` says why; it will be handed in again
};

// Decides each request, top to bottom: name it, refuse it, answer it, pin it, or route it to a
// lane. One request at a time, in order; stateless but for the session and the context.
[[nodiscard]] Step handle(Context& context, Session& session, const resp::Request& request);

// The row of a command that the table does not know. Null while the server is asked what it is: the
// session waits.
[[nodiscard]] const command::CommandSpec* identify_learned(Context& context,
                                                           Session& session,
                                                           const resp::Request& request);
// Whether it was refused, and answered, before anything is served: authentication, replication
// commands, arity of stateful commands.
[[nodiscard]] bool refused(Context& context,
                           Session& session,
                           const command::CommandSpec& row,
                           const resp::Request& request);

// What is known of a large request when it begins.
struct LargeRequest {
  std::span<const std::string_view> head;  // its arguments that are complete
  std::size_t announced = 0;               // how many it has in all
  std::size_t unfinished = 0;              // bytes of the argument that is under way
  std::size_t bytes = 0;                   // of the request up to that one's end
};

// A large request whose bytes follow (Session::upload streams them): takes an exclusive connection,
// opens the place and the slot. On Done `session.pinned.uploading` is set; its bytes go to
// `session.pinned.connection`, or nowhere when that is null (it was refused).
[[nodiscard]] Step begin_upload(Context& context, Session& session, const LargeRequest& request);

// Where a request would go, and why. Also what PANNIER EXPLAIN shows.
[[nodiscard]] route::Route choose_node(Context& context,
                                       const Session& session,
                                       const command::CommandSpec& row,
                                       std::span<const std::string_view> arguments);

// The same without a session, for reads of Pannier's own. `salt` chooses among equal nodes.
[[nodiscard]] route::Route choose_read_node(Context& context,
                                            config::Reads reads,
                                            std::uint32_t salt,
                                            const command::CommandSpec& row,
                                            std::span<const std::string_view> arguments);
// Its breaker is open, and it is no spare one: nothing is sent to it.
[[nodiscard]] bool is_open(const Context& context, route::NodeId node);
// Another node could serve this read as well.
[[nodiscard]] bool has_alternative(const Context& context, const route::Route& route);
// Where reads of a class go (behaviour 3.1); `session` may be null, `key_class` kNoClass.
[[nodiscard]] config::Reads class_reads(const Context& context,
                                        const Session* session,
                                        policy::ClassId key_class);

// What `handle` and `begin_upload` share: CLIENT REPLY SKIP, CLIENT PAUSE and an unsettled database
// (true: the session waits), and what is counted and shown of every request.
void enter_reply_mode(Session& session);
[[nodiscard]] bool must_pause(Context& context, Session& session, const command::CommandSpec& row);
void note_handled(Context& context,
                  Session& session,
                  const command::CommandSpec& row,
                  std::span<const std::string_view> arguments);

// Requests of a session that has, or needs, an exclusive connection (pinned_requests.cpp,
// lost_transactions.cpp).
[[nodiscard]] bool needs_pinned(const Session& session,
                                const command::CommandSpec& row,
                                std::span<const std::string_view> arguments);
[[nodiscard]] Step handle_pinned(Context& context,
                                 Session& session,
                                 const command::CommandSpec& row,
                                 const resp::Request& request);
// A command of the session's MULTI was refused, or did not become what it has to be: EXEC will send
// DISCARD and be answered -EXECABORT. REQUIRES: session.pinned.multi
void fail_transaction(Session& session);
// MULTI itself cannot be let through. Its commands may come at any time, so it is answered +OK as
// if a transaction had begun; they are refused with `why`, and EXEC fails with it.
void refuse_multi(Context& context,
                  Session& session,
                  metrics::Refusal reason,
                  std::string_view why);
// What the client is told of a request that the server did not answer, in general `error`. A
// transaction that has not ended with it fails; so its MULTI is answered +OK, as above.
[[nodiscard]] std::string_view reply_to_unanswered(Session& session,
                                                   const upstream::Slot& slot,
                                                   std::string_view error);
// True: the request was answered. After the connection was lost in WATCH or MULTI, or MULTI was
// refused, nothing is queued any more.
[[nodiscard]] bool answer_after_loss(Context& context,
                                     Session& session,
                                     const command::CommandSpec& row);
// Takes an exclusive connection to the primary; Done also when it failed and was answered.
[[nodiscard]] Step take_pinned(Context& context, Session& session, const command::CommandSpec& row);
// Gives the connection back if the session holds nothing on it any more.
void release_pinned(Context& context, Session& session);
// Ends it whatever it holds: the session is going, or RESET.
void drop_pinned(Context& context, Session& session);

// The next session that waits for an exclusive connection tries again.
void wake_pinned_waiter(Context& context);

// Commands that Pannier answers itself (local_requests.cpp).
[[nodiscard]] Step handle_local(Context& context,
                                Session& session,
                                const command::CommandSpec& row,
                                const resp::Request& request);

// CL.THROTTLE goes where the session's writes go. REQUIRES: run_throttle found no fault in it.
[[nodiscard]] Step send_throttle(Context& context,
                                 Session& session,
                                 const command::CommandSpec& row,
                                 const resp::Request& request);

// Error replies of Pannier's own, counted.
void refuse(Context& context, Session& session, metrics::Refusal reason, std::string_view text);

}  // namespace pannier::proxy
