#pragma once

#include "pannier/metrics/snapshot.hpp"
#include "pannier/proxy/context.hpp"

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Small things that several stages of a request need.
namespace pannier::proxy {

// The place of a command in WorkerMetrics::commands; the last one is for commands without a row.
inline constexpr std::uint16_t kOtherRow = metrics::kMaxCommandRows - 1;  // not in the table

[[nodiscard]] inline std::uint16_t metrics_index(const command::CommandSpec& row) {
  return row.index < command::kTableSize ? row.index : kOtherRow;
}

// The bytes to send: as they came, or an inline line as a RESP array (valid until the next call).
[[nodiscard]] std::string_view frame_of(Context& context, const resp::Request& request);

// Sends COMMAND INFO for the session that waits for it.
void ask_about_command(Context& context,
                       Session& session,
                       upstream::Connection& lane,
                       std::string_view name);
// Takes what the server said of a command into context.learned; without a reply, or with a null,
// the command counts as unknown for a while and the server words its own refusal.
void learn_command(Context& context, upstream::SlotIndex index, std::string_view reply);

// The near cache and its classes as they are now, of all workers together.
struct NearCacheView {
  metrics::NearCacheState state;
  std::vector<metrics::ClassTotals> classes;
};

[[nodiscard]] NearCacheView view_near_cache(const Context& context);

// Upstream's INFO with Pannier's section at its end.
[[nodiscard]] std::string with_info_section(Context& context, std::string_view reply);
// INFO while upstream is away.
[[nodiscard]] std::string local_info(Context& context,
                                     const Session& session,
                                     std::span<const std::string_view> arguments);

// Remembers a slow request. REQUIRES: the slot is settled but its bytes are still kept.
void log_slow(Context& context,
              const upstream::Connection& connection,
              const upstream::Slot& slot,
              std::chrono::microseconds total);

// Shows a request to all sessions in MONITOR, on all workers.
void feed_monitors(Context& context,
                   const Session& session,
                   const command::CommandSpec& row,
                   std::span<const std::string_view> arguments);

// A bounded wait: starts once, wakes the session when its time is over, ends when what it waited
// for is there or was refused.
void start_waiting(Context& context, Session& session, Waiting reason, base::Duration at_most);
[[nodiscard]] bool wait_is_over(const Context& context, const Session& session);
void stop_waiting(Context& context, Session& session);

// A request that its connection did not take: as if the connection had been lost before it left.
void lose_unsent(Context& context, upstream::Connection& connection, upstream::SlotIndex index);

}  // namespace pannier::proxy
