#pragma once

#include "request_handler.hpp"

// What a request does to the memory of keys: a write counts as such from its sending until its
// outcome is known (read-your-writes, near cache, leases); a read past the near cache shows what
// the client must not see undone by an older kept reply.
namespace pannier::proxy {

// At the sending of a request; its slot carries what `settle_marks` needs.
void mark_request(Context& context,
                  Session& session,
                  upstream::SlotIndex index,
                  const Outgoing& out);
// Its outcome is known, or its connection is gone. REQUIRES: marks_keys, marks_all or shows_keys.
void settle_marks(Context& context, upstream::SlotIndex index);

// Rung Channel: tells the fleet what was written; right behind the write on the same connection.
void publish_write(Context& context, upstream::Connection& connection, const Outgoing& out);

// Of a TTL that Pannier gives behind a client's write: until it is answered, that write goes on.
void mark_added(Context& context, upstream::SlotIndex index, std::uint64_t key_hash);

}  // namespace pannier::proxy
