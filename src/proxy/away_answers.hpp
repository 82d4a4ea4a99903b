#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/proxy/flights.hpp"

#include <optional>
#include <span>
#include <string_view>

// What a read gets when no node can serve it (design.md §6, behaviour 6.2). In this order: a
// replica's answer, where node_choice.cpp found one; what is kept, within `stale_if_error`; then
// what `on_error` says. What is answered here is never kept, fills no lease and grants none: nobody
// has said that there is no such key.
namespace pannier::proxy {

// The primary cannot serve reads, as far as this worker knows. Then the replicas serve classes with
// `on_error: stale`.
[[nodiscard]] bool primary_is_away(const Context& context);

// In place of where the class's reads go when all is well. A replica that serves for the primary
// still obeys read-your-writes: it shows every write of this process that it is known to have, and
// a key with any other is not read there at all. What it lacks of the writes of others, and what a
// failover loses, nobody knows: that is what `stale` means.
[[nodiscard]] config::Reads reads_now(const Context& context,
                                      const Session* session,
                                      policy::ClassId key_class);
// The read goes to a replica for the primary; counted for the class of its first key.
void count_replica_read(Context& context,
                        const command::CommandSpec& row,
                        std::span<const std::string_view> arguments);

// The answer to a read that found no node; none: it is to fail. Counted. `session` may be null for
// a read of Pannier's own. `read`: what it is in the near cache, if it is cached.
struct AwayRead {
  const command::CommandSpec& row;
  std::span<const std::string_view> arguments;
  resp::Version version;
  const Session* session = nullptr;
  const CachedRead* read = nullptr;
};

[[nodiscard]] std::optional<base::SharedBytes> find_away_answer(Context& context,
                                                                const AwayRead& read);

// The running request of a session. True: it was answered, in a place of its own.
[[nodiscard]] bool answer_away(Context& context,
                               Session& session,
                               const command::CommandSpec& row,
                               std::span<const std::string_view> arguments);
// One whose place is open. True: it was answered.
[[nodiscard]] bool answer_away(Context& context, const AwayRead& read, const Asker& asker);
// The same of one who asked for a flight.
[[nodiscard]] bool answer_away(Context& context, const CachedRead& read, const Asker& asker);

// Whether `on_error: miss` may say "no such key" to it.
[[nodiscard]] bool may_be_synthetic_nil(const command::CommandSpec& row);

}  // namespace pannier::proxy
