#pragma once

#include "key_class.hpp"
#include "sending.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// The policy's rules on storing at work (behaviour §4): requests are refused, rewritten or followed
// by commands of Pannier's own, which travel on the same connection and which the client never
// sees. What is to be done is decided in policy/ttl_plan.hpp.
namespace pannier::proxy {

// True: the request was answered here, refused or as if there were no such key. False: what is to
// be done when it is sent is in context.ttl. `announced`: as for Outgoing, 0 for what is whole.
[[nodiscard]] bool answer_by_rules(Context& context,
                                   Session& session,
                                   const command::CommandSpec& row,
                                   std::span<const std::string_view> arguments,
                                   std::size_t announced);

// Its only key is of a class that is `store: never`. REQUIRES: command::has_one_key(row).
[[nodiscard]] inline bool is_never_stored(const Context& context,
                                          const command::CommandSpec& row,
                                          std::span<const std::string_view> arguments) {
  const auto first = static_cast<std::size_t>(row.first);
  if (arguments.size() <= first) {
    return false;
  }
  const policy::ClassId id = class_of(context, arguments[first]);
  return id != policy::kNoClass && context.rules->at(id).store == config::Store::Never;
}

[[nodiscard]] inline bool answered_by_rules(Context& context,
                                            Session& session,
                                            const command::CommandSpec& row,
                                            std::span<const std::string_view> arguments,
                                            std::size_t announced = 0) {
  context.ttl.planned = false;
  const policy::Rules& rules = *context.rules;
  if (!rules.any_ttl) {
    return false;
  }
  // Most requests are reads, which store nothing and run no script.
  if (row.has(command::kReadOnly) && command::has_one_key(row) &&
      !(rules.any_never && is_never_stored(context, row, arguments))) {
    return false;
  }
  return answer_by_rules(context, session, row, arguments, announced);
}

// These three are for `send`, of a request that is planned: the bytes to be sent, what becomes of
// its reply, and, when it is on its way, what goes behind it.
[[nodiscard]] std::string_view planned_frame(Context& context, const Outgoing& out);
void plan_reply(Context& context, Session& session, upstream::Slot& slot);
void follow_plan(Context& context,
                 Session& session,
                 upstream::Connection& connection,
                 upstream::SlotIndex index,
                 const Outgoing& out);
// Of every request of a transaction: keeps the places of its elements in EXEC's reply, and takes
// them along with EXEC.
void note_queued(Context& context,
                 Session& session,
                 upstream::SlotIndex index,
                 const Outgoing& out);

// The last byte of a large request has gone; `index` is its slot.
void follow_upload(Context& context, Session& session, upstream::SlotIndex index);

// What came for a slot with has_ttl; it is forgotten afterwards.
void take_stored_reply(Context& context,
                       upstream::Connection& connection,
                       upstream::SlotIndex index,
                       std::string_view bytes,
                       char type);
void forget_followers(Context& context, upstream::SlotIndex index, bool was_lost);
// What came for a command of Pannier's own; "": it is lost.
void take_added_reply(Context& context, const upstream::Slot& slot, std::string_view bytes);

// Sliding (sliding_requests.cpp), when a read was answered or is on its way. Whether the only key
// of a request is of a class that slides.
[[nodiscard]] inline bool may_renew(const Context& context,
                                    const command::CommandSpec& row,
                                    std::span<const std::string_view> arguments) {
  if (!context.rules->any_sliding || !command::has_one_key(row) || row.first != 1 ||
      arguments.size() < 2) {
    return false;
  }
  const policy::ClassId id = class_of(context, arguments[1]);
  return id != policy::kNoClass && context.rules->at(id).ttl && context.rules->at(id).ttl->sliding;
}

// REQUIRES: may_renew
void renew_life(Context& context,
                Session& session,
                const command::CommandSpec& row,
                std::span<const std::string_view> arguments);
void take_renewal(Context& context, const upstream::Slot& slot, std::string_view bytes);
// A store, or an explicit TTL, was sent.
void note_life(Context& context, std::uint32_t db, const policy::TtlLife& life);

}  // namespace pannier::proxy
