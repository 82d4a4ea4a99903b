#include "pannier/proxy/slowlog.hpp"

#include "pannier/resp/protocol.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "redaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

namespace pannier::proxy {
namespace {

constexpr std::size_t kMaxArguments = 32;
constexpr std::size_t kMaxKey = 64;

// Of all workers, so that a client sees each id once.
std::atomic<std::uint64_t> next_id{0};

std::string cut_key(std::string_view key) {
  if (key.size() <= kMaxKey) {
    return std::string(key);
  }
  return fmt::format("{}... ({} more bytes)", key.substr(0, kMaxKey), key.size() - kMaxKey);
}

void append_entry(std::string& out, const SlowEntry& entry) {
  resp::append_array_header(out, 6);
  resp::append_integer(out, static_cast<std::int64_t>(entry.id));
  resp::append_integer(out, entry.unix_seconds);
  resp::append_integer(out, entry.total.count());
  resp::append_array_header(out, entry.arguments.size() + 3);
  for (const std::string& argument : entry.arguments) {
    resp::append_bulk(out, argument);
  }
  resp::append_bulk(out, fmt::format("queue_us={}", entry.queue.count()));
  resp::append_bulk(out, fmt::format("upstream_us={}", entry.upstream.count()));
  resp::append_bulk(out, fmt::format("node={}", entry.node));
  resp::append_bulk(out, entry.client_address);
  resp::append_bulk(out, entry.client_name);
}

}  // namespace

void Slowlog::add(SlowEntry entry) {
  if (max_entries_ == 0) {
    return;
  }
  entry.id = next_id.fetch_add(1, std::memory_order_relaxed);
  entries_.push_front(std::move(entry));
  if (entries_.size() > max_entries_) {
    entries_.pop_back();
  }
}

std::vector<std::string> slow_arguments(const command::CommandSpec& row,
                                        std::span<const std::string_view> arguments) {
  const std::vector<bool> shown = shown_arguments(row, arguments);
  const bool too_many = arguments.size() > kMaxArguments;
  const std::size_t count = too_many ? kMaxArguments - 1 : arguments.size();
  std::vector<std::string> out;
  out.reserve(count + 1);
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(shown[i] ? cut_key(arguments[i]) : hidden_argument(arguments[i]));
  }
  if (too_many) {
    out.push_back(fmt::format("... ({} more arguments)", arguments.size() - count));
  }
  return out;
}

std::vector<SlowEntry> merge_slow_entries(std::vector<std::vector<SlowEntry>>&& parts) {
  std::vector<SlowEntry> all;
  for (std::vector<SlowEntry>& part : parts) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  std::sort(
      all.begin(), all.end(), [](const SlowEntry& a, const SlowEntry& b) { return a.id > b.id; });
  return all;
}

void append_slowlog(std::string& out, std::span<const SlowEntry> newest_first, std::int64_t count) {
  std::size_t wanted = newest_first.size();
  if (count >= 0) {
    wanted = std::min(wanted, static_cast<std::size_t>(count));
  }
  resp::append_array_header(out, wanted);
  for (const SlowEntry& entry : newest_first.first(wanted)) {
    append_entry(out, entry);
  }
}

}  // namespace pannier::proxy
