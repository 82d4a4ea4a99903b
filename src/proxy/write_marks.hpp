#pragma once

#include "key_class.hpp"
#include "request_handler.hpp"

// What a request does to the memory of keys: a write counts as such from its sending until its
// outcome is known (read-your-writes, near cache, leases); a read past the near cache shows what
// the client must not see undone by an older kept reply.
namespace pannier::proxy {

// False for most reads: nothing is cached, or not the class of their only key.
[[nodiscard]] inline bool may_mark(const Context& context, const Outgoing& out, bool is_write) {
  if (is_write || !context.rules->any_cache) {
    return is_write;
  }
  const auto first = static_cast<std::size_t>(out.row->first);
  return !command::has_one_key(*out.row) || out.arguments.size() <= first ||
         is_cached(context, class_of(context, out.arguments[first]));
}

// At the sending of a request that may_mark; its slot carries what `settle_marks` needs.
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
