#include "write_marks.hpp"

#include "pannier/resp/request_parser.hpp"

#include "cached_reads.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

void begin_write(Context& context, std::uint64_t hash) {
  context.shared.recent_writes.begin(hash);
  context.shared.near_cache.begin_write(hash);
  if (context.shared.shadow) {
    context.shared.shadow->begin_write(hash);
  }
}

void end_write(Context& context, std::uint64_t hash, std::vector<cache::Party>& woken) {
  context.shared.recent_writes.end(hash, context.runtime.now);
  context.shared.near_cache.end_write(hash);
  if (context.shared.shadow) {
    context.shared.shadow->end_write(hash);
  }
  if (context.shared.leases.any()) {
    context.shared.leases.on_changed(hash, context.runtime.now, woken);
  }
  context.shared.miss_cap.on_changed(hash, woken);
}

void begin_write_all(Context& context) {
  context.shared.recent_writes.begin_all();
  context.shared.near_cache.begin_write_all();
  if (context.shared.shadow) {
    context.shared.shadow->begin_write_all();
  }
}

void end_write_all(Context& context, std::vector<cache::Party>& woken) {
  context.shared.recent_writes.end_all(context.runtime.now);
  context.shared.near_cache.end_write_all();
  if (context.shared.shadow) {
    context.shared.shadow->end_write_all();
  }
  if (context.shared.leases.any()) {
    context.shared.leases.on_all_changed(context.runtime.now, woken);
  }
  if (context.shared.miss_cap.any()) {
    context.shared.miss_cap.on_all_changed(woken);
  }
}

// The slot's hash list: one in the slot itself, several beside it.
void add_hash(Context& context, upstream::SlotIndex index, std::uint64_t hash, bool several) {
  context.runtime.slots[index].key_hash = hash;
  if (several) {
    context.written_keys[index].push_back(hash);
  }
}

// What was queued since MULTI counts as written while EXEC is in flight.
void mark_transaction(Context& context, Session& session, upstream::SlotIndex index) {
  upstream::Slot& slot = context.runtime.slots[index];
  if (std::exchange(session.pinned.written_all, false)) {
    slot.marks_all = true;
    begin_write_all(context);
  }
  if (!session.pinned.written.empty()) {
    slot.marks_keys = true;
    for (const std::uint64_t hash : session.pinned.written) {
      begin_write(context, hash);
    }
    context.written_keys[index] = std::exchange(session.pinned.written, {});
  }
}

// Fills context.keys; false: they are not all known.
bool find_keys(Context& context, const Outgoing& out) {
  context.keys.clear();
  const bool hidden = out.announced > out.arguments.size() &&
                      (out.row->rule != command::KeyRule::Range || out.row->last != out.row->first);
  return !hidden && !out.row->has(command::kUnknownKeys) &&
         command::extract_keys(*out.row, out.arguments, context.keys) !=
             command::KeyStatus::Unknown;
}

void mark_write(Context& context,
                Session& session,
                upstream::SlotIndex index,
                const Outgoing& out) {
  if (out.purpose == upstream::Purpose::Exec && !session.pinned.multi) {
    mark_transaction(context, session, index);
    return;
  }
  const bool known = find_keys(context, out);
  if (session.pinned.multi) {
    session.pinned.written_all = session.pinned.written_all || !known;
    for (const std::string_view key : context.keys) {
      session.pinned.written.push_back(route::RecentWrites::hash(key));
    }
    return;
  }
  upstream::Slot& slot = context.runtime.slots[index];
  if (!known) {
    slot.marks_all = true;
    begin_write_all(context);
    return;
  }
  for (const std::string_view key : context.keys) {
    slot.marks_keys = true;
    add_hash(context, index, route::RecentWrites::hash(key), context.keys.size() > 1);
    begin_write(context, slot.key_hash);
  }
}

// TTL and the like show no value.
bool shows_value(const command::CommandSpec& row) {
  static constexpr std::array<std::string_view, 6> kOthers{
      "expiretime", "memory|usage", "pexpiretime", "pttl", "touch", "ttl"};
  return row.has(command::kCacheable) ||
         (row.has(command::kReadOnly) && !row.name.starts_with("object") &&
          std::find(kOthers.begin(), kOthers.end(), row.name) == kOthers.end());
}

// research/coherence.md §1.3: what a client was shown past the cache must not be followed by an
// older kept reply.
void mark_shown(Context& context,
                Session& session,
                upstream::SlotIndex index,
                const Outgoing& out) {
  if (!find_keys(context, out)) {
    return;
  }
  std::erase_if(context.keys,
                [&](std::string_view key) { return !is_cached(context, class_of(context, key)); });
  if (session.pinned.multi) {
    for (const std::string_view key : context.keys) {
      session.pinned.written.push_back(route::RecentWrites::hash(key));
    }
    return;
  }
  const bool kept_command = out.row->has(command::kCacheable) && context.keys.size() == 1;
  for (const std::string_view key : context.keys) {
    if (!kept_command) {
      context.runtime.metrics.classes[class_of(context, key)]
          .misses.at(static_cast<std::size_t>(metrics::Miss::Uncachable))
          .add();
    }
    upstream::Slot& slot = context.runtime.slots[index];
    const std::uint64_t hash = route::RecentWrites::hash(key);
    slot.shows_keys = true;
    add_hash(context, index, hash, context.keys.size() > 1);
    session.reads.push_back({hash, 0, slot.place, true});
  }
}

}  // namespace

void mark_request(Context& context,
                  Session& session,
                  upstream::SlotIndex index,
                  const Outgoing& out) {
  if (context.runtime.slots[index].is_write) {
    if (context.shared.remember_writes.load(std::memory_order_relaxed)) {
      mark_write(context, session, index, out);
    }
  } else if (out.flight == 0 && out.mget == nullptr && shows_value(*out.row)) {
    mark_shown(context, session, index, out);
  }
}

void mark_added(Context& context, upstream::SlotIndex index, std::uint64_t key_hash) {
  if (context.shared.remember_writes.load(std::memory_order_relaxed)) {
    upstream::Slot& slot = context.runtime.slots[index];
    slot.marks_keys = true;
    slot.key_hash = key_hash;
    begin_write(context, key_hash);
  }
}

void settle_marks(Context& context, upstream::SlotIndex index) {
  upstream::Slot& slot = context.runtime.slots[index];
  std::vector<cache::Party> woken;
  if (slot.marks_all) {
    end_write_all(context, woken);
  }
  if (slot.shows_keys) {
    leave_flight(context, {slot.session, slot.place, slot.silent, 0});
  }
  const auto settle = [&](std::uint64_t hash) {
    if (slot.marks_keys) {
      end_write(context, hash, woken);
    } else {
      context.shared.near_cache.invalidate(hash);
    }
  };
  if (slot.marks_keys || slot.shows_keys) {
    const auto several = context.written_keys.find(index);
    if (several == context.written_keys.end()) {
      settle(slot.key_hash);
    } else {
      std::for_each(several->second.begin(), several->second.end(), settle);
      context.written_keys.erase(several);
    }
  }
  wake_parties(context, woken);
}

void publish_write(Context& context, upstream::Connection& connection, const Outgoing& out) {
  const NodeTracking& node = context.shared.tracking.at(connection.node());
  if (node.rung.load(std::memory_order_relaxed) != upstream::Rung::Channel ||
      out.announced > out.arguments.size()) {
    return;
  }
  const auto publish = [&](std::string_view channel, std::string_view key) {
    const std::array<std::string_view, 3> arguments{"PUBLISH", channel, key};
    std::string request;
    resp::append_request(request, arguments);
    send_unseen(context, connection, request);
  };
  if (out.purpose == upstream::Purpose::Exec || !find_keys(context, out)) {
    publish(upstream::kFlushChannel, "");
    return;
  }
  for (const std::string_view key : std::vector(context.keys)) {
    if (is_cached(context, class_of(context, key))) {
      publish(upstream::kInvalidateChannel, key);
    }
  }
}

}  // namespace pannier::proxy
